import { expect } from 'chai';
import knexModule from 'knex';
import type { JwksFetch } from '../../src/keys/jwks-fetch.js';
import { JwksFetchStore } from '../../src/keys/jwks-fetch-store.js';
import { readRing } from '../../src/keys/key-store.js';
import type { RunningServer } from '../../src/server.js';
import { resultOf } from '../cli/captured-run.js';
import { forEachDatabase } from '../support/databases.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
import { type Answer, answerOf, basic, Cluster, post, type SeededClient, urlOf } from '../support/nodes.js';
import { auditRows } from '../support/tables.js';

const HOUR = 3600;
/** Seconds; the longest that verifiers may hold a promotion beyond it is half of it. */
const ANNOUNCE_FOR = 2 * HOUR;
const LISTED = '10.9.0.0/16';
const JOSE = 'jose/v6.2.18';
const DOTNET = 'Microsoft ASP.NET Core OpenIdConnect handler';

/** Three verifiers behind one proxy: one proves who it is, one is in a listed network, of one nobody knows anything. */
type Who = 'client' | 'listed' | 'anonymous';

interface ShownVerifiers {
  readonly seen: Record<string, unknown>[];
  readonly missing: Record<string, unknown>[];
}

/** Statements that anybody in this process sends to a database while `work` runs. */
async function statementsDuring(work: () => Promise<unknown>): Promise<number> {
  const client = knexModule.knex.Client.prototype as { query(...sent: unknown[]): unknown };
  const { query } = client;
  let sent = 0;
  client.query = function counted(...parts: unknown[]) {
    sent += 1;
    return query.apply(this, parts);
  };
  try {
    await work();
  } finally {
    client.query = query;
  }
  return sent;
}

