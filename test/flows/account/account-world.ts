import { createHash, randomBytes } from 'node:crypto';
import { TOTP } from 'otpauth';
import { createClient, type NewClientInput } from '../../../src/clients/change-client.js';
import type { ClientRecord } from '../../../src/clients/client.js';
import type { UpstreamProvider } from '../../../src/config/federation-file.js';
import { PasswordHasher } from '../../../src/crypto/password-hash.js';
import type { Database } from '../../../src/database/connect.js';
import type { MailDelivery, Outbox } from '../../../src/delivery/outbox.js';
import { type Access, openAccess } from '../../../src/oidc/people.js';
import type { RunningServer } from '../../../src/server.js';
import { createUser } from '../../../src/users/change-user.js';
import type { PeopleContext } from '../../../src/users/people-context.js';
import type { User } from '../../../src/users/user.js';
import { FormBrowser, type Landing, roundRobin } from '../../support/form-browser.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import {
  type Answer,
  basic,
  Cluster,
  ISSUER,
  OPERATOR,
  post,
  type SeededClient,
} from '../../support/nodes.js';

export const PASSWORD = 'ferret lamp under bridge';
export const NEXT_PASSWORD = 'eleven quiet radishes sang';
const REDIRECT_URI = 'https://ledger.example.test/callback';

export interface ConnectedClient {
  readonly client: SeededClient;
  readonly refreshToken: string;
}

/** Nodes with people, whose time a test moves. */
export class AccountWorld {
  readonly time: MovedTime = installMovedTime();
  readonly #cluster: Cluster;
  #context: PeopleContext | undefined;
  #access: Access | undefined;

  readonly #issuer: string;

  constructor(url: string, issuer = ISSUER) {
    this.#issuer = issuer;
    const { clock, databaseClockOffset } = this.time;
    const env = { CLAVIGER_ISSUER: issuer, CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '127.0.0.1/32' };
    this.#cluster = new Cluster({ url, clock, databaseClockOffset, env });
  }

