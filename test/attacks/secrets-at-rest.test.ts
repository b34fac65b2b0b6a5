import { expect } from 'chai';
import { decodeJwt } from 'jose';
import { addClientSecret } from '../../src/clients/change-client-secret.js';
import { clientSecret } from '../../src/crypto/random-id.js';
import { forEachDatabase } from '../support/databases.js';
import { ProofKey } from '../support/dpop.js';
import { basic, Cluster, OPERATOR, post, RESOURCE, type SeededClient, token } from '../support/nodes.js';
import { dumpOf } from '../support/tables.js';

const OPAQUE = 'https://api.example.test/opaque';
const EACH = 350;

/** The text itself, and the forms in which a store or a log might keep it. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
  ];
}

describe('what a thief of the database or of the logs finds (requirement 32)', () => {
  forEachDatabase((_name, fresh) => {
    it(`holds none of ${EACH * 3} issued client secrets, opaque tokens and JWTs, in no table and in no line of a debug log`, async function () {
      this.timeout(180_000);
      const lines: string[] = [];
      const cluster = new Cluster({ url: (await fresh()).url, onLog: line => lines.push(line) });
      const node = await cluster.start();
      await cluster.resourceServer();
      await cluster.resourceServer({ identifier: OPAQUE, scopes: ['o.read'], accessTokenFormat: 'opaque' });
      const operator = await cluster.operator();
      const context = { ...operator, hasher: operator.keys.hasher };
      const resources = [
        { identifier: RESOURCE, scopes: ['orders.read'], isDefault: true },
        { identifier: OPAQUE, scopes: ['o.read'] },
      ];
      const secrets: string[] = [];
      const opaque: string[] = [];
      const jwts: string[] = [];
      const ids: string[] = [];

      /** Uses it in every way there is: rightly, wrongly, in the wrong place. */
      async function use(client: SeededClient): Promise<void> {
        const [jwt, other] = [await token(node, client), await token(node, client, { resource: OPAQUE })];
        jwts.push(jwt);
        opaque.push(other);
        const which = jwts.length % 10;
        const own = basic(client);
        if (which === 0) {
          await post(node, '/oauth2/introspect', { token: jwt }, own);
          await post(node, '/oauth2/introspect', { token: other }, own);
          await post(node, '/oauth2/revoke', { token: jwt }, own);
          await post(node, '/oauth2/revoke', { token: other }, own);
        } else if (which === 1) {
          await post(node, '/oauth2/token', {
            client_id: client.clientId,
            client_secret: client.clientSecret,
          });
          await post(node, `/oauth2/token?client_secret=${client.clientSecret}&access_token=${jwt}`, {}, own);
          await post(node, '/oauth2/introspect', { token: jwt }, { authorization: `Bearer ${other}` });
          await post(
            node,
            '/oauth2/token',
            { grant_type: client.clientSecret, scope: jwt, resource: other },
            own,
          );
        } else if (which === 2) {
          const proof = await (await ProofKey.generate()).proof();
          await post(node, '/oauth2/token', { grant_type: 'client_credentials' }, { ...own, dpop: proof });
          await post(node, `/${client.clientSecret}/${jwt}`, {}, own);
        }
      }

      for (let made = 0; made < EACH / 10; made += 1) {
        const client = await cluster.client({ resources });
        ids.push(client.clientId);
        secrets.push(client.clientSecret);
        for (let more = 0; more < 9; more += 1) {
          const { secret } = await addClientSecret(
            context,
            { clientId: client.clientId, name: `s${more}` },
            OPERATOR,
          );
          secrets.push(secret.clientSecret);
        }
      }
      for (const [index, secret] of secrets.entries()) {
        await use({ clientId: ids[Math.floor(index / 10)] ?? '', clientSecret: secret });
      }
      await node.tick();
      const dump = await dumpOf(operator.database);
      const log = lines.join('\n');
      await cluster.close();

      expect(secrets).to.have.length(EACH);
      expect(new Set([...secrets, ...opaque, ...jwts]).size).to.equal(EACH * 3);
      // Controls: both were really read, and what is public is found in them.
      for (const id of ids) expect(dump).to.include(id);
      expect(dump).to.include(String(decodeJwt(jwts[0] ?? '').jti));
      expect(lines.length).to.be.above(EACH * 2);
      expect(log).to.include('/oauth2/token');

      const found: string[] = [];
      for (const secret of [...secrets, ...opaque, ...jwts]) {
        for (const form of formsOf(secret)) {
          if (dump.includes(form)) found.push(`database: ${secret.slice(0, 12)}…`);
          if (log.includes(form)) found.push(`log: ${secret.slice(0, 12)}…`);
        }
        // The signature alone would do: header and claims are known.
        const signature = secret.split('.')[2];
        if (signature !== undefined && (dump.includes(signature) || log.includes(signature)))
          found.push(`signature of ${secret.slice(-12)}`);
        if (secret.startsWith('cvg_') && dump.includes(secret.slice(7, 30))) found.push('part of a secret');
      }
      expect(found).to.deep.equal([]);
      expect(dump + log).to.not.include(cluster.rootKey);
      expect(dump + log).to.not.match(/-----BEGIN|"d":"/);
    });

    it('would be seen by this test if it held one (control)', async () => {
      const { url } = await fresh();
      const cluster = new Cluster({ url });
      await cluster.start();
      const { database } = await cluster.operator();
      const secret = clientSecret();
      await database.transaction(trx =>
        trx('job_leases').insert({ job: 'control', holder: `x${secret}y`, lease_until: 1 }),
      );
      expect(await dumpOf(database)).to.include(secret);
      await cluster.close();
    });
  });
});
