import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { decodeJwt } from 'jose';
import { createClient, updateClient } from '../../src/clients/change-client.js';
import { ClientStore } from '../../src/clients/client-store.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { startLoad } from '../support/load.js';
import {
  type Answer,
  basic,
  Cluster,
  OPERATOR,
  post,
  RESOURCE,
  type SeededClient,
  token,
} from '../support/nodes.js';
import { rounds } from '../support/rounds.js';
import { type AuditRow, auditRows, lastAuditId } from '../support/tables.js';

const CHILD = new URL('./audit-node.ts', import.meta.url).pathname;

describe('the audit', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let node: RunningServer;
    let client: SeededClient;
    let secretId: string;
    let url: string;

    before(async () => {
      ({ url } = await fresh());
      cluster = new Cluster({ url });
      node = await cluster.start();
      await cluster.resourceServer();
      client = await cluster.client();
      const record = await new ClientStore().find(
        (await cluster.operator()).database.reader,
        client.clientId,
      );
      secretId = record?.secrets[0]?.id ?? 'none';
    });

    after(() => cluster.close());

    /** The one event of what `work` does. */
    async function eventOf(work: () => Promise<unknown>): Promise<AuditRow> {
      const { database } = await cluster.operator();
      const last = await lastAuditId(database);
      await work();
      const rows = await auditRows(database, last);
      expect(rows.map(({ event }) => event)).to.have.length(1);
      return rows[0] as AuditRow;
    }

    function ask(path: string, form: Record<string, string>, as = client): Promise<Answer> {
      return post(node, path, form, { ...basic(as), 'user-agent': 'test-agent' });
    }

    it('tells of an issuance, an introspection, a revocation once each: who, with what, whence, which request', async () => {
      let jwt = '';
      const grant = { grant_type: 'client_credentials', scope: 'orders.read' };
      const acts: readonly (readonly [event: string, act: () => Promise<Answer>])[] = [
        ['token.issued', () => ask('/oauth2/token', grant)],
        ['token.introspected', () => ask('/oauth2/introspect', { token: jwt })],
        ['token.revoked', () => ask('/oauth2/revoke', { token: jwt })],
      ];
      for (const [event, act] of acts) {
        let requestId: string | null = null;
        const row = await eventOf(async () => {
          const answer = await act();
          expect(answer.status).to.equal(200);
          requestId = answer.headers.get('x-request-id');
          if (event === 'token.issued') jwt = String(answer.json.access_token);
        });
        expect(row).to.include({
          event,
          outcome: 'success',
          actor: `client:${client.clientId}`,
          client_id: client.clientId,
          credential_id: secretId,
          ip: '127.0.0.1',
          user_agent: 'test-agent',
          request_id: requestId,
          node_id: node.nodeId,
          subject: decodeJwt(jwt).jti,
        });
        if (event === 'token.issued') {
          expect(row.resource).to.equal(RESOURCE);
          expect(row.detail).to.include({ grant_type: 'client_credentials', scope: 'orders.read' });
        }
      }
    });

    it('tells of a refusal once, and why, which the answer does not say', async () => {
      const cases: readonly (readonly [
        path: string,
        form: Record<string, string>,
        event: string,
        error: string,
      ])[] = [
        [
          '/oauth2/token',
          { grant_type: 'client_credentials', scope: 'no' },
          'token.refused',
          'invalid_scope',
        ],
        ['/oauth2/token', { grant_type: 'password' }, 'token.refused', 'unsupported_grant_type'],
        ['/oauth2/introspect', {}, 'token.introspection_refused', 'invalid_request'],
        ['/oauth2/revoke', {}, 'token.revocation_refused', 'invalid_request'],
      ];
      for (const [path, form, event, error] of cases) {
        const row = await eventOf(() => ask(path, form));
        expect(row).to.include({ event, outcome: 'refused', actor: `client:${client.clientId}` });
        expect(row).to.include({ client_id: client.clientId, credential_id: secretId, ip: '127.0.0.1' });
        expect(row.request_id).to.match(/^[0-9a-f-]{36}$/);
        expect(row.detail.error).to.equal(error);
      }
      const guessed = await eventOf(() => ask('/oauth2/token', {}, { ...client, clientSecret: 'wrong' }));
      expect(guessed).to.include({ actor: 'anonymous', client_id: client.clientId, credential_id: null });
      expect(guessed.detail.reason).to.equal('invalid secret provided');
    });

    it('tells of a change once, and who made it', async () => {
      const operator = await cluster.operator();
      const row = await eventOf(() =>
        updateClient(operator, { clientId: client.clientId, name: 'renamed' }, OPERATOR),
      );
      expect(row).to.include({ event: 'client.updated', actor: OPERATOR, subject: client.clientId });
      expect(row.detail.changed).to.deep.equal(['name']);
    });

    it('releases no token whose event could not be written (503, and the same request succeeds later)', async () => {
      const { database } = await cluster.operator();
      await database.write(on => on.schema.renameTable('audit_events', 'away'));
      const refused: Answer[] = [];
      try {
        for (const path of ['/oauth2/token', '/oauth2/introspect', '/oauth2/revoke']) {
          refused.push(await ask(path, { grant_type: 'client_credentials', token: 'x' }));
        }
      } finally {
        await database.write(on => on.schema.renameTable('away', 'audit_events'));
      }
      for (const answer of refused) {
        expect([answer.status, answer.json.error]).to.deep.equal([503, 'temporarily_unavailable']);
        expect(answer.headers.get('retry-after')).to.equal('1');
        expect(answer.headers.get('cache-control')).to.equal('no-store');
        expect(answer.text).to.not.match(/access_token|audit|no such table/);
      }
      await token(node, client);
    });

    it('has the event of every token that a client got before its node was killed (SIGKILL under load)', async function () {
      this.timeout(1_800_000);
      const operator = await cluster.operator();
      const context = { ...operator, hasher: operator.keys.hasher };
      const jtis: string[] = [];
      const kills = rounds(10, 200);
      let made = 0;
      for (let kill = 0; kill < kills; kill += 1) {
        const child: ChildProcess = fork(CHILD, [url, cluster.rootKey], { execArgv: ['--import=tsx'] });
        const [{ port }] = (await once(child, 'message')) as [{ port: number }];
        const before = jtis.length;
        const load = startLoad({
          connections: 16,
          next: () => ({
            url: `http://127.0.0.1:${port}/oauth2/token`,
            method: 'POST',
            headers: { 'content-type': 'application/x-www-form-urlencoded', ...basic(client) },
            body: 'grant_type=client_credentials',
          }),
          onResponse: ({ status, body }) => {
            if (status === 200) jtis.push(String(decodeJwt(JSON.parse(body).access_token).jti));
          },
        });
        // Changes beside it, which must be whole too.
        for (let change = 0; change < 3; change += 1) {
          await createClient(context, { name: `k${kill}-${change}`, resources: [] }, OPERATOR);
          made += 1;
        }
        while (jtis.length < before + 40 + kill * 7) await new Promise(done => setImmediate(done));
        const exit = once(child, 'exit');
        child.kill('SIGKILL');
        await exit;
        await load.stop();
      }
      const { database } = operator;
      const rows = await database.reader('audit_events').where({ event: 'token.issued' }).select('subject');
      const told = new Set(rows.map(({ subject }) => subject));
      expect(jtis.filter(jti => !told.has(jti))).to.deep.equal([]);
      expect(jtis.length).to.be.at.least(kills * 40);
      const clients = await database.reader('clients').where('name', 'like', 'k%-%').select('client_id');
      const events = await database
        .reader('audit_events')
        .where({ event: 'client.created' })
        .select('subject');
      const created = new Set(events.map(({ subject }) => subject));
      expect(clients).to.have.length(made);
      expect(clients.filter(({ client_id }) => !created.has(client_id))).to.deep.equal([]);
      process.stdout.write(
        `      ${kills} kills, ${jtis.length} tokens acknowledged, 0 without their event\n`,
      );
    });
  });
});
