import { expect } from 'chai';
import { decodeProtectedHeader } from 'jose';
import { tokensAliveOf } from '../../src/audit/issued-token-log.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { readRing } from '../../src/keys/key-store.js';
import { type RotationContext, revokeSigningKey, rotateNow } from '../../src/keys/rotate.js';
import type { RunningServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { FormBrowser } from '../support/form-browser.js';
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
import { seedUser, seedWebClient, signIn } from '../support/people.js';
import { figure } from '../support/scale.js';
import { auditRows } from '../support/tables.js';
import { StrictVerifier } from '../support/verifier-with-cache.js';

describe('the emergency: a signing key is revoked while nodes run (requirement 64)', function () {
  this.timeout(60_000);
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let nodes: RunningServer[];
    let client: SeededClient;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      // Timers run: what is measured is what an operator would see.
      nodes = [await cluster.start(), await cluster.start(), await cluster.start()];
      await cluster.resourceServer();
      client = await cluster.client();
    });
    after(() => cluster.close());

    const kidOf = (jwt: string) => String(decodeProtectedHeader(jwt).kid);
    const ringNow = async () => (await cluster.operator()).database.read(readRing);
    const activeKid = async () =>
      String((await ringNow()).keys.find(({ alg, state }) => alg === 'ES256' && state === 'active')?.kid);

    async function context(): Promise<RotationContext> {
      const { database, keys, nodeId } = await cluster.operator();
      const policy = deriveKeyPolicy(cluster.config);
      return { database, policy, envelope: keys.signingKeyEnvelope, nodeId, actor: OPERATOR };
    }

    const isActive = async (node: RunningServer, jwt: string) =>
      (await post(node, '/oauth2/introspect', { token: jwt }, basic(client))).json.active;

    const publishes = async (node: RunningServer, kid: string) =>
      (await get(node, '/.well-known/jwks.json')).text.includes(kid);

    /** Seconds until every node is as it should be; each is asked again and again. */
    async function until(isSo: (node: RunningServer) => Promise<boolean>): Promise<number> {
      const startedAt = performance.now();
      for (const node of nodes) {
        while (!(await isSo(node))) {
          if (performance.now() - startedAt > 20_000) throw new Error('it takes longer than 20 s');
        }
      }
      return (performance.now() - startedAt) / 1000;
    }

    it('signs with the successor on every node, shows the key no more and calls its tokens inactive, within 5 s', async () => {
      const stolen = await activeKid();
      const jwt = await token(nodes[0] as RunningServer, client);
      expect(kidOf(jwt)).to.equal(stolen);
      const verifier = new StrictVerifier({
        jwksUri: urlOf(nodes[0] as RunningServer, '/.well-known/jwks.json'),
        issuer: ISSUER,
        audience: RESOURCE,
        now: () => later,
      });
      let later = Date.now();
      await verifier.verify(jwt);
      for (const node of nodes) expect(await isActive(node, jwt), 'control').to.equal(true);

      const at = performance.now();
      await revokeSigningKey(await context(), stolen);
      const committed = (performance.now() - at) / 1000;
      const inactive = await until(async node => (await isActive(node, jwt)) === false);
      const gone = await until(async node => !(await publishes(node, stolen)));
      const signs = await until(async node => kidOf(await token(node, client)) !== stolen);
      const all = (performance.now() - at) / 1000;
      figure(
        `emergency on 3 nodes: committed after ${committed.toFixed(2)} s, inactive +${inactive.toFixed(2)} s, out of the JWKS +${gone.toFixed(2)} s, new key +${signs.toFixed(2)} s`,
      );
      expect(all).to.be.below(5);

      // A verifier with a cache believes it until then, and no longer.
      await verifier.verify(jwt);
      const fresher = await token(nodes[1] as RunningServer, client);
      await verifier.verify(fresher);
      later += 301_000;
      const refused = await verifier.verify(jwt).catch(error => (error as { code?: string }).code);
      expect(refused).to.equal('ERR_JWKS_NO_MATCHING_KEY');

      const ring = await ringNow();
      expect(ring.keys.find(({ kid }) => kid === stolen)).to.include({ state: 'revoked' });
      expect(ring.keys.find(({ kid }) => kid === stolen)?.sealedPrivate).to.equal(undefined);
      expect(ring.keys.filter(({ alg, state }) => alg === 'ES256' && state === 'announced')).to.have.length(
        1,
      );
      const { database } = await cluster.operator();
      const told = (await auditRows(database)).filter(({ subject }) => subject === stolen);
      expect(told.at(-1)).to.include({ event: 'signing_key.revoked', actor: OPERATOR });
    });

    it('is not the same as a rotation, after which tokens and key stay good (control)', async () => {
      const old = await activeKid();
      const jwt = await token(nodes[0] as RunningServer, client);
      const asked = { alg: 'ES256', now: true, acceptsRisk: true } as const;
      // Nodes report the ring they serve with their next heartbeat.
      for (const node of nodes) await node.ring.heartbeat();
      const [rotation] = await rotateNow(await context(), asked);
      expect(rotation?.outcome).to.equal('rotates');
      await until(async node => kidOf(await token(node, client)) !== old);
      for (const node of nodes) {
        expect(await isActive(node, jwt)).to.equal(true);
        expect(await publishes(node, old)).to.equal(true);
      }
    });

    it('waits for no node, alive or dead, which a rotation does', async () => {
      const { database } = await cluster.operator();
      const now = await database.now();
      await database.write(on =>
        on('nodes').insert({
          node_id: 'lost',
          served_version: 0,
          lease_until: now + 3600_000,
          started_at: now,
        }),
      );
      for (const node of nodes) await node.ring.heartbeat();
      const asked = { alg: 'ES256', now: true, acceptsRisk: true } as const;
      const [rotation] = await rotateNow(await context(), asked);
      expect(rotation, 'control').to.deep.include({ outcome: 'waits_for_nodes', nodeIds: ['lost'] });
      const stolen = await activeKid();
      await revokeSigningKey(await context(), stolen);
      expect(await activeKid()).to.not.equal(stolen);
      await until(async node => kidOf(await token(node, client)) !== stolen);
      await database.write(on => on('nodes').where({ node_id: 'lost' }).delete());
    });

    it('counts beforehand the tokens that die, by client, and no others', async () => {
      const { database } = await cluster.operator();
      const others = [await cluster.client({ name: 'a' }), await cluster.client({ name: 'b' })] as const;
      const node = nodes[0] as RunningServer;
      await until(async each => (await ringNow()).version === each.ring.served.ring.version);
      const before = await activeKid();
      const jwts: string[] = [];
      for (let count = 0; count < 5; count += 1) jwts.push(await token(node, others[0]));
      for (let count = 0; count < 3; count += 1) jwts.push(await token(node, others[1]));
      expect(new Set(jwts.map(kidOf))).to.deep.equal(new Set([before]));
      const ask = async (mostClients: number, after = 0) =>
        tokensAliveOf(database, {
          kid: before,
          now: (await database.now()) + after,
          longestTokenFor: 3600,
          idTokenFor: 600,
          mostClients,
        });
      const all = await ask(50);
      const counts = new Map(all.top.map(({ clientId, tokens }) => [clientId, tokens]));
      expect(counts.get(others[0].clientId)).to.equal(5);
      expect(counts.get(others[1].clientId)).to.equal(3);
      expect(all.tokens).to.equal(all.top.reduce((sum, { tokens }) => sum + tokens, 0));
      const top = await ask(1);
      expect(top.top.map(({ clientId }) => clientId)).to.deep.equal([all.top[0]?.clientId]);
      expect([top.tokens, top.clients], 'the sum does not depend on what is listed').to.deep.equal([
        all.tokens,
        all.clients,
      ]);
      const expiresIn = Number(all.lastExpiresAt) - (await database.now());
      expect(expiresIn).to.be.within(590_000, 600_000);
      expect((await ask(50, 601_000)).tokens, 'when they have expired').to.equal(0);
    });

    it('counts the ID tokens that it has signed, too', async () => {
      const { database } = await cluster.operator();
      const person = await seedUser(cluster);
      const party = await seedWebClient(cluster);
      const browser = new FormBrowser({ issuer: ISSUER, pick: () => urlOf(nodes[0] as RunningServer, '') });
      const attempt = party.attempt();
      const { code } = party.response(attempt, await signIn(browser, attempt.url, person));
      const tokens = await party.redeem(attempt, code);
      const kid = kidOf(String(tokens.json.id_token));
      expect(kid).to.not.equal(await activeKid());
      const alive = await tokensAliveOf(database, {
        kid,
        now: await database.now(),
        longestTokenFor: 3600,
        idTokenFor: 600,
        mostClients: 50,
      });
      expect(alive.top.map(({ clientId, tokens: count }) => [clientId, count])).to.deep.equal([
        [party.client.clientId, 1],
      ]);
    });
  });
});
