import { createHash, randomBytes } from 'node:crypto';
import { createClient, type NewClientInput } from '../../../src/clients/change-client.js';
import { PasswordHasher } from '../../../src/crypto/password-hash.js';
import { openAccess } from '../../../src/oidc/people.js';
import type { RunningServer } from '../../../src/server.js';
import { createUser, type NewUserInput } from '../../../src/users/change-user.js';
import type { PeopleContext } from '../../../src/users/people-context.js';
import { FormBrowser, type Landing, roundRobin } from '../../support/form-browser.js';
import {
  type Answer,
  answerOf,
  Cluster,
  type ClusterOptions,
  OPERATOR,
  post,
  RESOURCE,
  urlOf,
} from '../../support/nodes.js';

export const CALLBACK = 'https://rp.example.test/callback';
const PASSWORD = 'ferret lamp under bridge';

export interface Person {
  readonly userId: string;
  readonly email: string;
  readonly password: string;
}

export interface Registered {
  readonly clientId: string;
  /** Undefined: a public client. */
  readonly clientSecret: string | undefined;
}

export type Parameters = Readonly<Record<string, string | undefined>>;

export interface AuthorizationRequest {
  readonly parameters: Readonly<Record<string, string>>;
  readonly path: string;
  readonly verifier: string;
}

export interface Authorized {
  readonly request: AuthorizationRequest;
  readonly landing: Landing;
  readonly code: string;
}

/** Without what is undefined. */
export function given(parameters: Parameters): Record<string, string> {
  const entries = Object.entries(parameters).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return Object.fromEntries(entries);
}

/** An installation with people, clients and one or more nodes. */
export class Scene {
  readonly cluster: Cluster;
  #people = 0;

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  static async open(options: ClusterOptions, { nodes = 1, hasTimers = true } = {}): Promise<Scene> {
    const scene = new Scene(new Cluster(options));
    for (let count = 0; count < nodes; count += 1) await scene.cluster.start({ hasTimers });
    await scene.cluster.resourceServer();
    return scene;
  }

  get node(): RunningServer {
    const [node] = this.cluster.nodes;
    if (node === undefined) throw new Error('no node is running');
    return node;
  }

  async context(): Promise<PeopleContext> {
    const { database, keys, nodeId, config } = await this.cluster.operator();
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

  async person(input: Partial<NewUserInput> = {}): Promise<Person> {
    this.#people += 1;
    const email = `person-${this.#people}@example.org`;
    const checked = { email, password: PASSWORD, isEmailVerified: true, ...input };
    const user = await createUser(await this.context(), checked, { actor: OPERATOR });
    return { userId: user.id, email: checked.email, password: PASSWORD };
  }

  async register(input: Partial<NewClientInput> = {}): Promise<Registered> {
    const { database, keys, nodeId, config } = await this.cluster.operator();
    const { client, secret } = await createClient(
      { database, nodeId, config, hasher: keys.hasher },
      {
        name: 'Order desk',
        redirectUris: [CALLBACK],
        resources: [{ identifier: RESOURCE, scopes: ['orders.read', 'orders.write'] }],
        ...input,
      },
      OPERATOR,
    );
    return { clientId: client.clientId, clientSecret: secret?.clientSecret };
  }

  async relyingParty(input: Partial<NewClientInput> = {}): Promise<RelyingParty> {
    const registered = await this.register(input);
    return new RelyingParty(this, registered, input.redirectUris?.[0] ?? CALLBACK);
  }

  browser(languages = 'en'): FormBrowser {
    return new FormBrowser({ pick: roundRobin(this.cluster.nodes), languages });
  }

  close(): Promise<void> {
    return this.cluster.close();
  }
}

/** A client with a web page: begins requests, takes people through our pages, and uses what comes back. */
export class RelyingParty {
  readonly scene: Scene;
  readonly client: Registered;
  readonly redirectUri: string;

  constructor(scene: Scene, client: Registered, redirectUri: string) {
    this.scene = scene;
    this.client = client;
    this.redirectUri = redirectUri;
  }

  /** What is undefined in `parameters` is left out. */
  begin(parameters: Parameters = {}): AuthorizationRequest {
    const verifier = randomBytes(32).toString('base64url');
    const all = given({
      client_id: this.client.clientId,
      response_type: 'code',
      redirect_uri: this.redirectUri,
      scope: 'openid orders.read',
      state: randomBytes(12).toString('base64url'),
      code_challenge: challengeOf(verifier),
      code_challenge_method: 'S256',
      ...parameters,
    });
    return { parameters: all, path: `/oauth2/authorize?${new URLSearchParams(all)}`, verifier };
  }

