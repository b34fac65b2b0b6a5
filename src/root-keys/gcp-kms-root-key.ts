import { type RootKeyReference, showRootKeyReference } from '../config/root-key-reference.js';
import {
  bound,
  fingerprintOf,
  notOpened,
  type RootKey,
  rootKeyUnavailable,
  unbound,
} from '../crypto/root-key.js';
import { AppError } from '../errors.js';
import type { GuardedFetch } from '../outbound/guarded-fetch.js';
import { recordIn } from '../outbound/vault-connection.js';
import { quotedReasons } from '../outbound/vault-error.js';

const SCOPE = 'https://www.googleapis.com/auth/cloudkms';
const ATTEMPTS = 3;
const PAUSE_MS = 200;
const TOKEN_WITHIN_MS = 5_000;
const WORTH_ANOTHER_TRY: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);

export interface GcpKmsParts {
  readonly fetch: GuardedFetch;
  /** Default: the service account of the machine, or what GOOGLE_APPLICATION_CREDENTIALS names. */
  readonly accessToken?: () => Promise<string>;
  /** Default: Google's. */
  readonly endpoint?: string;
}

/** A symmetric key of Google Cloud KMS, by its REST interface. */
export function gcpKmsRootKey(
  reference: RootKeyReference & { readonly backend: 'gcp-kms' },
  parts: GcpKmsParts,
): RootKey {
  const shown = showRootKeyReference(reference);
  const { endpoint = 'https://cloudkms.googleapis.com', accessToken = applicationDefault(shown) } = parts;
  const call = async (verb: 'encrypt' | 'decrypt', input: Buffer | string, context: string) => {
    const member = verb === 'encrypt' ? 'plaintext' : 'ciphertext';
    const value = typeof input === 'string' ? input : input.toString('base64');
    // Never repeated, even if the other side does.
    const secrets = [value];
    const answer = await attempts(shown, async () => {
      const token = await inTime(shown, accessToken()).catch(cause => {
        if (cause instanceof AppError) throw cause;
        throw rootKeyUnavailable(shown, `Google gives no access token${says(cause)}.`, cause);
      });
      secrets.push(token);
      return parts.fetch(`${endpoint}/v1/${reference.key}:${verb}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          [member]: value,
          additionalAuthenticatedData: Buffer.from(context).toString('base64'),
        }),
      });
    });
    const body = await bodyOf(answer);
    const result = body[verb === 'encrypt' ? 'ciphertext' : 'plaintext'];
    if (answer.ok && typeof result === 'string') return result;
    const error = errorIn(body);
    const reason = quotedReasons([error.message], secrets);
    if (verb === 'decrypt' && answer.status === 400 && error.status === 'INVALID_ARGUMENT') {
      throw notOpened(context, `Google KMS refuses it${reason}`);
    }
    throw rootKeyUnavailable(
      shown,
      `Google KMS answers ${answer.status} ${error.status}${reason}. Check that the key is enabled and grants cloudkms.cryptoKeyVersions.useToEncrypt and useToDecrypt.`,
    );
  };
  return {
    id: fingerprintOf(shown),
    backend: 'gcp-kms',
    reference: shown,
    wrap: (key, context) => call('encrypt', bound(key, context), context),
    unwrap: async (wrapped, context) =>
      unbound(Buffer.from(await call('decrypt', wrapped, context), 'base64'), context),
    close: () => undefined,
  };
}

/** Both calls may be made again: neither changes anything at Google. */
async function attempts(shown: string, send: () => Promise<Response>): Promise<Response> {
  for (let attempt = 1; ; attempt += 1) {
    let answer: Response | undefined;
    let failure: unknown;
    try {
      answer = await send();
    } catch (error) {
      if (error instanceof AppError) throw error;
      failure = error;
    }
    if (answer !== undefined && !WORTH_ANOTHER_TRY.has(answer.status)) return answer;
    if (attempt === ATTEMPTS) {
      if (answer !== undefined) return answer;
      throw rootKeyUnavailable(
        shown,
        `Google KMS did not answer${says(failure)}. Check the network.`,
        failure,
      );
    }
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS * attempt));
  }
}

function applicationDefault(shown: string): () => Promise<string> {
  let opening: Promise<{ getAccessToken(): Promise<string | null | undefined> }> | undefined;
  return async () => {
    opening ??= import('google-auth-library').then(
      ({ GoogleAuth }) => new GoogleAuth({ scopes: [SCOPE] }),
      cause => {
        throw rootKeyUnavailable(
          shown,
          'Its package cannot be loaded. Run: npm install google-auth-library',
          cause,
        );
      },
    );
    const token = await (await opening).getAccessToken();
    if (typeof token === 'string' && token !== '') return token;
    throw rootKeyUnavailable(shown, 'Google gives no access token: this machine has no service account.');
  };
}

async function bodyOf(answer: Response): Promise<Record<string, unknown>> {
  try {
    const body: unknown = JSON.parse(await answer.text());
    return typeof body === 'object' && body !== null ? { ...body } : {};
  } catch {
    return {};
  }
}

function errorIn(body: Record<string, unknown>): { readonly status: string; readonly message: string } {
  const { status, message } = recordIn(body, 'error');
  return {
    status: typeof status === 'string' && /^[A-Z_]{1,40}$/.test(status) ? status : '',
    message: typeof message === 'string' ? message : '',
  };
}

function says(error: unknown): string {
  return quotedReasons([error instanceof Error ? error.message : String(error)]);
}

/** The library that asks for tokens tries again for as long as it likes. */
async function inTime(shown: string, token: Promise<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(rootKeyUnavailable(shown, `Google gives no access token within ${TOKEN_WITHIN_MS / 1000} s.`));
    }, TOKEN_WITHIN_MS);
  });
  try {
    return await Promise.race([token, late]);
  } finally {
    clearTimeout(timer);
  }
}
