import { AppError } from '../errors.js';

/** Milliseconds for one answer of the issuer. */
const ANSWER_WITHIN_MS = 5_000;

export type Endpoint =
  | 'authorization_endpoint'
  | 'device_authorization_endpoint'
  | 'introspection_endpoint'
  | 'jwks_uri'
  | 'pushed_authorization_request_endpoint'
  | 'revocation_endpoint'
  | 'token_endpoint'
  | 'userinfo_endpoint';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Undefined when it is no JSON. */
  readonly body: unknown;
  readonly text: string;
}

/** @throws AppError `not_ready` when nobody answers. */
export async function request(url: string, init: RequestInit = {}): Promise<Answer> {
  try {
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    // A redirect could carry a secret to somebody else (RFC 6749 §3.2 knows none).
    const response = await fetch(url, { redirect: 'error', ...init, signal });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: parsed(text), text };
  } catch (cause) {
    const reason =
      cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new AppError(
      'not_ready',
      `Nobody answers at ${url} (${reason || 'no connection'}). Is the server running?`,
      {
        cause,
      },
    );
  }
}

function parsed(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** OpenID Connect Discovery §4 */
export async function metadataOf(issuer: string): Promise<Record<string, unknown>> {
  const url = `${issuer}/.well-known/openid-configuration`;
  const { status, body } = await request(url, { headers: { accept: 'application/json' } });
  if (status !== 200 || !isRecord(body)) {
    throw new AppError('not_ready', `${url} answers ${status} instead of the metadata of an issuer.`);
  }
  return body;
}

export function endpointOf(metadata: Record<string, unknown>, issuer: string, name: Endpoint): string {
  // RFC 8414 §3.3: whoever answers for another issuer must not be given our secrets.
  if (metadata.issuer !== issuer) {
    throw new AppError(
      'conflict',
      `The metadata at ${issuer} belongs to ${String(metadata.issuer)}. Give that by --issuer.`,
    );
  }
  const url = metadata[name];
  if (typeof url !== 'string') throw new AppError('not_found', `${issuer} offers no ${name}.`);
  return url;
}

/** RFC 6749 §2.3.1: both parts form-encoded, then Basic. */
export function basic(clientId: string, secret: string): string {
  const pair = `${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`;
  return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
}

export async function postForm(
  url: string,
  form: Readonly<Record<string, string | undefined>>,
  authorization: string,
): Promise<Answer> {
  const body = new URLSearchParams();
  for (const [name, value] of Object.entries(form)) if (value !== undefined) body.set(name, value);
  return request(url, { method: 'POST', headers: { authorization, accept: 'application/json' }, body });
}

/** The answer's body, or the server's own words of refusal (RFC 6749 §5.2). */
export function accepted({ status, body }: Answer, what: string): Record<string, unknown> {
  if (status >= 200 && status < 300) return isRecord(body) ? body : {};
  const { error, error_description: description } = isRecord(body) ? body : {};
  const words = [error, description].filter(word => typeof word === 'string').join(': ');
  throw new AppError('invalid_request', `${what} was refused (${status}). ${words}`.trim());
}
