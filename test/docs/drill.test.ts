import { expect } from 'chai';
import { decodeProtectedHeader } from 'jose';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { revokeSigningKey } from '../../src/keys/rotate.js';
import type { RunningServer } from '../../src/server.js';
import { dumpOf, restoreDump } from '../support/dump.js';
import {
  basic,
  Cluster,
  get,
  ISSUER,
  OPERATOR,
  post,
  RESOURCE,
  type SeededClient,
  token,
  urlOf,
} from '../support/nodes.js';
import { freshDatabase } from '../support/postgres.js';
import { figure } from '../support/scale.js';
import { auditRows } from '../support/tables.js';
import { StrictVerifier } from '../support/verifier-with-cache.js';
import { scriptOf } from './fenced-blocks.js';
import { type ReadersFolder, readersFolder } from './running-demo.js';

const DOCUMENT = 'docs/signing-keys.md';
/** A verifier's cache; it never looks again before. Seconds. */
const CACHES_FOR = 300;

describe('the emergency drill of docs/signing-keys.md, on three nodes and PostgreSQL', function () {
  this.timeout(120_000);
  let folder: ReadersFolder;
  let cluster: Cluster;
  let nodes: readonly RunningServer[];
  let client: SeededClient;
  let drop: () => Promise<void>;
  let env: Readonly<Record<string, string>>;

  before(async () => {
    const database = await freshDatabase();
    drop = database.drop;
    folder = readersFolder();
    cluster = new Cluster({ url: database.url });
    nodes = [await cluster.start(), await cluster.start(), await cluster.start()];
    await cluster.resourceServer();
    client = await cluster.client();
    env = {
      CLAVIGER_ISSUER: ISSUER,
      CLAVIGER_ENVIRONMENT: 'development',
      CLAVIGER_DATABASE_URL: database.url,
      CLAVIGER_ROOT_KEY: cluster.rootKey,
      CLAVIGER_ALERTS_MAIL_TO: 'oncall@example.com',
    };
  });

  after(async () => {
    await cluster.close();
    folder.remove();
    await drop();
  });

  const kidOf = (jwt: string) => String(decodeProtectedHeader(jwt).kid);

  it('puts a new key to work on every node within 5 s of the command, and ends the old one', async () => {
    const [first, second] = nodes as [RunningServer, RunningServer];
    const jwt = await token(first, client);
    const stolen = kidOf(jwt);
    let now = Date.now();
    const verifier = new StrictVerifier({
      jwksUri: urlOf(second, '/.well-known/jwks.json'),
      issuer: ISSUER,
      audience: RESOURCE,
      now: () => now,
      cacheFor: CACHES_FOR,
    });
    await verifier.verify(jwt);

    // Clients go on asking all the while: every answer is a token, and from some moment on all are by the new key.
    const signedAt = new Map<RunningServer, number>();
    let isOver = false;
    let answered = 0;
    const asking = Promise.all(
      nodes.map(async node => {
        while (!isOver || !signedAt.has(node)) {
          const kid = kidOf(await token(node, client));
          answered += 1;
          if (kid === stolen) expect(signedAt.has(node), 'back to the old key').to.equal(false);
          else if (!signedAt.has(node)) signedAt.set(node, Date.now());
          await new Promise(done => setTimeout(done, 50));
        }
      }),
    );
    const { exitCode, stdout, stderr } = await folder.run(scriptOf(DOCUMENT, 'drill'), env);
    isOver = true;
    expect(exitCode, `${stdout}\n${stderr}`).to.equal(0);
    await asking;

    expect(stdout).to.include('Revoked.').and.include(client.clientId);
    expect(stdout).to.match(/Tokens alive: at most \d+ of 1 client/);
    const { database } = await cluster.operator();
    const revoked = await database
      .reader('audit_events')
      .where({ event: 'signing_key.revoked', subject: stolen })
      .first('occurred_at');
    const slowest = Math.max(...signedAt.values()) - Number(revoked?.occurred_at);
    figure(
      `emergency drill: new key on 3 nodes ${(slowest / 1000).toFixed(2)} s after the command, ${answered} tokens meanwhile, 0 refused`,
    );
    expect(slowest).to.be.below(5000);

    for (const node of nodes) {
      const introspected = await post(node, '/oauth2/introspect', { token: jwt }, basic(client));
      expect(introspected.json).to.deep.equal({ active: false });
      expect((await get(node, '/.well-known/jwks.json')).text).to.not.include(stolen);
    }
    // The verifier's own bound: its cache. The new key it held already.
    await verifier.verify(await token(first, client));
    await verifier.verify(jwt);
    now += CACHES_FOR * 1000;
    const refused = await verifier.verify(jwt).catch(error => (error as { code?: string }).code);
    expect(refused).to.equal('ERR_JWKS_NO_MATCHING_KEY');

    const [alert] = (await auditRows(database)).filter(({ event }) => event === 'alert.raised');
    expect(alert).to.include({ subject: stolen });
    expect(alert?.detail).to.include({ signal: 'signing_key.revoked', severity: 'critical' });
    const { rows } = await database.reader.raw("select count(*) from outbox where kind = 'mail'");
    const delivered = (await auditRows(database)).filter(({ event }) => event === 'mail.delivered');
    expect(Number(rows[0].count) + delivered.length, 'a mail is on its way').to.equal(1);
  });

  it('confirms a restored backup, as the document shows it', async () => {
    const { database } = await cluster.operator();
    const active = kidOf(await token(nodes[0] as RunningServer, client));
    const backup = await dumpOf(database);
    // Something happens after the backup that it does not know.
    const { keys, nodeId, config } = await cluster.operator();
    const envelope = keys.signingKeyEnvelope;
    const context = { database, policy: deriveKeyPolicy(config), envelope, nodeId, actor: OPERATOR };
    await revokeSigningKey(context, active);
    for (const node of nodes) await node.tick();
    await restoreDump(database, backup, ['key_ring', 'signing_keys', 'change_sequence', 'changes']);
    for (const node of nodes) for (let beats = 0; beats < 2; beats += 1) await node.ring.heartbeat();
    for (const node of nodes) expect(node.ring.canSign, 'control').to.equal(false);

    const ran = await folder.run(scriptOf(DOCUMENT, 'restore'), env);
    expect(ran.exitCode, `${ran.stdout}\n${ran.stderr}`).to.equal(0);
    expect(ran.stdout).to.include('Confirmed.').and.include('Revoked again: 1');
    for (const node of nodes) {
      await node.tick();
      expect(kidOf(await token(node, client))).to.not.equal(active);
    }
  });
});
