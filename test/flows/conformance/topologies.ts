import { expect } from 'chai';
import { decodeProtectedHeader } from 'jose';
import { deriveKeyPolicy } from '../../../src/keys/key-policy.js';
import { rotateNow } from '../../../src/keys/rotate.js';
import { freshSqlite } from '../../support/databases.js';
import { FormBrowser, type Landing, roundRobin } from '../../support/form-browser.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import { Cluster, OPERATOR } from '../../support/nodes.js';
import { type Person, seedUser, seedWebClient, signIn, walk } from '../../support/people.js';
import { type FreshDatabase, freshDatabase } from '../../support/postgres.js';
import type { Attempt, Parameters, RelyingParty, TokenSet } from '../../support/relying-party.js';

/** Milliseconds. */
const ROTATE_EVERY = 3_000;
/** Someone of whom everything is known, as the suite asks of the account it tests with. */
export const PROFILE = {
  name: 'Ada Lovelace',
  given_name: 'Ada',
  family_name: 'Lovelace',
  middle_name: 'King',
  nickname: 'ada',
  preferred_username: 'ada.lovelace',
  profile: 'https://people.example.test/ada',
  picture: 'https://people.example.test/ada.png',
  website: 'https://ada.example.test/',
  gender: 'female',
  birthdate: '1815-12-10',
  zoneinfo: 'Europe/London',
  locale: 'en-GB',
  phone_number: '+44 20 7946 0000',
  phone_number_verified: true,
  address: { street_address: '12 St James Square', locality: 'London', country: 'GB' },
};

export type ResponseMode = 'query' | 'form_post';

/** A finished sign-in of the suite's person. */
export interface SignedIn {
  readonly browser: FormBrowser;
  readonly attempt: Attempt;
  readonly landing: Landing;
  readonly tokens: TokenSet;
}

interface Visit {
  readonly browser?: FormBrowser;
  readonly client?: RelyingParty;
}

/** One installation under test, with the clients and the person that the OpenID Foundation's suite has. */
export class Suite {
  readonly cluster: Cluster;
  readonly person: Person;
  /** Plain OpenID Connect clients: no PKCE. */
  readonly client: RelyingParty;
  readonly otherClient: RelyingParty;
  /** Of the ID tokens so far, in order. */
  readonly kids: string[] = [];
  readonly #time: MovedTime;
  readonly #mode: ResponseMode;

  constructor(parts: {
    readonly cluster: Cluster;
    readonly person: Person;
    readonly clients: readonly [RelyingParty, RelyingParty];
    readonly time: MovedTime;
    readonly mode: ResponseMode;
  }) {
    this.cluster = parts.cluster;
    this.person = parts.person;
    [this.client, this.otherClient] = parts.clients;
    this.#time = parts.time;
    this.#mode = parts.mode;
  }

  /** A browser that has never been here; each of its requests goes to the next node. */
  browser(): FormBrowser {
    return new FormBrowser({ pick: roundRobin(this.cluster.nodes) });
  }

