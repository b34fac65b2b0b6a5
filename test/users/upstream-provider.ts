import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parse } from 'node-html-parser';
import { Provider } from 'oidc-provider';
import { CookieJar } from 'tough-cookie';

export interface UpstreamPerson {
  readonly email?: string;
  readonly email_verified?: unknown;
  readonly name?: string;
}

export interface Upstream {
  readonly issuer: string;
  readonly port: number;
  /** By subject: whoever signs in with this word has these claims. */
  readonly people: Map<string, UpstreamPerson>;
  /** How often its discovery document was read. */
  discovered(): number;
  /** As a browser would: signs in as the subject, consents, and comes back with this address. */
  signIn(url: string, subject: string, jar?: CookieJar): Promise<URL>;
  /** By path: the JSON that it answers instead, to play a provider that lies. */
  readonly lies: Map<string, string>;
  /** Answers every call with 503 until it is told otherwise. */
  break(isBroken: boolean): void;
  close(): Promise<void>;
}

const REDIRECT_URIS = ['https://id.example.com/interaction/federation/up'];

/** oidc-provider with its development pages, as another party runs it. */
export async function startUpstream(
  client: { readonly client_id: string; readonly client_secret: string },
  options: { readonly claimsInIdToken?: boolean; readonly redirectUris?: string[] } = {},
): Promise<Upstream> {
  const people = new Map<string, UpstreamPerson>();
  const server = createServer();
  await new Promise<void>(ready => {
    server.listen(0, '127.0.0.1', ready);
  });
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const provider = new Provider(issuer, {
    clients: [
      {
        ...client,
        redirect_uris: options.redirectUris ?? REDIRECT_URIS,
        grant_types: ['authorization_code'],
      },
    ],
    jwks: { keys: [{ ...key, kid: 'rs256', alg: 'RS256', use: 'sig' }] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    ttl: { Interaction: 60, Session: 3600, Grant: 60, AccessToken: 60, IdToken: 60, AuthorizationCode: 60 },
    conformIdTokenClaims: options.claimsInIdToken !== true,
    findAccount: (_ctx, accountId) => ({
      accountId,
      claims: () => ({ sub: accountId, ...people.get(accountId) }) as { sub: string },
    }),
  });
  let discovered = 0;
  let isBroken = false;
  const lies = new Map<string, string>();
  const callback = provider.callback();
  server.on('request', (request, response) => {
    if (request.url?.startsWith('/.well-known/openid-configuration')) discovered += 1;
    const lie = lies.get(request.url ?? '');
    if (isBroken) response.writeHead(503).end();
    else if (lie !== undefined) response.setHeader('content-type', 'application/json').end(lie);
    else callback(request, response);
  });

  async function signIn(url: string, subject: string, jar = new CookieJar()): Promise<URL> {
    const go = async (to: string, form?: URLSearchParams): Promise<Response> => {
      const answer = await fetch(to, {
        redirect: 'manual',
        headers: { cookie: await jar.getCookieString(to) },
        ...(form === undefined ? {} : { method: 'POST', body: form }),
      });
      for (const cookie of answer.headers.getSetCookie()) await jar.setCookie(cookie, to);
      return answer;
    };
    let at = url;
    let answer = await go(at);
    for (let step = 0; step < 12; step += 1) {
      const location = answer.headers.get('location');
      if (location !== null) {
        at = new URL(location, at).href;
        if (!at.startsWith(issuer)) return new URL(at);
        answer = await go(at);
        continue;
      }
      const page = parse(await answer.text());
      const action = page.querySelector('form')?.getAttribute('action');
      if (action === undefined) throw new Error(`no form at ${at}: ${page.text.slice(0, 300)}`);
      const prompt = page.querySelector('input[name=prompt]')?.getAttribute('value') ?? '';
      at = new URL(action, at).href;
      answer = await go(at, new URLSearchParams({ prompt, login: subject, password: 'any' }));
    }
    throw new Error('the journey does not end');
  }

  return {
    issuer,
    port,
    people,
    lies,
    discovered: () => discovered,
    signIn,
    break: broken => {
      isBroken = broken;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise(closed => server.close(closed));
    },
  };
}
