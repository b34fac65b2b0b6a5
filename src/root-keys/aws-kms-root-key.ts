import type { KMSClient } from '@aws-sdk/client-kms';
import { type RootKeyReference, showRootKeyReference } from '../config/root-key-reference.js';
import {
  bound,
  fingerprintOf,
  notOpened,
  type RootKey,
  rootKeyUnavailable,
  unbound,
} from '../crypto/root-key.js';
import { quotedReasons } from '../outbound/vault-error.js';

const CONNECTED_WITHIN_MS = 3_000;
const ANSWERED_WITHIN_MS = 5_000;
const ATTEMPTS = 3;
/** What KMS says of a ciphertext; everything else is about access or about KMS. */
const NOT_OPENED: ReadonlySet<string> = new Set(['InvalidCiphertextException', 'IncorrectKeyException']);

/**
 * A symmetric key of AWS KMS. Credentials come from where the SDK looks for them: environment, shared files, container,
 * instance.
 */
export function awsKmsRootKey(reference: RootKeyReference & { readonly backend: 'aws-kms' }): RootKey {
  const { arn, region } = reference;
  const shown = showRootKeyReference(reference);
  let opening: Promise<Kms> | undefined;
  const kms = (): Promise<Kms> => {
    opening ??= open(region, shown);
    return opening;
  };
  return {
    id: fingerprintOf(shown),
    backend: 'aws-kms',
    reference: shown,
    async wrap(key, context) {
      const { client, sdk } = await kms();
      const Plaintext = bound(key, context);
      const command = new sdk.EncryptCommand({
        KeyId: arn,
        Plaintext,
        // Authenticated with the value, and readable in CloudTrail: it names the row and nothing secret.
        EncryptionContext: { claviger: context },
      });
      const { CiphertextBlob } = await client.send(command).catch(error => {
        throw unavailable(shown, error, [Plaintext.toString('base64')]);
      });
      if (CiphertextBlob === undefined) throw unavailable(shown, new Error('KMS gave no ciphertext'));
      return Buffer.from(CiphertextBlob).toString('base64url');
    },
    async unwrap(wrapped, context) {
      const { client, sdk } = await kms();
      const command = new sdk.DecryptCommand({
        // Without it KMS would use whatever key the ciphertext names.
        KeyId: arn,
        CiphertextBlob: Buffer.from(wrapped, 'base64url'),
        EncryptionContext: { claviger: context },
      });
      const { Plaintext } = await client.send(command).catch(error => {
        if (NOT_OPENED.has(nameOf(error))) throw notOpened(context, `AWS KMS: ${nameOf(error)}`, error);
        throw unavailable(shown, error);
      });
      if (Plaintext === undefined) throw unavailable(shown, new Error('KMS gave no plaintext'));
      return unbound(Buffer.from(Plaintext), context);
    },
    close() {
      void opening?.then(
        ({ client }) => client.destroy(),
        () => undefined,
      );
      opening = undefined;
    },
  };
}

interface Kms {
  readonly client: KMSClient;
  readonly sdk: typeof import('@aws-sdk/client-kms');
}

async function open(region: string, shown: string): Promise<Kms> {
  // An optional peer: only who names such a key needs it.
  const sdk = await import('@aws-sdk/client-kms').catch(cause => {
    throw rootKeyUnavailable(
      shown,
      'Its package cannot be loaded. Run: npm install @aws-sdk/client-kms',
      cause,
    );
  });
  const client = new sdk.KMSClient({
    region,
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECTED_WITHIN_MS, requestTimeout: ANSWERED_WITHIN_MS },
  });
  return { client, sdk };
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown';
}

/** @param secrets never repeated, even if the other side does. */
function unavailable(shown: string, error: unknown, secrets: readonly string[] = []): Error {
  const says = quotedReasons([error instanceof Error ? `${error.name}: ${error.message}` : ''], secrets);
  return rootKeyUnavailable(
    shown,
    `AWS KMS does not serve it${says}. Check the network, the credentials, and that the key is enabled and grants kms:Encrypt and kms:Decrypt.`,
    error,
  );
}