  /** To a code, whatever pages are on the way. */
  async authorize(
    browser: FormBrowser,
    person: Person | undefined,
    parameters: Parameters = {},
  ): Promise<Authorized> {
    const request = this.begin(parameters);
    await browser.get(request.path, { from: 'https://rp.example.test' });
    const landing = await walk(browser, person);
    const code = landing.departure?.parameters.code;
    if (code === undefined) throw new Error(`no code, but ${landing.departure?.url ?? browser.describe()}`);
    return { request, landing, code };
  }

  /** Of a code, or with other values whatever else the token endpoint gives. */
  async redeem(
    { request, code }: Pick<Authorized, 'request' | 'code'>,
    parameters: Parameters = {},
    headers: Readonly<Record<string, string>> = {},
    node = this.scene.node,
  ): Promise<Answer> {
    const form = given({
      grant_type: 'authorization_code',
      code,
      redirect_uri: this.redirectUri,
      code_verifier: request.verifier,
      ...parameters,
    });
    return this.post('/oauth2/token', form, headers, node);
  }

  async refresh(
    refreshToken: unknown,
    parameters: Parameters = {},
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const form = given({ grant_type: 'refresh_token', refresh_token: String(refreshToken), ...parameters });
    return this.post('/oauth2/token', form, headers);
  }

  /** As this client, by its secret or, a public one, by its name. */
  async post(
    path: string,
    form: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
    node = this.scene.node,
  ): Promise<Answer> {
    const { clientId, clientSecret } = this.client;
    if (clientSecret === undefined) return post(node, path, { client_id: clientId, ...form }, headers);
    const credentials = Buffer.from(`${clientId}:${clientSecret}`).toString('base64');
    return post(node, path, form, { authorization: `Basic ${credentials}`, ...headers });
  }

  /** Signs in, consents and redeems: the token endpoint's answer. */
  async tokens(
    browser: FormBrowser,
    person: Person | undefined,
    parameters: Parameters = {},
  ): Promise<Answer> {
    const answer = await this.redeem(await this.authorize(browser, person, parameters));
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
    return answer;
  }
}

/** Signs in and consents, until the browser leaves us. */
export async function walk(browser: FormBrowser, person: Person | undefined): Promise<Landing> {
  for (let count = 0; count < 6; count += 1) {
    const { landing } = browser;
    if (landing.departure !== undefined) return landing;
    if (browser.has('input[name="password"]') && person !== undefined) {
      await browser.submit('form:has(input[name="password"])', fieldsOf(browser, person));
    } else if (browser.has('button[value="allow"]')) {
      await browser.submit('form:has(button[value="allow"])', {}, { button: 'button[value="allow"]' });
    } else return landing;
  }
  return browser.landing;
}

export function fieldsOf(browser: FormBrowser, { email, password }: Person): Record<string, string> {
  return browser.has('input[name="email"]') ? { email, password } : { password };
}

export function challengeOf(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}

/** One request at the front channel, without a browser: what the server itself answers. */
export async function ask(node: RunningServer, path: string, init: RequestInit = {}): Promise<Answer> {
  return answerOf(await fetch(urlOf(node, path), { redirect: 'manual', ...init }));
}

/** The parameters of an answer by redirect, and where it goes. */
export function redirectOf(answer: Answer): {
  readonly target: string;
  readonly parameters: Record<string, string>;
} {
  const location = answer.headers.get('location');
  if (location === null) throw new Error(`no redirect, but ${answer.status} ${answer.text.slice(0, 400)}`);
  const url = new URL(location, 'http://localhost:4400');
  const target = location.split(/[?#]/)[0] ?? '';
  return { target, parameters: Object.fromEntries(url.searchParams) };
}

/** Claims of a JWT whose signature the test does not ask about. */
export function claimsOf(token: unknown): Record<string, unknown> {
  const [, payload = ''] = String(token).split('.');
  return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
}

export async function userinfo(
  node: RunningServer,
  accessToken: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return ask(node, '/oauth2/userinfo', {
    headers: { authorization: `Bearer ${String(accessToken)}`, ...headers },
  });
}
