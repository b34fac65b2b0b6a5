import type { RequestFacts } from '../../../src/audit/events.js';
import {
  deleteClient,
  disableClient,
  enableClient,
  type NewClientInput,
  updateClient,
} from '../../../src/clients/change-client.js';
import { type Access, openAccess } from '../../../src/oidc/people.js';
import type { ListedSession } from '../../../src/oidc/sessions.js';
import type { RunningServer } from '../../../src/server.js';
import type { PeopleContext } from '../../../src/users/people-context.js';
import { FormBrowser, roundRobin } from '../../support/form-browser.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import { type Answer, Cluster, type ClusterOptions, OPERATOR, RESOURCE } from '../../support/nodes.js';
import { type Person, peopleContext, seedUser, seedWebClient, signIn } from '../../support/people.js';
import { type Attempt, type Parameters, RelyingParty } from '../../support/relying-party.js';

export const OPAQUE_RESOURCE = 'https://api.example.test/archive';
export const NEXT_PASSWORD = 'eleven quiet radishes sang';
export const CIBA = 'urn:openid:params:grant-type:ciba';
export const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
export const ACTING = { actor: OPERATOR } as const;
const FACTS: RequestFacts = { requestId: 'test', ip: '192.0.2.1', userAgent: 'test' };

export interface LifecycleOptions extends Omit<ClusterOptions, 'clock' | 'databaseClockOffset'> {
  readonly nodes?: number;
  /** Default: nothing happens by itself, and the test moves time. */
  readonly hasTimers?: boolean;
}

/** Nodes, people and clients whose access begins and ends. */
export class LifecycleScene {
  readonly cluster: Cluster;
  readonly context: PeopleContext;
  readonly access: Access;
  readonly time: MovedTime;
  /** Asks about tokens of both resource servers. */
  readonly introspector: RelyingParty;

  private constructor(parts: {
    readonly cluster: Cluster;
    readonly context: PeopleContext;
    readonly access: Access;
    readonly time: MovedTime;
    readonly introspector: RelyingParty;
  }) {
    this.cluster = parts.cluster;
    this.context = parts.context;
    this.access = parts.access;
    this.time = parts.time;
    this.introspector = parts.introspector;
  }

  static async open({ nodes = 2, hasTimers = false, ...options }: LifecycleOptions): Promise<LifecycleScene> {
    const time = installMovedTime();
    const { clock, databaseClockOffset } = time;
    const cluster = new Cluster({ ...options, clock, databaseClockOffset });
    try {
      for (let count = 0; count < nodes; count += 1) await cluster.start({ hasTimers });
      const introspector = await seedWebClient(cluster);
      const introspectors = [introspector.client.clientId];
      await cluster.resourceServer({ introspectors, revocation: 'status-list' });
      await cluster.resourceServer({
        introspectors,
        identifier: OPAQUE_RESOURCE,
        accessTokenFormat: 'opaque',
      });
      const { database, nodeId, keys } = await cluster.operator();
      const access = openAccess({ database, nodeId, keys });
      const context = await peopleContext(cluster);
      return new LifecycleScene({ cluster, context, access, time, introspector });
    } catch (error) {
      // What does not come to be must not leave its time behind.
      await cluster.close();
      time.restore();
      throw error;
    }
  }

  node(index = 0): RunningServer {
    const node = this.cluster.nodes.at(index);
    if (node === undefined) throw new Error('no such node');
    return node;
  }

  person(): Promise<Person> {
    return seedUser(this.cluster);
  }

  client(input: Partial<NewClientInput> = {}): Promise<RelyingParty> {
    return seedWebClient(this.cluster, {
      grantTypes: ['authorization_code', 'refresh_token', DEVICE, CIBA],
      // Much is issued here, and RSA would take most of the time.
      idTokenSignedResponseAlg: 'ES256',
      resources: [
        { identifier: RESOURCE, scopes: ['orders.read', 'orders.write'], isDefault: true },
        { identifier: OPAQUE_RESOURCE, scopes: ['orders.read', 'orders.write'] },
      ],
      ...input,
    });
  }

