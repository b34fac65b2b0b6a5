import { open } from 'node:fs/promises';
import type { Clock } from '../clock.js';
import { recordIn, type VaultConnection, type VaultRequest } from './vault-connection.js';
import { VaultError } from './vault-error.js';

/** What holds a secret without showing it by accident (`Secret` of the configuration is one). */
export interface Concealed {
  reveal(): string;
}

/** How this server shows Vault who it is. */
export type VaultAuthentication =
  | { readonly kind: 'token'; readonly token: Concealed }
  /** A file that somebody else (Vault Agent) keeps fresh; read again whenever it changes. */
  | { readonly kind: 'token_file'; readonly path: string }
  | {
      readonly kind: 'approle';
      /** Where the method is mounted; default `approle`. */
      readonly mount?: string;
      readonly roleId: string;
      readonly secretId: Concealed;
    }
  /** A JWT of the platform: the Kubernetes and the JWT method take the same request. Read again at each login. */
  | {
      readonly kind: 'jwt';
      /** Default `kubernetes`. */
      readonly mount?: string;
      readonly role: string;
      readonly jwtFile: string;
    };

export interface TokenSource {
  token(): Promise<string>;
  /** Vault denied this token: whether another one may be tried at once. */
  replaces(denied: string): Promise<boolean>;
}

const LARGEST_FILE = 16_384;
const PRINTABLE = /^[\x21-\x7E]+$/;
/** Renewed when this part of its life is over: failures then leave time for further tries. */
const RENEW_AT = 2 / 3;
/** A login that was just made is not repeated because of a denial: then it is the policy that denies. */
const FRESH_FOR_MS = 5_000;

async function readCredentialFile(path: string, what: string): Promise<string> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    file = await open(path, 'r');
    if ((await file.stat()).size > LARGEST_FILE)
      throw new VaultError('denied', `${path} is too large for ${what}.`);
    const text = (await file.readFile('utf8')).trim();
    if (!PRINTABLE.test(text))
      throw new VaultError('denied', `${path} does not hold ${what}; who writes it?`);
    return text;
  } catch (error) {
    if (error instanceof VaultError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new VaultError('denied', `${path}, which should hold ${what}, cannot be read (${code}).`, error);
  } finally {
    await file?.close();
  }
}

class FixedToken implements TokenSource {
  readonly #token: Concealed;

  constructor(token: Concealed) {
    this.#token = token;
  }

  async token(): Promise<string> {
    const token = this.#token.reveal();
    // Two lines of a file, say: what builds the request would repeat it in its complaint.
    if (!PRINTABLE.test(token)) throw new VaultError('denied', 'vault.token is no token of Vault.');
    return token;
  }

  async replaces(): Promise<boolean> {
    return false;
  }
}

class FileToken implements TokenSource {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Reading some bytes from memory costs less than being wrong about whether they changed. */
  async token(): Promise<string> {
    return readCredentialFile(this.#path, 'a token of Vault');
  }

  async replaces(denied: string): Promise<boolean> {
    return (await this.token()) !== denied;
  }
}

interface Lease {
  readonly token: string;
  readonly isRenewable: boolean;
  /** Milliseconds; Infinity for a token that does not end. */
  readonly lasts: number;
  readonly since: number;
}

type LoginRequest = () => Promise<VaultRequest>;

/** One login for all callers, renewed before it ends and repeated when it cannot be. */
class LoginToken implements TokenSource {
  readonly #connection: VaultConnection;
  readonly #clock: Clock;
  readonly #request: LoginRequest;
  #lease: Lease | undefined;
  #refreshing: Promise<Lease> | undefined;
  #failedAt: number | undefined;

  constructor(connection: VaultConnection, clock: Clock, request: LoginRequest) {
    this.#connection = connection;
    this.#clock = clock;
    this.#request = request;
  }

