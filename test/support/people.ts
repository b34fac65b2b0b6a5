import { createClient, type NewClientInput } from '../../src/clients/change-client.js';
import { PasswordHasher } from '../../src/crypto/password-hash.js';
import { openAccess } from '../../src/oidc/people.js';
import { createUser, type NewUserInput } from '../../src/users/change-user.js';
import type { PeopleContext } from '../../src/users/people-context.js';
import type { User } from '../../src/users/user.js';
import type { FormBrowser, Landing } from './form-browser.js';
import { type Cluster, OPERATOR } from './nodes.js';
import {
  CLIENT_ORIGIN,
  LOGGED_OUT_URI,
  REDIRECT_URI,
  type RegisteredClient,
  RelyingParty,
} from './relying-party.js';

/** More pages than any sign-in has. */
const MOST_PAGES = 8;
export const PASSWORD = 'ferret lamp under bridge';

/** Someone who knows what is asked of them. */
export interface Person {
  readonly user: User;
  readonly email: string;
  readonly password: string;
}

export interface SignInAnswers {
  /** To the question whether the client may. */
  readonly consent?: 'allow' | 'deny';
  /** The second factor, when it is asked for. */
  readonly code?: () => string | Promise<string>;
}

/** What changes of accounts work with, beside the nodes. */
export async function peopleContext(cluster: Cluster): Promise<PeopleContext> {
  const { database, keys, nodeId, config } = await cluster.operator();
  const { outbox, ending } = openAccess({ database, nodeId, keys });
  return {
    config,
    database,
    nodeId,
    hasher: keys.hasher,
    envelope: keys.accountEnvelope,
    passwords: new PasswordHasher(),
    outbox,
    endAccess: ending.endAccess,
  };
}

let count = 0;

export async function seedUser(cluster: Cluster, input: Partial<NewUserInput> = {}): Promise<Person> {
  count += 1;
  const { email = `person-${count}@example.test`, password = PASSWORD } = input;
  const given = { isEmailVerified: true, ...input, email, password };
  const user = await createUser(await peopleContext(cluster), given, { actor: OPERATOR });
  return { user, email, password };
}

async function seed(cluster: Cluster, input: NewClientInput): Promise<RegisteredClient> {
  const { database, keys, nodeId, config } = await cluster.operator();
  const context = { database, nodeId, config, hasher: keys.hasher };
  const { client, secret } = await createClient(context, input, OPERATOR);
  const { clientId, authMethod, redirectUris, requirePkce: requiresPkce } = client;
  const redirectUri = redirectUris[0] ?? '';
  return { clientId, clientSecret: secret?.clientSecret, redirectUri, authMethod, requiresPkce };
}

const EVERY_SCOPE = ['openid', 'profile', 'email', 'address', 'phone', 'offline_access'];

/** A confidential client with everything a person can be asked about. */
export async function seedWebClient(
  cluster: Cluster,
  input: Partial<NewClientInput> = {},
): Promise<RelyingParty> {
  const client = await seed(cluster, {
    name: 'Fieldbook',
    resources: [],
    redirectUris: [REDIRECT_URI],
    postLogoutRedirectUris: [LOGGED_OUT_URI],
    oidcScopes: EVERY_SCOPE,
    ...input,
  });
  return new RelyingParty(cluster.nodes, client, cluster.config.issuer);
}

/** A client that keeps no secret. */
export async function seedPublicClient(
  cluster: Cluster,
  input: Partial<NewClientInput> = {},
): Promise<RelyingParty> {
  return seedWebClient(cluster, { name: 'Fieldbook in the browser', authMethod: 'none', ...input });
}

/** Answers one page as its person would, whatever it asks; undefined: there is nothing that a person could answer. */
async function answerPage(
  browser: FormBrowser,
  { email, password }: Pick<Person, 'email' | 'password'>,
  { consent = 'allow', code }: SignInAnswers,
): Promise<'password' | 'code' | 'consent' | undefined> {
  if (browser.has('input[name="password"][autocomplete="current-password"]')) {
    const isFixed = browser.has('input[name="email"][readonly]');
    await browser.submit('input[name="password"]', { ...(isFixed ? {} : { email }), password });
    return 'password';
  }
  if (browser.has('input[name="code"]') && code !== undefined) {
    await browser.submit('input[name="code"]', { code: await code() });
    return 'code';
  }
  const button = `button[name="answer"][value="${consent}"]`;
  if (browser.has(button)) {
    await browser.submit(button, {}, { button });
    return 'consent';
  }
  return undefined;
}

/** Answers page after page from where the browser is, until it is sent to the client. */
export async function walk(
  browser: FormBrowser,
  person: Pick<Person, 'email' | 'password'>,
  answers: SignInAnswers = {},
): Promise<Landing> {
  const answered = new Set<string>();
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    if (browser.landing.departure !== undefined) return browser.landing;
    const before = browser.describe();
    const kind = await answerPage(browser, person, answers);
    if (kind === undefined) throw new Error(`nobody can go on from ${before}`);
    // The same question again: the answer was not accepted.
    if (answered.has(kind)) throw new Error(`${kind} was asked for twice: ${before}`);
    answered.add(kind);
  }
  throw new Error(`more than ${MOST_PAGES} pages: ${browser.describe()}`);
}

/** Follows the client's link, signs in where it is asked for, and comes back to the client. */
export async function signIn(
  browser: FormBrowser,
  url: string,
  person: Pick<Person, 'email' | 'password'>,
  answers: SignInAnswers = {},
): Promise<Landing> {
  await browser.get(url, { from: CLIENT_ORIGIN });
  return walk(browser, person, answers);
}