  attempt(more: Parameters = {}, client: RelyingParty = this.client): Attempt {
    return client.attempt({ ...(this.#mode === 'query' ? {} : { response_mode: this.#mode }), ...more });
  }

  /** From the client's link to its tokens; every check of the response and of the ID token on the way. */
  async signIn(more: Parameters = {}, visit: Visit = {}): Promise<SignedIn> {
    const { browser = this.browser(), client = this.client } = visit;
    const attempt = this.attempt(more, client);
    const landing = await signIn(browser, attempt.url, this.person);
    const tokens = await client.tokens(attempt, landing);
    this.kids.push(String(decodeProtectedHeader(tokens.idToken).kid));
    return { browser, attempt, landing, tokens };
  }

  /** Answers whatever is asked until the client gets its answer; first goes to the attempt's address, unless told not to. */
  async walk(browser: FormBrowser, { url }: Attempt, isNew = true): Promise<Landing> {
    return isNew ? signIn(browser, url, this.person) : walk(browser, this.person);
  }

  async moveBy(seconds: number): Promise<void> {
    this.#time.moveBy(seconds);
    for (const node of this.cluster.nodes) await node.tick();
  }
}

/** Rotates the keys of every algorithm again and again, as `key rotate --now --yes` would. */
class Rotations {
  completed = 0;
  readonly #cluster: Cluster;
  readonly #running: Promise<void>;
  #isStopped = false;
  #wake: () => void = () => undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { database, keys, nodeId, config } = await this.#cluster.operator();
    const envelope = keys.signingKeyEnvelope;
    const context = { database, nodeId, policy: deriveKeyPolicy(config), envelope, actor: OPERATOR };
    while (!this.#isStopped) {
      // Nodes announce the successors and say that they serve them; without that nothing is rotated.
      for (const node of this.#cluster.nodes) await node.tick();
      const decisions = await rotateNow(context, { now: true, acceptsRisk: true });
      if (decisions.every(({ outcome }) => outcome === 'rotates')) this.completed += 1;
      for (const node of this.#cluster.nodes) await node.tick();
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, ROTATE_EVERY);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
        if (this.#isStopped) this.#wake();
      });
    }
  }
}

interface Topology {
  readonly name: string;
  readonly nodes: number;
  readonly fresh: () => Promise<FreshDatabase>;
  /** Everything is done once more, with rotations meanwhile. */
  readonly rotates: boolean;
}

const TOPOLOGIES: readonly Topology[] = [
  { name: 'one node on SQLite', nodes: 1, fresh: freshSqlite, rotates: false },
  { name: 'three nodes on PostgreSQL behind a round robin', nodes: 3, fresh: freshDatabase, rotates: true },
];

async function openSuite(
  cluster: Cluster,
  time: MovedTime,
  nodes: number,
  mode: ResponseMode,
): Promise<Suite> {
  for (let count = 0; count < nodes; count += 1) await cluster.start();
  const person = await seedUser(cluster, { email: 'ada@example.test', profile: PROFILE });
  const client = await seedWebClient(cluster, { requirePkce: false });
  const otherClient = await seedWebClient(cluster, { name: 'Tideway', requirePkce: false });
  return new Suite({ cluster, person, clients: [client, otherClient], time, mode });
}

/** Declares the same tests for each topology; all tests of a file share its nodes. */
export function onEachTopology(mode: ResponseMode, body: (suite: () => Suite) => void): void {
  for (const { name, nodes, fresh, rotates } of TOPOLOGIES) {
    describe(`on ${name}`, () => {
      let time: MovedTime;
      let database: FreshDatabase;
      let cluster: Cluster;
      let suite: Suite;

      before(async () => {
        time = installMovedTime();
        database = await fresh();
        cluster = new Cluster({
          url: database.url,
          clock: time.clock,
          databaseClockOffset: time.databaseClockOffset,
          // Logout tokens are delivered to this machine.
          env: { CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '127.0.0.0/8' },
        });
        suite = await openSuite(cluster, time, nodes, mode);
      });

      after(async () => {
        await cluster.close();
        time.restore();
        await database.drop();
      });

      body(() => suite);
      if (rotates) whileKeysRotate(() => suite, body);
    });
  }
}

function whileKeysRotate(suite: () => Suite, body: (suite: () => Suite) => void): void {
  describe('while keys rotate', () => {
    let rotations: Rotations;
    let seen: number;

    before(() => {
      seen = suite().kids.length;
      rotations = new Rotations(suite().cluster);
    });

    after(async () => {
      await rotations.stop();
      expect(rotations.completed, 'rotations').to.be.at.least(1);
      // A plan of many sign-ins must have met several keys, or nothing was shown.
      const kids = suite().kids.slice(seen);
      if (kids.length > 20) expect(new Set(kids).size, 'signing keys').to.be.at.least(2);
    });

    body(suite);
  });
}