  async token(): Promise<string> {
    const lease = this.#lease;
    const now = this.#clock.monotonic();
    if (lease !== undefined && now - lease.since < lease.lasts * RENEW_AT) return lease.token;
    const isAlive = lease !== undefined && now - lease.since < lease.lasts;
    // While the old token lives, Vault being away is no reason to ask it at every call.
    if (isAlive && this.#failedAt !== undefined && now - this.#failedAt < FRESH_FOR_MS) return lease.token;
    this.#refreshing ??= this.#refresh(lease, isAlive).finally(() => {
      this.#refreshing = undefined;
    });
    try {
      return (await this.#refreshing).token;
    } catch (error) {
      if (!isAlive) throw error;
      this.#failedAt = this.#clock.monotonic();
      return lease.token;
    }
  }

  async replaces(denied: string): Promise<boolean> {
    const lease = this.#lease;
    if (lease === undefined || lease.token !== denied) return true;
    if (this.#clock.monotonic() - lease.since < FRESH_FOR_MS) return false;
    // Revoked, or forgotten by a restored Vault.
    this.#lease = undefined;
    return true;
  }

  async #refresh(lease: Lease | undefined, isAlive: boolean): Promise<Lease> {
    const renewed = lease?.isRenewable === true && isAlive ? await this.#renewed(lease) : undefined;
    this.#lease = renewed ?? (await this.#loggedIn());
    this.#failedAt = undefined;
    return this.#lease;
  }

  /** Undefined when it gained too little: near the end of its longest life a token is renewed for ever less. */
  async #renewed(lease: Lease): Promise<Lease | undefined> {
    const request: VaultRequest = { method: 'POST', path: 'auth/token/renew-self', body: {} };
    const since = this.#clock.monotonic();
    const answer = await this.#connection.call(request, lease.token);
    if (answer.status !== 200) return undefined;
    const renewed = this.#leaseOf(answer.body, since);
    return renewed === undefined || renewed.lasts < lease.lasts / 2 ? undefined : renewed;
  }

  async #loggedIn(): Promise<Lease> {
    const request = await this.#request();
    const since = this.#clock.monotonic();
    const answer = await this.#connection.call(request, undefined);
    const lease = answer.status === 200 ? this.#leaseOf(answer.body, since) : undefined;
    if (lease !== undefined) return lease;
    const refusal = this.#connection.refusal(request, undefined, answer, 'login');
    throw new VaultError(
      'denied',
      `The login at Vault fails; correct the role and its credential, or the mount of the method. ${refusal.message}`,
      refusal,
    );
  }

  #leaseOf(body: Readonly<Record<string, unknown>>, since: number): Lease | undefined {
    const { client_token: token, lease_duration: seconds, renewable } = recordIn(body, 'auth');
    if (typeof token !== 'string' || !PRINTABLE.test(token)) return undefined;
    const lasts = typeof seconds === 'number' && seconds > 0 ? seconds * 1_000 : Number.POSITIVE_INFINITY;
    return { token, isRenewable: renewable === true, lasts, since };
  }
}

export function createTokenSource(
  authentication: VaultAuthentication,
  connection: VaultConnection,
  clock: Clock,
  loginPath: (mount: string) => string,
): TokenSource {
  switch (authentication.kind) {
    case 'token':
      return new FixedToken(authentication.token);
    case 'token_file':
      return new FileToken(authentication.path);
    case 'approle': {
      const { mount = 'approle', roleId, secretId } = authentication;
      const path = loginPath(mount);
      return new LoginToken(connection, clock, async () => ({
        method: 'POST',
        path,
        body: { role_id: roleId, secret_id: secretId.reveal() },
      }));
    }
    case 'jwt': {
      const { mount = 'kubernetes', role, jwtFile } = authentication;
      const path = loginPath(mount);
      return new LoginToken(connection, clock, async () => {
        const jwt = await readCredentialFile(jwtFile, 'a JWT');
        return { method: 'POST', path, body: { role, jwt } };
      });
    }
  }
}
