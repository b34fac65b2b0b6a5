import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { createGuardedFetch, type GuardedFetch, OutboundError } from './guarded-fetch.js';
import { VAULT_NETWORKS } from './vault-client.js';
import { isRecord, recordIn } from './vault-connection.js';
import { quotedReasons } from './vault-error.js';

/** Why a secret of a cloud cannot be read, and what to do; carries nothing of it. */
export class SecretStoreError extends Error {
  override readonly name = 'SecretStoreError';
}

/** Default: the clouds themselves, with the credentials that their libraries find on this machine. */
export interface SecretStoreParts {
  /** Private networks are allowed: clouds offer private endpoints under the same names. */
  readonly fetch?: GuardedFetch;
  readonly googleEndpoint?: string;
  readonly googleToken?: () => Promise<string>;
  readonly azureToken?: (scope: string, signal: AbortSignal) => Promise<string>;
  readonly aws?: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
}

export interface AzureSecretName {
  readonly vaultUrl: string;
  readonly name: string;
  readonly version: string | undefined;
}

const CONNECTED_WITHIN_MS = 2_000;
const ANSWERED_WITHIN_MS = 4_000;
const ATTEMPTS = 2;
const WORTH_ANOTHER_TRY: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);
const GOOGLE_SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const AZURE_API_VERSION = '7.4';

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : 'no reason given';
}

function missing(packageName: string): (cause: unknown) => never {
  return cause => {
    const found = isRecord(cause) || cause instanceof Error ? cause : {};
    // A package that is there and fails to load has another fault.
    if ('code' in found && found.code === 'ERR_MODULE_NOT_FOUND')
      throw new SecretStoreError(`Its package is missing. Run: npm install ${packageName}`, { cause });
    throw new SecretStoreError(
      `The package ${packageName} cannot be loaded${quotedReasons([textOf(cause)])}.`,
      {
        cause,
      },
    );
  };
}

/** One field of a secret that is a JSON object, or of the fields of a secret. */
export function fieldOf(secret: string | Readonly<Record<string, unknown>>, field: string): string {
  let fields: unknown = secret;
  if (typeof secret === 'string') {
    try {
      fields = JSON.parse(secret);
    } catch {
      // The message of the parser quotes what it read.
      fields = undefined;
    }
  }
  if (!isRecord(fields))
    throw new SecretStoreError(
      `The secret is no JSON object, so it has no field ${field}; leave #${field} out.`,
    );
  const value = Object.hasOwn(fields, field) ? fields[field] : undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new SecretStoreError(
    value === undefined
      ? `The secret has no field ${field}; correct the name, or add it.`
      : `The field ${field} of the secret is no text.`,
  );
}

const AWS_REMEDIES: Readonly<Record<string, string>> = {
  ResourceNotFoundException:
    'there is no such secret in this region; correct the name, or give the whole ARN',
  AccessDeniedException: 'grant secretsmanager:GetSecretValue (and kms:Decrypt on its key) to this machine',
  CredentialsProviderError: 'this machine has no credentials; give it a role',
  UnrecognizedClientException: 'the credentials of this machine are not valid',
  DecryptionFailure: 'grant kms:Decrypt on the key of the secret to this machine',
};

class AwsSecrets {
  readonly #parts: SecretStoreParts['aws'];
  readonly #clients = new Map<string, Promise<SecretsManagerClient>>();

  constructor(parts: SecretStoreParts['aws']) {
    this.#parts = parts;
  }

  async read(secretId: string, abortSignal: AbortSignal): Promise<string> {
    const sdk = await import('@aws-sdk/client-secrets-manager').catch(
      missing('@aws-sdk/client-secrets-manager'),
    );
    const client = await this.#client(secretId);
    try {
      const command = new sdk.GetSecretValueCommand({ SecretId: secretId });
      const { SecretString: text, SecretBinary: bytes } = await client.send(command, { abortSignal });
      if (text !== undefined) return text;
      return bytes === undefined ? '' : Buffer.from(bytes).toString('utf8');
    } catch (cause) {
      const name = cause instanceof Error ? cause.name : '';
      const remedy = AWS_REMEDIES[name] ?? 'check its region and the network (AWS_REGION)';
      throw new SecretStoreError(`AWS Secrets Manager: ${remedy}${quotedReasons([textOf(cause)])}.`, {
        cause,
      });
    }
  }

  async #client(secretId: string): Promise<SecretsManagerClient> {
    // An ARN says its region; a name is looked for where the machine is.
    const region = this.#parts?.region ?? /^arn:[^:]+:secretsmanager:([^:]+):/.exec(secretId)?.[1] ?? '';
    const found = this.#clients.get(region) ?? this.#open(region);
    this.#clients.set(region, found);
    return found;
  }

  async #open(region: string): Promise<SecretsManagerClient> {
    const { SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
    return new SecretsManagerClient({
      ...(region === '' ? {} : { region }),
      ...this.#parts,
      maxAttempts: ATTEMPTS,
      requestHandler: { connectionTimeout: CONNECTED_WITHIN_MS, requestTimeout: ANSWERED_WITHIN_MS },
    });
  }
}

