import { randomInt } from 'node:crypto';
import type { Clock } from '../clock.js';
import { type GuardedFetch, OutboundError } from './guarded-fetch.js';
import { quotedReasons, VaultError, type VaultReason } from './vault-error.js';

export interface VaultRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Below `/v1/`, already made of checked segments. */
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

export interface VaultAnswer {
  readonly status: number;
  /** Empty when the answer was no JSON object. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly errors: readonly string[];
}

export interface VaultConnectionOptions {
  readonly address: string;
  readonly namespace: string;
  readonly fetch: GuardedFetch;
  readonly clock: Clock;
  readonly wait: (milliseconds: number) => Promise<void>;
  /** Seconds for one call with all its attempts. */
  readonly timeoutAfter: number;
}

interface Failure {
  readonly error: VaultError;
  /** Another attempt at once would end the same. */
  readonly isLasting: boolean;
}

const MOST_ATTEMPTS = 4;
const FIRST_PAUSE_MS = 100;
/** 412 is how a replica says that it has not caught up yet. */
const WORTH_ANOTHER_TRY: ReadonlySet<number> = new Set([412, 429, 500, 502, 503, 504]);

const CERTIFICATE_CODES: ReadonlySet<string> = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function recordIn(value: unknown, key: string): Readonly<Record<string, unknown>> {
  const inner = isRecord(value) ? value[key] : undefined;
  return isRecord(inner) ? inner : {};
}

function codeOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code;
  }
  return undefined;
}

/** Strings that must not come back in a message: whatever the other side echoes. */
function credentialsOf(request: VaultRequest, token: string | undefined): string[] {
  const sent = Object.values(request.body ?? {}).filter(value => typeof value === 'string');
  return token === undefined ? sent : [token, ...sent];
}

async function read(response: Response): Promise<VaultAnswer> {
  const text = await response.text();
  let body: unknown;
  try {
    body = text === '' ? {} : JSON.parse(text);
  } catch {
    // A proxy's page: the status says enough.
    body = {};
  }
  const record = isRecord(body) ? body : {};
  const errors = Array.isArray(record.errors) ? record.errors.filter(each => typeof each === 'string') : [];
  return { status: response.status, body: record, errors };
}

/** One Vault or OpenBao server by its HTTP API: attempts, limits, and sentences for what went wrong. */
export class VaultConnection {
  readonly #options: VaultConnectionOptions;
  readonly #base: URL;

  constructor(options: VaultConnectionOptions) {
    this.#options = options;
    this.#base = new URL(options.address.endsWith('/') ? options.address : `${options.address}/`);
  }