describe('who has fetched a new key, over HTTP', () => {
  forEachDatabase((_name, fresh) => {
    let time: MovedTime;
    let url: string;
    let cluster: Cluster;
    let nodes: RunningServer[];
    let gateway: SeededClient;
    let logged: string[];

    const env = {
      CLAVIGER_KEYS_ANNOUNCE_FOR: `${ANNOUNCE_FOR}s`,
      CLAVIGER_KEYS_ROTATE_EVERY: `${ANNOUNCE_FOR}s`,
      CLAVIGER_KEYS_PROMOTION: 'wait-for-verifiers',
      CLAVIGER_KEYS_VERIFIER_NETWORKS: LISTED,
      CLAVIGER_HTTP_TRUSTED_PROXIES: '127.0.0.1',
    };

    before(async () => {
      time = installMovedTime();
      logged = [];
      ({ url } = await fresh());
      const { clock, databaseClockOffset } = time;
      cluster = new Cluster({ url, env, clock, databaseClockOffset, onLog: line => logged.push(line) });
      nodes = [await cluster.start({ hasTimers: false }), await cluster.start({ hasTimers: false })];
      await cluster.resourceServer();
      gateway = await cluster.client();
      // RS256 sits this out: each of its keys would take half a second to make.
      const { database } = await cluster.operator();
      const later = { announced_at: (await database.now()) + 365 * 24 * HOUR * 1000 };
      await database.write(on =>
        on('signing_keys').where({ alg: 'RS256', state: 'announced' }).update(later),
      );
    });
    after(async () => {
      await cluster.close();
      time.restore();
    });

    const tick = async () => {
      for (const node of nodes) await node.tick();
    };
    async function moveBy(seconds: number): Promise<void> {
      time.moveBy(seconds);
      // Twice: the first tells each node that the other serves the ring, too.
      await tick();
      await tick();
    }

    async function fetchJwks(
      who: Who,
      headers: Readonly<Record<string, string>> = {},
      { method = 'GET', at = 0 } = {},
    ): Promise<Answer> {
      const sender = {
        client: { 'user-agent': JOSE, 'x-forwarded-for': '192.0.2.7', ...basic(gateway) },
        listed: { 'user-agent': DOTNET, 'x-forwarded-for': '10.9.8.7' },
        anonymous: { 'user-agent': 'curl/8', 'x-forwarded-for': '203.0.113.7' },
      }[who];
      const node = nodes[at] as RunningServer;
      const sent = { method, headers: { ...sender, ...headers } };
      return answerOf(await fetch(urlOf(node, '/.well-known/jwks.json'), sent));
    }

    const rows = async () => (await cluster.operator()).database.read(on => new JwksFetchStore().list(on, 0));
    const rowOf = async (who: Who): Promise<JwksFetch | undefined> =>
      (await rows()).find(({ clientId, listedAs }) =>
        who === 'client'
          ? clientId === gateway.clientId
          : clientId === undefined && (listedAs !== undefined) === (who === 'listed'),
      );
    const keyIn = async (state: string) => {
      const { database } = await cluster.operator();
      const found = (await database.read(readRing)).keys.filter(
        key => key.alg === 'ES256' && key.state === state,
      );
      return String(found[0]?.kid);
    };
    const told = async (event: string, kid: string) => {
      const { database } = await cluster.operator();
      return (await auditRows(database)).filter(row => row.event === event && row.subject === kid);
    };
    async function shown(kid: string): Promise<ShownVerifiers> {
      const offset = { CLAVIGER_DATABASE_CLOCK_OFFSET_FOR: String(time.offset / 1000) };
      const { config, rootKey } = cluster;
      const whole = {
        ...env,
        ...offset,
        CLAVIGER_ENVIRONMENT: 'development',
        CLAVIGER_ISSUER: config.issuer,
      };
      const opens = { CLAVIGER_DATABASE_URL: url, CLAVIGER_ROOT_KEY: rootKey };
      const { keys } = await resultOf(['key', 'status'], {
        cwd: '/nonexistent',
        env: { ...whole, ...opens },
      });
      const key = (keys as { kid: string; verifiers: ShownVerifiers }[]).find(each => each.kid === kid);
      return key?.verifiers ?? { seen: [], missing: [] };
    }

    it('answers everybody the same bytes, whoever they say they are, without asking the database anything', async () => {
      const { headers, text } = await fetchJwks('anonymous');
      const senders: Record<string, string>[] = [
        basic(gateway),
        basic({ clientId: gateway.clientId, clientSecret: 'wrong' }),
        { authorization: 'Basic !!!' },
        { 'user-agent': `invented ${'x'.repeat(2000)}` },
        { 'x-forwarded-for': 'nobody' },
      ];
      const shownHeaders = (answer: Answer) => [...answer.headers].filter(([name]) => name !== 'date');
      const sent = await statementsDuring(async () => {
        for (const sender of senders) {
          const answer = await fetchJwks('anonymous', sender);
          expect(answer.status).to.equal(200);
          expect(answer.text).to.equal(text);
          expect(shownHeaders(answer)).to.deep.equal(shownHeaders({ ...answer, headers }));
          const etag = headers.get('etag') ?? '';
          expect((await fetchJwks('anonymous', { ...sender, 'if-none-match': etag })).status).to.equal(304);
          expect((await fetchJwks('anonymous', sender, { method: 'HEAD' })).status).to.equal(200);
        }
      });
      expect(sent).to.equal(0);
      // Control: what does ask the database is counted.
      const form = { grant_type: 'client_credentials' };
      const counted = await statementsDuring(() =>
        post(nodes[0] as RunningServer, '/oauth2/token', form, basic(gateway)),
      );
      expect(counted).to.be.greaterThan(0);
      await tick();
      await (await cluster.operator()).database.write(on => on('jwks_fetches').delete());
    });

    it('records GET answered with 200 and 304, and not HEAD, which hands out no key', async () => {
      const { headers } = await fetchJwks('listed');
      const known = { 'if-none-match': headers.get('etag') ?? '' };
      expect((await fetchJwks('listed', known, { at: 1 })).status).to.equal(304);
      expect((await fetchJwks('anonymous', {}, { method: 'HEAD' })).status).to.equal(200);
      await fetchJwks('client');
      expect(await rows(), 'before the nodes write').to.deep.equal([]);
      await tick();
      expect(await rows()).to.have.length(2);
      expect(await rowOf('anonymous')).to.equal(undefined);
      const version = nodes[0]?.ring.served.published.version;
      expect(await rowOf('listed')).to.include({
        network: '10.9.8.0/24',
        userAgent: DOTNET,
        listedAs: LISTED,
        ringVersion: version,
        fetches: 2,
      });
      expect(await rowOf('client')).to.include({ network: '192.0.2.0/24', ringVersion: version, fetches: 1 });
    });

    it('waits for nobody and warns of nobody where everybody has the key (control)', async () => {
      const { headers } = await fetchJwks('anonymous');
      await moveBy(HOUR + 1);
      const known = { 'if-none-match': headers.get('etag') ?? '' };
      expect((await fetchJwks('anonymous', known)).status).to.equal(304);
      await moveBy(HOUR);
      const { seen, missing } = await shown(await keyIn('announced'));
      // All three have had this successor from the start; its own successor is new to them.
      expect(seen).to.deep.equal([]);
      expect(missing.map(each => each.standing)).to.deep.equal(['client', 'listed', 'anonymous']);
      expect(await told('signing_key.promoted_unseen', await keyIn('active'))).to.deep.equal([]);
    });

    it('shows in `key status --json` who has the announced key, who lacks it, and when each is expected', async () => {
      await fetchJwks('listed');
      await tick();
      const { seen, missing } = await shown(await keyIn('announced'));
      expect(seen).to.have.length(1);
      expect(seen[0]).to.include({
        standing: 'listed',
        listed_as: LISTED,
        kind: 'dotnet',
        user_agent: DOTNET,
      });
      expect(missing).to.have.length(2);
      const [client, stranger] = missing;
      expect(client).to.include({ standing: 'client', client_id: gateway.clientId, kind: 'jose' });
      expect(stranger).to.include({ standing: 'anonymous', client_id: null, kind: 'unknown' });
      for (const [each, cachesFor] of [
        [client, 600],
        [stranger, 24 * HOUR],
      ] as const) {
        const lastSeenAt = Date.parse(String(each?.last_seen_at));
        expect(Date.parse(String(each?.expected_at))).to.equal(lastSeenAt + cachesFor * 1000);
      }
    });

    it('holds a promotion for a client that has not fetched the key, for half of announceFor and no longer', async () => {
      const kid = await keyIn('announced');
      await moveBy(ANNOUNCE_FOR + 1);
      expect(await keyIn('announced')).to.equal(kid);
      await moveBy(ANNOUNCE_FOR / 2 - 60);
      expect(await keyIn('announced')).to.equal(kid);
      await moveBy(60);
      expect(await keyIn('active')).to.equal(kid);
      const [event] = await told('signing_key.promoted_unseen', kid);
      expect(event?.detail).to.include({ alg: 'ES256', clients: 1, listed: 0, anonymous: 1 });
      expect(event?.detail.verifiers).to.deep.equal([`${gateway.clientId} (${JOSE}, 192.0.2.0/24)`]);
    });

    it('promotes as soon as those it waits for have fetched, and waits for no stranger (D36)', async () => {
      const kid = await keyIn('announced');
      await moveBy(ANNOUNCE_FOR + 1);
      // Control: that it waits here is for the other two alone.
      expect(await keyIn('announced')).to.equal(kid);
      await fetchJwks('client', {}, { at: 1 });
      await moveBy(1);
      expect(await keyIn('announced'), 'the listed one lacks it').to.equal(kid);
      await fetchJwks('listed');
      await moveBy(1);
      expect(await keyIn('active')).to.equal(kid);
      const [event] = await told('signing_key.promoted_unseen', kid);
      expect(event?.detail).to.include({ clients: 0, listed: 0, anonymous: 1 });
      expect(event?.detail, 'nobody is named by what a stranger wrote').to.not.have.property('verifiers');
    });

    it('promotes in time where it only warns, and raises an alert in the same transaction', async () => {
      const { nodes: running } = cluster;
      await Promise.all(running.splice(0).map(node => node.close()));
      const warns = { CLAVIGER_KEYS_PROMOTION: 'warn' };
      nodes = [await cluster.start({ hasTimers: false, env: warns })];
      const kid = await keyIn('announced');
      await moveBy(ANNOUNCE_FOR - 60);
      expect(await keyIn('announced')).to.equal(kid);
      await moveBy(61);
      expect(await keyIn('active')).to.equal(kid);
      const [event] = await told('signing_key.promoted_unseen', kid);
      const [alert] = await told('alert.raised', kid);
      expect(event?.detail).to.include({ clients: 1, listed: 1, anonymous: 1 });
      expect(alert?.detail).to.include({
        signal: 'signing_key.promoted_unseen',
        severity: 'warning',
        clients: 1,
      });
      const [warning] = logged.filter(line => line.includes('"alert.raised"') && line.includes(kid));
      expect(warning).to.include(gateway.clientId);
    });
  });
});