async function called(
  fetch: GuardedFetch,
  who: string,
  url: string,
  token: string,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  for (let attempt = 1; ; attempt += 1) {
    let answer: Response;
    try {
      answer = await fetch(url, {
        headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
        signal,
      });
    } catch (cause) {
      if (attempt < ATTEMPTS && !signal.aborted) continue;
      const why = cause instanceof OutboundError ? ` (${cause.message})` : '';
      throw new SecretStoreError(`${who} cannot be reached${why}; check the network.`, { cause });
    }
    if (attempt < ATTEMPTS && WORTH_ANOTHER_TRY.has(answer.status)) continue;
    let body: unknown;
    try {
      body = await answer.json();
    } catch {
      body = {};
    }
    if (answer.ok && isRecord(body)) return body;
    const { message } = recordIn(body, 'error');
    const remedy =
      answer.status === 404
        ? 'there is no such secret; correct the name'
        : answer.status === 401 || answer.status === 403
          ? 'grant this machine reading of the secret'
          : `it answers ${answer.status}`;
    const says = typeof message === 'string' ? quotedReasons([message], [token]) : '';
    throw new SecretStoreError(`${who}: ${remedy}${says}.`);
  }
}

async function googleToken(): Promise<string> {
  const { GoogleAuth } = await import('google-auth-library').catch(missing('google-auth-library'));
  try {
    const token = await new GoogleAuth({ scopes: [GOOGLE_SCOPE] }).getAccessToken();
    if (typeof token === 'string' && token !== '') return token;
  } catch (cause) {
    throw new SecretStoreError(`Google gives no access token${quotedReasons([textOf(cause)])}.`, { cause });
  }
  throw new SecretStoreError('Google gives no access token: this machine has no service account.');
}

async function azureToken(scope: string, abortSignal: AbortSignal): Promise<string> {
  const { DefaultAzureCredential } = await import('@azure/identity').catch(missing('@azure/identity'));
  try {
    const token = await new DefaultAzureCredential().getToken(scope, { abortSignal });
    if (token !== null && token.token !== '') return token.token;
  } catch (cause) {
    throw new SecretStoreError(`Azure gives no access token${quotedReasons([textOf(cause)])}.`, { cause });
  }
  throw new SecretStoreError('Azure gives no access token: this machine has no identity.');
}

/** Secrets that a cloud keeps. Nothing is loaded and nobody called before the first is read. */
export class SecretStores {
  readonly #fetch: GuardedFetch;
  readonly #aws: AwsSecrets;
  readonly #parts: SecretStoreParts;
  readonly #tokens = new Map<string, Promise<string>>();

  constructor(parts: SecretStoreParts = {}) {
    this.#parts = parts;
    this.#fetch = parts.fetch ?? createGuardedFetch(VAULT_NETWORKS);
    this.#aws = new AwsSecrets(parts.aws);
  }

  /** @param secretId name or ARN */
  readAws(secretId: string, signal: AbortSignal): Promise<string> {
    return this.#aws.read(secretId, signal);
  }

  /** @param version `projects/P/secrets/S/versions/V` */
  async readGoogle(version: string, signal: AbortSignal): Promise<string> {
    const token = await this.#token('google', this.#parts.googleToken ?? googleToken);
    // A secret of one region is only served there.
    const location = /^projects\/[^/]+\/locations\/([^/]+)\//.exec(version)?.[1];
    const host = location === undefined ? 'secretmanager' : `secretmanager.${location}.rep`;
    const endpoint = this.#parts.googleEndpoint ?? `https://${host}.googleapis.com`;
    const body = await called(
      this.#fetch,
      'Google Secret Manager',
      `${endpoint}/v1/${version}:access`,
      token,
      signal,
    );
    const { data } = recordIn(body, 'payload');
    return typeof data === 'string' ? Buffer.from(data, 'base64').toString('utf8') : '';
  }

  async readAzure({ vaultUrl, name, version }: AzureSecretName, signal: AbortSignal): Promise<string> {
    // https://V.vault.azure.net → the scope of that cloud's vaults
    const scope = `https://${new URL(vaultUrl).hostname.replace(/^[^.]+\./, '')}/.default`;
    const ask = this.#parts.azureToken ?? azureToken;
    const token = await this.#token(scope, () => ask(scope, signal));
    const url = `${vaultUrl}/secrets/${name}${version === undefined ? '' : `/${version}`}?api-version=${AZURE_API_VERSION}`;
    const { value } = await called(this.#fetch, 'Azure Key Vault', url, token, signal);
    return typeof value === 'string' ? value : '';
  }

  /** One token for all secrets of one kind. */
  #token(of: string, ask: () => Promise<string>): Promise<string> {
    const token = this.#tokens.get(of) ?? ask();
    this.#tokens.set(of, token);
    return token;
  }
}
