/** Where a root key may live. `local`: in the memory of each node, which reads it when it starts. */
export const ROOT_KEY_BACKENDS = ['local', 'transit', 'pkcs11', 'aws-kms', 'gcp-kms'] as const;
export type RootKeyBackend = (typeof ROOT_KEY_BACKENDS)[number];

/** A root key that never leaves its place: what is wrapped travels there, by this name. Nothing of it is secret. */
export type RootKeyReference =
  | { readonly backend: 'transit'; readonly mount: string; readonly key: string }
  | { readonly backend: 'pkcs11'; readonly label: string }
  | { readonly backend: 'aws-kms'; readonly arn: string; readonly region: string }
  | { readonly backend: 'gcp-kms'; readonly key: string };

const SCHEME = /^(transit|pkcs11|aws-kms|gcp-kms):/;
const FORMS = {
  transit: 'transit:KEY or transit:MOUNT/KEY',
  pkcs11: 'pkcs11:LABEL, the label of an AES key on the token',
  // An alias can be pointed at another key, and then nothing opens any more.
  'aws-kms': 'aws-kms:arn:aws:kms:REGION:ACCOUNT:key/ID, not an alias',
  'gcp-kms': 'gcp-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version',
} as const;

/** True for what names a key elsewhere, well-formed or not: it is shown and may stand in a file. */
export function namesRootKeyBackend(text: string): boolean {
  return SCHEME.test(text);
}

export type RootKeyReading = { readonly reference: RootKeyReference } | { readonly problem: string };

/** Only for what `namesRootKeyBackend`; everything else is a key itself. */
export function readRootKeyReference(text: string): RootKeyReading {
  const backend = SCHEME.exec(text)?.[1] as keyof typeof FORMS | undefined;
  if (backend === undefined) throw new TypeError('this is a root key, not the name of one');
  const reference = parsed(backend, text.slice(backend.length + 1));
  return reference === undefined ? { problem: `must be written ${FORMS[backend]}.` } : { reference };
}

function parsed(backend: keyof typeof FORMS, name: string): RootKeyReference | undefined {
  switch (backend) {
    case 'transit': {
      const [, mount = 'transit', key] =
        /^(?:([A-Za-z0-9_-]{1,64}(?:\/[A-Za-z0-9_-]{1,64}){0,3})\/)?([A-Za-z0-9_.-]{1,128})$/.exec(name) ??
        [];
      return key === undefined || /^\.+$/.test(key) ? undefined : { backend, mount, key };
    }
    case 'pkcs11':
      return /^[\x21-\x7e]{1,64}$/.test(name) ? { backend, label: name } : undefined;
    case 'aws-kms': {
      const [, region] =
        /^arn:aws[a-z-]{0,16}:kms:([a-z0-9-]{4,32}):\d{12}:key\/[A-Za-z0-9-]{8,64}$/.exec(name) ?? [];
      return region === undefined ? undefined : { backend, arn: name, region };
    }
    case 'gcp-kms': {
      // No part of dots: it would climb to another resource.
      const part = '[A-Za-z0-9_][A-Za-z0-9_.:-]{0,62}';
      const form = new RegExp(`^projects/${part}/locations/${part}/keyRings/${part}/cryptoKeys/${part}$`);
      return form.test(name) ? { backend, key: name } : undefined;
    }
  }
}

/** As it is written in the setting, and shown to people. */
export function showRootKeyReference(reference: RootKeyReference): string {
  switch (reference.backend) {
    case 'transit':
      return `transit:${reference.mount}/${reference.key}`;
    case 'pkcs11':
      return `pkcs11:${reference.label}`;
    case 'aws-kms':
      return `aws-kms:${reference.arn}`;
    case 'gcp-kms':
      return `gcp-kms:${reference.key}`;
  }
}
