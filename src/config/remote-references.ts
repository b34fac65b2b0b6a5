import type { SecretReading } from './secret-reading.js';

/** Where a value lies that another machine keeps. */
export type RemoteReference =
  | { readonly scheme: 'vault'; readonly text: string; readonly path: string; readonly field: string }
  | {
      readonly scheme: 'awssm';
      readonly text: string;
      /** Name or ARN. */
      readonly secretId: string;
      readonly field: string | undefined;
    }
  | { readonly scheme: 'gcpsm'; readonly text: string; readonly version: string }
  | {
      readonly scheme: 'azurekv';
      readonly text: string;
      readonly vaultUrl: string;
      readonly name: string;
      readonly version: string | undefined;
    };

/** Asks whoever keeps it. Fails with `UnreadableReference`, in a sentence without anything secret. */
export type ReadRemote = (reference: RemoteReference, signal: AbortSignal) => Promise<string>;

export class UnreadableReference extends Error {
  override readonly name = 'UnreadableReference';
}

const REMOTE = /^(vault|awssm|gcpsm|azurekv):(.*)$/s;
const LIMIT_SECONDS = 5;
const MOST_REFERENCES = 100;
const LARGEST_VALUE = 65_536;

const FORMS = {
  vault: 'vault:MOUNT/PATH#FIELD',
  awssm: 'awssm:NAME-OR-ARN or awssm:NAME-OR-ARN#JSON-FIELD',
  gcpsm: 'gcpsm:projects/P/secrets/S or gcpsm:projects/P/secrets/S/versions/V',
  azurekv: 'azurekv:https://V.vault.azure.net/secrets/NAME, with /VERSION if one is meant',
} as const;

const VAULT = /^([^\s#?]{3,512})#([^\s#]{1,128})$/;
const AWS =
  /^(arn:aws[a-z-]{0,16}:secretsmanager:[a-z0-9-]{4,32}:\d{12}:secret:[\w/+=.@-]{1,520}|[\w/+=.@-]{1,512})(?:#([^#]{1,128}))?$/;
const GOOGLE =
  /^projects\/[a-z0-9-]{1,63}\/(?:locations\/[a-z0-9-]{1,63}\/)?secrets\/[\w-]{1,255}(\/versions\/[\w-]{1,63})?$/;
/** Only where Azure keeps vaults: the credential of this machine is shown to the host that the reference names. */
const AZURE =
  /^(https:\/\/[A-Za-z0-9-]{1,127}\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net))\/secrets\/([A-Za-z0-9-]{1,127})(?:\/([A-Za-z0-9]{1,64}))?\/?$/;

function parsed(scheme: keyof typeof FORMS, text: string, rest: string): RemoteReference | undefined {
  switch (scheme) {
    case 'vault': {
      const [, path, field] = VAULT.exec(rest) ?? [];
      return path === undefined || field === undefined ? undefined : { scheme, text, path, field };
    }
    case 'awssm': {
      const [, secretId, field] = AWS.exec(rest) ?? [];
      return secretId === undefined ? undefined : { scheme, text, secretId, field };
    }
    case 'gcpsm': {
      const match = GOOGLE.exec(rest);
      if (match === null) return undefined;
      return { scheme, text, version: match[1] === undefined ? `${rest}/versions/latest` : rest };
    }
    case 'azurekv': {
      const [, vaultUrl, name, version] = AZURE.exec(rest) ?? [];
      return vaultUrl === undefined || name === undefined
        ? undefined
        : { scheme, text, vaultUrl, name, version };
    }
  }
}

/** Undefined for what is no remote reference at all. */
export function readRemoteReference(
  text: string,
): { readonly reference: RemoteReference } | { readonly problem: string } | undefined {
  const match = REMOTE.exec(text.trim());
  if (match === null) return undefined;
  const scheme = match[1] as keyof typeof FORMS;
  const reference = parsed(scheme, text.trim(), (match[2] ?? '').trim());
  return reference === undefined
    ? { problem: `is no reference that can be followed; write ${FORMS[scheme]}.` }
    : { reference };
}

/** Why it cannot be used, if so. */
function readingOf(value: string): SecretReading {
  const text = value.replace(/[\r\n]+$/, '');
  if (text === '') return { problem: 'is empty there.' };
  if (text.length > LARGEST_VALUE) return { problem: 'is too large there for a setting.' };
  return { value: text, isLiteral: false };
}

async function inTime(reference: RemoteReference, read: ReadRemote, seconds: number): Promise<SecretReading> {
  const ending = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      ending.abort();
      reject(new UnreadableReference(`There was no answer within ${seconds} s.`));
    }, seconds * 1_000);
  });
  try {
    return readingOf(await Promise.race([read(reference, ending.signal), late]));
  } catch (error) {
    // The text of an error that nobody foresaw may hold anything.
    const why = error instanceof UnreadableReference ? error.message : 'It failed for an unforeseen reason.';
    return { problem: `cannot be read: ${why}` };
  } finally {
    clearTimeout(timer);
  }
}

/** What references led to, asked for once each. A first look without answers says what has to be asked. */
export class RemoteReferences {
  readonly #wanted = new Map<string, RemoteReference>();
  readonly #readings = new Map<string, SecretReading>();

  look(reference: RemoteReference): SecretReading {
    const reading = this.#readings.get(reference.text);
    if (reading !== undefined) return reading;
    this.#wanted.set(reference.text, reference);
    return { problem: 'is kept elsewhere and has not been asked for.' };
  }

  get isComplete(): boolean {
    return this.#wanted.size === 0;
  }

  /** All at once; each has its own limit, and none that fails keeps the others from being read. */
  async ask(read: ReadRemote, seconds = LIMIT_SECONDS): Promise<void> {
    const wanted = [...this.#wanted.values()];
    this.#wanted.clear();
    await Promise.all(
      wanted.map(async (reference, index) => {
        const reading =
          index < MOST_REFERENCES
            ? await inTime(reference, read, seconds)
            : {
                problem: `is one of more than ${MOST_REFERENCES} references; put several fields in one secret.`,
              };
        this.#readings.set(reference.text, reading);
      }),
    );
  }
}

/**
 * Loads twice when something is kept elsewhere: the first time to learn what, the second with the answers, so that
 * all faults are found in one run.
 */
export async function withRemote<T>(
  load: (remote: RemoteReferences) => T,
  reader: () => ReadRemote,
): Promise<T> {
  const remote = new RemoteReferences();
  try {
    const loaded = load(remote);
    if (remote.isComplete) return loaded;
  } catch (error) {
    if (remote.isComplete) throw error;
  }
  await remote.ask(reader());
  return load(remote);
}