  get #at(): string {
    return `Vault at ${this.#base.host}`;
  }

  /**
   * Whatever the server decides about the request (2xx, 400, 403, 404) is an answer. Every request that is sent here
   * may be sent twice, so what looks passing is tried again within the time there is.
   */
  async call(request: VaultRequest, token: string | undefined): Promise<VaultAnswer> {
    const { clock, timeoutAfter, wait } = this.#options;
    const endsAt = clock.monotonic() + timeoutAfter * 1_000;
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#attempt(request, token, endsAt - clock.monotonic());
      if (!('error' in outcome)) return outcome;
      const pause = FIRST_PAUSE_MS * 3 ** (attempt - 1) + randomInt(FIRST_PAUSE_MS);
      const left = endsAt - clock.monotonic() - pause;
      if (attempt === MOST_ATTEMPTS || left <= 0 || outcome.isLasting) throw outcome.error;
      await wait(pause);
    }
  }

  async #attempt(
    request: VaultRequest,
    token: string | undefined,
    milliseconds: number,
  ): Promise<VaultAnswer | Failure> {
    const ending = new AbortController();
    const timer = setTimeout(() => ending.abort(), Math.max(1, milliseconds));
    const { namespace, fetch } = this.#options;
    try {
      const response = await fetch(new URL(`v1/${request.path}`, this.#base), {
        method: request.method,
        headers: {
          // Without it agents of Vault refuse the call: a page in somebody's browser cannot send it.
          'x-vault-request': 'true',
          accept: 'application/json',
          ...(token === undefined ? {} : { 'x-vault-token': token }),
          ...(namespace === '' ? {} : { 'x-vault-namespace': namespace }),
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        signal: ending.signal,
      });
      const answer = await read(response);
      if (answer.status >= 300 && answer.status < 400) return this.#redirected();
      return WORTH_ANOTHER_TRY.has(answer.status) ? this.#unable(request, token, answer) : answer;
    } catch (error) {
      return this.#unreachable(error);
    } finally {
      clearTimeout(timer);
    }
  }

  #failure(reason: VaultReason, says: string, cause?: unknown): Failure {
    return {
      error: new VaultError(reason, `${this.#at} ${says}${says.endsWith('?') ? '' : '.'}`, cause),
      isLasting: false,
    };
  }

  /** A certificate or a forbidden address does not mend itself in a second. */
  #lasting(reason: VaultReason, says: string, cause?: unknown): Failure {
    return { ...this.#failure(reason, says, cause), isLasting: true };
  }

  #redirected(): Failure {
    // Following would give the token to whoever the answer names.
    const remedy = 'give the address of the active node or of a load balancer before all of them';
    return this.#lasting('failed', `redirects to another node; ${remedy}`);
  }

  #unable(request: VaultRequest, token: string | undefined, { status, errors }: VaultAnswer): Failure {
    const says = quotedReasons(errors, credentialsOf(request, token));
    if (status === 429)
      return this.#failure('rate_limited', `limits the rate of requests; raise its quota${says}`);
    if (status === 503 && errors.some(each => /sealed/i.test(each)))
      return this.#failure('sealed', 'is sealed; unseal it (vault operator unseal)');
    return this.#failure('failed', `fails with status ${status}; look at its log${says}`);
  }

  #unreachable(error: unknown): Failure {
    if (!(error instanceof OutboundError)) throw error;
    const code = codeOf(error);
    if (code !== undefined && CERTIFICATE_CODES.has(code)) {
      const remedy = 'give its certificate authority (vault.caFile) or mend the certificate';
      return this.#lasting(
        'unreachable',
        `has a certificate that is not trusted (${code}); ${remedy}`,
        error,
      );
    }
    switch (error.reason) {
      case 'timed_out':
        return this.#failure('unreachable', 'did not answer in time; is it running and reachable?', error);
      case 'unresolved':
        return this.#failure('unreachable', 'cannot be found: the name has no address', error);
      case 'too_large':
        return this.#lasting('failed', 'gave an answer that is too large; is it a Vault?', error);
      case 'forbidden':
        return this.#lasting(
          'unreachable',
          `is not called: ${error.message.split(';')[0]}; it must be https, or in a private network`,
          error,
        );
      default: {
        const seen = code === undefined ? '' : ` (${code})`;
        const question = 'is it running, and is the address right?';
        return this.#failure('unreachable', `cannot be reached${seen}; ${question}`, error);
      }
    }
  }

  /** The error for an answer that is not a success. `needs` names the capability that a policy must grant. */
  refusal(
    request: VaultRequest,
    token: string | undefined,
    { status, errors }: VaultAnswer,
    needs: string,
  ): VaultError {
    const says = quotedReasons(errors, credentialsOf(request, token));
    if (status === 403) {
      const remedy = `the policy of its token must grant "${needs}" on that path, and the token must be alive`;
      return new VaultError('denied', `${this.#at} denies ${request.path}: ${remedy}${says}.`);
    }
    if (status === 404)
      return new VaultError(
        'not_found',
        `${this.#at} has nothing at ${request.path}; correct the name or the mount, or create it${says}.`,
      );
    return new VaultError('refused', `${this.#at} refuses ${request.path} with status ${status}${says}.`);
  }
}
