/**
 * Signing in as oidc-provider's documentation shows it: one page, one password check, a grant made without asking.
 * The password costs what Claviger's costs. Nothing is throttled, and nobody writes down who signed in.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { hash, verify } from '@node-rs/argon2';
import type { Configuration, KoaContextWithOIDC, Provider } from 'oidc-provider';
import {
  BENCH_PASSWORD,
  BENCH_PEOPLE,
  BENCH_RESOURCES,
  BENCH_SCOPE,
  benchEmail,
  PEOPLE_SCOPE,
} from './bench-names.js';

/** As src/crypto/password-hash.ts; argon2id is the library's default. */
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;
const PREFIX = '/interaction/';

/** Hash by e-mail address. */
export type Accounts = ReadonlyMap<string, string>;

export async function newAccounts(): Promise<Accounts> {
  const stored = await hash(BENCH_PASSWORD, ARGON2);
  return new Map(Array.from({ length: BENCH_PEOPLE }, (_, index) => [benchEmail(index), stored]));
}

/** What was granted once is granted in each session: the same that a remembered consent gives. */
async function loadExistingGrant(ctx: KoaContextWithOIDC) {
  const { session, client, account, provider } = ctx.oidc;
  if (session === undefined || client === undefined || account === undefined) return undefined;
  const grantId = session.grantIdFor(client.clientId);
  const known = grantId === undefined ? undefined : await provider.Grant.find(grantId);
  if (known !== undefined) return known;
  const grant = new provider.Grant({ accountId: account.accountId, clientId: client.clientId });
  grant.addOIDCScope(PEOPLE_SCOPE);
  grant.addResourceScope(BENCH_RESOURCES.es256, BENCH_SCOPE);
  await grant.save();
  return grant;
}

export const peopleConfiguration: Configuration = {
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  pkce: { required: () => true },
  issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  loadExistingGrant,
};

export function isInteraction({ url }: IncomingMessage): boolean {
  return url?.startsWith(PREFIX) === true;
}

export function answerInteraction(
  provider: Provider,
  accounts: Accounts,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  answer(provider, accounts, request, response).catch(error => {
    process.stderr.write(`${error.stack}\n`);
    response.writeHead(500).end();
  });
}

async function answer(
  provider: Provider,
  accounts: Accounts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { uid } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    response.setHeader('Content-Type', 'text/html');
    response.end(`<!doctype html><title>Sign in</title><form method="post" action="${PREFIX}${uid}">
      <input name="email" type="email"><input name="password" type="password"><button>Sign in</button></form>`);
    return;
  }
  const form = new URLSearchParams(await text(request));
  const email = form.get('email') ?? '';
  const stored = accounts.get(email);
  if (stored === undefined || !(await verify(stored, form.get('password') ?? ''))) {
    response.writeHead(422).end();
    return;
  }
  await provider.interactionFinished(request, response, { login: { accountId: email, amr: ['pwd'] } });
}
