import { expect } from 'chai';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { openDatabase } from '../../src/database/connect.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { activeOf, successorOf } from '../../src/keys/key-state.js';
import { readRing } from '../../src/keys/key-store.js';
import { advanceRing, type RotationContext, revokeSigningKey, rotateNow } from '../../src/keys/rotate.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { basic, Cluster, get, OPERATOR, post, RESOURCE, type SeededClient, token } from '../support/nodes.js';

const RSA_RESOURCE = 'https://api.example.test/invoices';

describe('a flipped byte in one key’s ciphertext', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let url: string;
    let client: SeededClient;
    let unharmed: RunningServer;

    beforeEach(async function () {
      this.timeout(60_000);
      url = (await fresh()).url;
      cluster = new Cluster({ url });
      unharmed = await cluster.start({ hasTimers: false });
      await cluster.resourceServer();
      await cluster.resourceServer({ identifier: RSA_RESOURCE, scopes: ['invoices.read'], alg: 'RS256' });
      client = await cluster.client({
        resources: [
          { identifier: RESOURCE, scopes: ['orders.read'] },
          { identifier: RSA_RESOURCE, scopes: ['invoices.read'] },
        ],
      });
    });

    afterEach(() => cluster.close());

    const ask = (node: RunningServer, resource: string) =>
      post(node, '/oauth2/token', { grant_type: 'client_credentials', resource }, basic(client));

    async function expectVerifies(node: RunningServer, jwt: string, audience: string): Promise<void> {
      const jwks = (await get(node, '/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
      await jwtVerify(jwt, createLocalJWKSet(jwks), { audience });
    }

    /** In the middle of what is sealed: neither its form nor its length tells. */
    async function flipByte(kid: string): Promise<void> {
      const { database } = await cluster.operator();
      await database.transaction(async trx => {
        const { sealed_private: sealed } = await trx('signing_keys').where({ kid }).first();
        const at = Math.floor(sealed.length * 0.7);
        const other = sealed[at] === 'A' ? 'B' : 'A';
        const flipped = `${sealed.slice(0, at)}${other}${sealed.slice(at + 1)}`;
        await trx('signing_keys').where({ kid }).update({ sealed_private: flipped });
      });
    }

    it('stops that key only: what it signed verifies, others sign, and an emergency brings the next', async function () {
      this.timeout(60_000);
      const { database, keys, nodeId } = await cluster.operator();
      const old = await token(unharmed, client, { resource: RESOURCE });
      const kid = String(activeOf(await database.read(readRing), 'ES256')?.kid);
      await flipByte(kid);
      const harmed = await cluster.start({ hasTimers: false });

      expect((await ask(harmed, RESOURCE)).status, 'fails closed').to.be.at.least(500);
      const other = await token(harmed, client, { resource: RSA_RESOURCE });
      await expectVerifies(harmed, other, RSA_RESOURCE);
      await expectVerifies(harmed, old, RESOURCE);
      const { json } = await get(harmed, '/.well-known/jwks.json');
      expect((json.keys as unknown[]).length, 'all are shown').to.equal(4);
      // Who opened it before the damage goes on with it.
      await expectVerifies(harmed, await token(unharmed, client, { resource: RESOURCE }), RESOURCE);

      const context = {
        database,
        nodeId,
        policy: deriveKeyPolicy(cluster.config),
        envelope: keys.signingKeyEnvelope,
        actor: OPERATOR,
      };
      await revokeSigningKey(context, kid);
      await harmed.tick();
      await expectVerifies(harmed, await token(harmed, client, { resource: RESOURCE }), RESOURCE);
    });

    it('keeps a successor from taking the place of a key that signs, until it is revoked', async function () {
      this.timeout(60_000);
      const { keys, nodeId } = await cluster.operator();
      const policy = { ...deriveKeyPolicy(cluster.config), announceFor: 60, rotateEvery: 60 };
      let ahead = 3600_000;
      const database = openDatabase({ url, clockOffset: () => ahead });
      const blocked: string[] = [];
      const context: RotationContext = {
        ...{ database, nodeId, policy, envelope: keys.signingKeyEnvelope, actor: OPERATOR },
        onBlocked: alg => blocked.push(alg),
      };
      try {
        const before = await database.read(readRing);
        const successor = successorOf(before, 'ES256');
        await flipByte(String(successor?.kid));
        const taken = await advanceRing(context);
        expect(taken.map(({ kind }) => kind)).to.deep.equal(['activate']);
        expect(taken[0], 'others rotate').to.include({ alg: 'RS256' });
        expect(blocked).to.deep.equal(['ES256']);
        const asked = { alg: 'ES256', now: true, acceptsRisk: true } as const;
        expect(await rotateNow(context, asked)).to.deep.equal([
          { alg: 'ES256', outcome: 'successor_damaged', kid: successor?.kid },
        ]);
        const active = activeOf(await database.read(readRing), 'ES256');
        expect(active).to.deep.equal(activeOf(before, 'ES256'));

        await revokeSigningKey(context, String(successor?.kid));
        ahead += 3600_000;
        const then = await advanceRing(context);
        expect(
          then.some(step => step.kind === 'activate' && step.alg === 'ES256'),
          'control',
        ).to.equal(true);
      } finally {
        await database.close();
      }
    });

    it('harms nobody when it is put right (control)', async () => {
      const { database } = await cluster.operator();
      const key = activeOf(await database.read(readRing), 'ES256');
      await flipByte(String(key?.kid));
      await database.transaction(trx =>
        trx('signing_keys').where({ kid: key?.kid }).update({ sealed_private: key?.sealedPrivate }),
      );
      const node = await cluster.start({ hasTimers: false });
      await expectVerifies(node, await token(node, client, { resource: RESOURCE }), RESOURCE);
    });
  });
});