  async start(upstreamProviders: readonly UpstreamProvider[] = [], nodes = 1): Promise<void> {
    for (let count = 0; count < nodes; count += 1) {
      await this.#cluster.start({ hasTimers: false, upstreamProviders });
    }
    const { database, keys, nodeId, config } = await this.#cluster.operator();
    const access = openAccess({ database, nodeId, keys });
    this.#access = access;
    this.#context = {
      config,
      database,
      nodeId,
      hasher: keys.hasher,
      envelope: keys.accountEnvelope,
      passwords: new PasswordHasher(),
      outbox: access.outbox,
      endAccess: access.ending.endAccess,
    };
  }

  async close(): Promise<void> {
    await this.#cluster.close();
    this.time.restore();
  }

  get node(): RunningServer {
    const [node] = this.#cluster.nodes;
    if (node === undefined) throw new Error('start it first');
    return node;
  }

  get context(): PeopleContext {
    if (this.#context === undefined) throw new Error('start it first');
    return this.#context;
  }

  get access(): Access {
    if (this.#access === undefined) throw new Error('start it first');
    return this.#access;
  }

  get database(): Database {
    return this.context.database;
  }

  async person(email: string): Promise<User> {
    const input = { email, password: PASSWORD, isEmailVerified: true };
    return createUser(this.context, input, { actor: OPERATOR });
  }

  browser(): FormBrowser {
    return new FormBrowser({ issuer: this.#issuer, pick: roundRobin(this.#cluster.nodes) });
  }

  /** A browser in which this person has just signed in, at `path` of the account. */
  async signedIn(email: string, path = '/account', password = PASSWORD): Promise<FormBrowser> {
    const browser = this.browser();
    await browser.get(path);
    await this.signIn(browser, email, password);
    return browser;
  }

  /** On the page that asks for it. */
  async signIn(browser: FormBrowser, email: string, password = PASSWORD): Promise<Landing> {
    const asksWho = browser.has('input[name="email"]:not([type="hidden"]):not([readonly])');
    return browser.submit('input[name="password"]', { ...(asksWho ? { email } : {}), password });
  }

  /** Another browser with the cookies that this one had at some time. */
  async thief(cookies: Readonly<Record<string, string>>): Promise<FormBrowser> {
    const browser = this.browser();
    for (const [name, value] of Object.entries(cookies)) {
      await browser.jar.setCookie(`${name}=${value}; Path=/`, this.#issuer);
    }
    return browser;
  }

  async moveBy(seconds: number): Promise<void> {
    this.time.moveBy(seconds);
    for (const node of this.#cluster.nodes) await node.tick();
  }

  /** What has been mailed since the last call. */
  async mails(): Promise<MailDelivery[]> {
    const outbox: Outbox = this.access.outbox;
    const mails: MailDelivery[] = [];
    for (const claimed of await outbox.take(this.database, 'mail', 100)) {
      const delivery = outbox.open(claimed);
      if (delivery.kind === 'mail') mails.push(delivery);
      await this.database.transaction(trx => outbox.done(trx, claimed));
    }
    return mails;
  }

  async client(
    name: string,
    input: Partial<NewClientInput> = {},
  ): Promise<SeededClient & { readonly record: ClientRecord }> {
    const { keys } = await this.#cluster.operator();
    const { config, nodeId } = this.context;
    const { client, secret } = await createClient(
      {
        database: this.database,
        nodeId,
        config: { ...this.#cluster.config, ...config },
        hasher: keys.hasher,
      },
      {
        name,
        grantTypes: ['authorization_code', 'refresh_token'],
        redirectUris: [REDIRECT_URI],
        oidcScopes: ['openid', 'email', 'offline_access'],
        resources: [],
        ...input,
      },
      OPERATOR,
    );
    for (const node of this.#cluster.nodes) await node.tick();
    if (secret === undefined) throw new Error('a client without a secret');
    return { clientId: client.clientId, clientSecret: secret.clientSecret, record: client };
  }

  /** In a browser that is signed in: the person allows the client, which gets its tokens. */
  async connect(browser: FormBrowser, client: SeededClient): Promise<ConnectedClient> {
    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({
      client_id: client.clientId,
      response_type: 'code',
      scope: 'openid email offline_access',
      prompt: 'consent',
      redirect_uri: REDIRECT_URI,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    await browser.get(`/oauth2/authorize?${query}`);
    const { departure } = await browser.submit(
      'button[value="allow"]',
      {},
      { button: 'button[value="allow"]' },
    );
    const code = departure?.parameters.code;
    if (code === undefined) throw new Error(`no code: ${browser.describe()}`);
    const answer = await post(
      this.node,
      '/oauth2/token',
      { grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI, code_verifier: verifier },
      basic(client),
    );
    if (answer.status !== 200) throw new Error(answer.text);
    return { client, refreshToken: String(answer.json.refresh_token) };
  }

  async refresh({ client, refreshToken }: ConnectedClient): Promise<Answer> {
    const body = { grant_type: 'refresh_token', refresh_token: refreshToken };
    return post(this.node, '/oauth2/token', body, basic(client));
  }
}

/** Whether the browser stands in front of signing in. */
export function mustSignIn(browser: FormBrowser): boolean {
  return new URL(browser.landing.url).pathname.includes('/interaction/');
}

export function pathOf(browser: FormBrowser): string {
  const { pathname, search } = new URL(browser.landing.url);
  return `${pathname}${search}`;
}

/** The words of the notice on the page. */
export function noticeOf(browser: FormBrowser): string {
  return (browser.landing.root.querySelector('main .banner[role="status"]')?.textContent ?? '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Of the secret that the page shows for typing. */
export function codeOf(browser: FormBrowser, at: number): string {
  const secret = /(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}/.exec(browser.landing.text)?.[0];
  if (secret === undefined) throw new Error(`no secret on ${browser.describe()}`);
  return new TOTP({ secret: secret.replaceAll(' ', '') }).generate({ timestamp: at });
}

export { ISSUER };
