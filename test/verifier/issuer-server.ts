import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

export const AUDIENCE = 'https://api.example';
export const START = Date.UTC(2026, 10, 25, 12);

/** Time that stands still until a test moves it. */
export class TestClock {
  at = START;
  readonly now = (): number => this.at;
  pass(seconds: number): void {
    this.at += seconds * 1000;
  }
  get seconds(): number {
    return Math.floor(this.at / 1000);
  }
}

export interface TestKey {
  readonly alg: string;
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

export async function makeKey(
  alg: string,
  kid: string,
  jwkChanges: Record<string, unknown> = {},
): Promise<TestKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig', ...jwkChanges };
  return { alg, kid, privateKey, publicKey, jwk };
}

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** Real HTTP on a port of its own. Counts requests by path; what it answers is changed by the test. */
export class IssuerServer {
  readonly requests = new Map<string, number>();
  readonly answers = new Map<string, Answer>();
  keys: JWK[] = [];
  cacheControl: string | undefined;
  readonly #server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    this.requests.set(path, (this.requests.get(path) ?? 0) + 1);
    let body = '';
    request.setEncoding('utf8');
    request.on('data', chunk => {
      body += chunk;
    });
    request.on('end', () => {
      const answer = this.answers.get(path);
      if (answer === undefined) response.writeHead(404).end();
      else answer(request, response, body);
    });
  });

  static async start(): Promise<IssuerServer> {
    const server = new IssuerServer();
    await new Promise<void>(resolve => server.#server.listen(0, '127.0.0.1', resolve));
    server.answers.set('/jwks', (_, response) => server.#answerKeys(response));
    server.answers.set('/.well-known/openid-configuration', (_, response) =>
      sendJson(response, { issuer: server.issuer, jwks_uri: server.jwksUri }),
    );
    return server;
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get jwksUri(): string {
    return `${this.issuer}/jwks`;
  }

  /** How often the keys were asked for. */
  get fetches(): number {
    return this.requests.get('/jwks') ?? 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => this.#server.close(resolve));
  }

  #answerKeys(response: ServerResponse): void {
    if (this.cacheControl !== undefined) response.setHeader('cache-control', this.cacheControl);
    sendJson(response, { keys: this.keys });
  }
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

export function claimsAt(issuer: string, seconds: number): Record<string, unknown> {
  return {
    iss: issuer,
    aud: AUDIENCE,
    sub: 'cl_service',
    client_id: 'cl_service',
    scope: 'orders:read orders:write',
    iat: seconds,
    exp: seconds + 600,
    jti: 'a1',
  };
}

export interface TokenChanges {
  readonly claims?: Record<string, unknown>;
  readonly without?: readonly string[];
  readonly header?: Record<string, unknown>;
}

/** A good token, but for the changes. */
export async function makeToken(
  key: TestKey,
  issuer: string,
  clock: TestClock,
  changes: TokenChanges = {},
): Promise<string> {
  const claims = { ...claimsAt(issuer, clock.seconds), ...changes.claims };
  for (const name of changes.without ?? []) delete claims[name];
  const header = { alg: key.alg, kid: key.kid, typ: 'at+jwt', ...changes.header };
  return new SignJWT(claims).setProtectedHeader(header).sign(key.privateKey);
}

export function encoded(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

/** A token put together by hand, as an attacker would. */
export function forge(header: unknown, claims: unknown, signature: string | Buffer = 'x'): string {
  return `${encoded(header)}.${encoded(claims)}.${Buffer.from(signature).toString('base64url')}`;
}