  /** The same client, at one node only. */
  at(party: RelyingParty, index: number): RelyingParty {
    return new RelyingParty([this.node(index)], party.client, this.cluster.config.issuer);
  }

  browser(index?: number): FormBrowser {
    const pick = roundRobin(this.cluster.nodes);
    return new FormBrowser({
      pick: index === undefined ? pick : () => `http://127.0.0.1:${this.node(index).port}`,
    });
  }

  /** The same browser, whose requests one node takes. */
  elsewhere(browser: FormBrowser, index: number): FormBrowser {
    return Object.defineProperty(this.browser(index), 'jar', { value: browser.jar });
  }

  /** A code of this client for this person, who signs in and consents where asked. */
  async code(
    party: RelyingParty,
    browser: FormBrowser,
    person: Person,
    parameters: Parameters = {},
  ): Promise<{ readonly attempt: Attempt; readonly code: string }> {
    const attempt = party.attempt({ scope: 'openid orders.read', ...parameters });
    const { code, error } = party.response(attempt, await signIn(browser, attempt.url, person));
    if (code === undefined) throw new Error(`no code but ${error}`);
    return { attempt, code };
  }

  /** The token endpoint's answer to it. */
  async tokens(
    party: RelyingParty,
    browser: FormBrowser,
    person: Person,
    parameters: Parameters = {},
  ): Promise<Answer> {
    const { attempt, code } = await this.code(party, browser, person, parameters);
    const answer = await party.redeem(attempt, code);
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
    return answer;
  }

  async refreshToken(party: RelyingParty, browser: FormBrowser, person: Person): Promise<string> {
    const { json } = await this.tokens(party, browser, person, {
      scope: 'openid orders.read offline_access',
    });
    return String(json.refresh_token);
  }

  /** Live ones, the last used first. */
  sessions({ user }: Person): Promise<ListedSession[]> {
    return this.access.sessions.list(user.id);
  }

  /** The person confirms what a client elsewhere asks for, in their newest session. */
  async confirm(person: Person): Promise<void> {
    const [session] = await this.sessions(person);
    if (session === undefined) throw new Error('nobody is signed in');
    const { backchannel } = this.node().people;
    const [pending] = await backchannel.list(person.user.id);
    if (pending === undefined) throw new Error('nobody asks');
    const { sessionId, userId, amr, createdAt } = session;
    const current = { sessionId, userId, acr: undefined, amr, authenticatedAt: createdAt };
    await backchannel.answer(current, pending.handle, true, FACTS);
  }

  async disable({ client: { clientId } }: RelyingParty): Promise<void> {
    await disableClient(this.#changes, { clientId }, OPERATOR);
  }

  async enable({ client: { clientId } }: RelyingParty): Promise<void> {
    await enableClient(this.#changes, { clientId }, OPERATOR);
  }

  async delete({ client: { clientId } }: RelyingParty): Promise<void> {
    await deleteClient(this.#changes, { clientId }, OPERATOR);
  }

  /** Of what the client may ask for, `orders.read` is gone. */
  async removeScope({ client }: RelyingParty): Promise<void> {
    const resources = [RESOURCE, OPAQUE_RESOURCE].map(identifier => ({
      identifier,
      scopes: ['orders.write'],
      isDefault: identifier === RESOURCE,
    }));
    await updateClient(this.#changes, { clientId: client.clientId, resources }, OPERATOR);
  }

  async moveBy(seconds: number): Promise<void> {
    this.time.moveBy(seconds);
    await this.tick();
  }

  /** All nodes go, and as many come. */
  async restart(): Promise<void> {
    const gone = this.cluster.nodes.splice(0);
    await Promise.all(gone.map(node => node.close()));
    for (const _node of gone) await this.cluster.start({ hasTimers: false });
  }

  /** Every node does what its timers would do. */
  async tick(): Promise<void> {
    await Promise.all(this.cluster.nodes.map(node => node.tick()));
  }

  async close(): Promise<void> {
    await this.cluster.close();
    this.time.restore();
  }

  get #changes() {
    const { database, nodeId } = this.context;
    return { database, nodeId, config: this.cluster.config };
  }
}
