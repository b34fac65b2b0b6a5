import { expect } from 'chai';
import { createClient, updateClient } from '../../../src/clients/change-client.js';
import type { Config } from '../../../src/config/config.js';
import { AppError } from '../../../src/errors.js';
import { deriveKeyPolicy, after as later } from '../../../src/keys/key-policy.js';
import { activeOf, isPublished } from '../../../src/keys/key-state.js';
import { readRing } from '../../../src/keys/key-store.js';
import { algorithmFindings } from '../../../src/oidc/algorithm-findings.js';
import { createResourceServer, updateResourceServer } from '../../../src/resources/change-resource-server.js';
import type { RunningServer } from '../../../src/server.js';
import { forEachDatabase } from '../../support/databases.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import {
  Cluster,
  get,
  ISSUER,
  OPERATOR,
  RESOURCE,
  type SeededClient,
  token,
  urlOf,
} from '../../support/nodes.js';
import { StrictVerifier } from '../../support/verifier-with-cache.js';

/** Seconds; longer than a verifier caches. */
const ANNOUNCE_FOR = 400;
const STEP_FOR = 50;
const STANDARD = { CLAVIGER_KEYS_ALGORITHMS: 'ES256,RS256' };
const WITH_ED_DSA = {
  CLAVIGER_KEYS_ALGORITHMS: 'ES256,RS256,EdDSA',
  CLAVIGER_KEYS_ACCESS_TOKEN_ALGORITHM: 'EdDSA',
};
const INVOICES = 'https://api.example.test/invoices';

describe('the set of algorithms is changed node by node', () => {
  forEachDatabase((_name, fresh) => {
    let time: MovedTime;
    let cluster: Cluster;
    let client: SeededClient;
    let added: RunningServer;
    let verified: number;
    let audiences: string[];
    let verifiers: Map<string, StrictVerifier>;

    before(async () => {
      time = installMovedTime();
      verified = 0;
      audiences = [RESOURCE];
      cluster = new Cluster({
        url: (await fresh()).url,
        clock: time.clock,
        databaseClockOffset: time.databaseClockOffset,
        env: {
          CLAVIGER_KEYS_ANNOUNCE_FOR: `${ANNOUNCE_FOR}s`,
          CLAVIGER_KEYS_ROTATE_EVERY: `${3 * ANNOUNCE_FOR}s`,
          CLAVIGER_TOKENS_LONGEST_TOKEN_FOR: '10m',
        },
      });
      await cluster.start({ hasTimers: false, env: STANDARD });
      await cluster.start({ hasTimers: false, env: STANDARD });
      await cluster.resourceServer({ accessTokenFor: 60 });
      client = await cluster.client();
      verifiers = new Map();
    });

    after(async () => {
      await cluster.close();
      time.restore();
    });

    const ringNow = async () => (await cluster.operator()).database.read(readRing);
    const kindsIn = async (node: RunningServer) =>
      new Set(
        ((await get(node, '/.well-known/jwks.json')).json.keys as { alg: string }[]).map(({ alg }) => alg),
      );

    const offeredBy = async (node: RunningServer) =>
      (await get(node, '/.well-known/openid-configuration')).json.id_token_signing_alg_values_supported;

    /** What an operator does with the configuration of these settings. */
    async function operate<T>(
      env: Record<string, string>,
      work: (on: { config: Config } & Awaited<ReturnType<Cluster['operator']>>) => Promise<T>,
    ): Promise<T> {
      return work({ ...(await cluster.operator()), config: cluster.configWith(env) });
    }

    async function refusalOf(work: Promise<unknown>): Promise<string> {
      const error = await work.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (error instanceof AppError) return error.message;
      throw error ?? new Error('nothing was refused');
    }

    /** A token of each resource server from each node, for verifiers that keep a key set for five minutes. */
    async function verifyEverywhere(): Promise<void> {
      for (const node of cluster.nodes) {
        for (const audience of audiences) {
          const verifier =
            verifiers.get(audience) ??
            new StrictVerifier({
              jwksUri: urlOf(cluster.nodes[0] as RunningServer, '/.well-known/jwks.json'),
              issuer: ISSUER,
              audience,
              algorithms: ['ES256', 'RS256', 'EdDSA'],
              now: () => Date.now(),
            });
          verifiers.set(audience, verifier);
          await verifier.verify(await token(node, client, { resource: audience }));
          verified += 1;
        }
      }
    }

    async function pass(seconds: number, stepFor = STEP_FOR): Promise<void> {
      for (let moved = 0; moved < seconds; moved += stepFor) {
        time.moveBy(stepFor);
        for (const node of cluster.nodes) await node.tick();
        if ((moved / stepFor) % 2 === 0) await verifyEverywhere();
      }
    }

    async function stop(node: RunningServer | undefined): Promise<void> {
      if (node === undefined) throw new Error('no such node');
      cluster.nodes.splice(cluster.nodes.indexOf(node), 1);
      await node.close();
    }

    async function useEdDsa(): Promise<void> {
      await operate(WITH_ED_DSA, on =>
        createResourceServer(
          on,
          { identifier: INVOICES, scopes: ['invoices.read'], accessTokenFor: 60 },
          OPERATOR,
        ),
      );
      await operate(WITH_ED_DSA, on =>
        updateClient(
          on,
          {
            clientId: client.clientId,
            resources: [
              { identifier: RESOURCE, scopes: ['orders.read'], isDefault: true },
              { identifier: INVOICES, scopes: ['invoices.read'] },
            ],
          },
          OPERATOR,
        ),
      );
      audiences.push(INVOICES);
    }

    it('adds one that is refused by its date until it signs, and signs nothing that a verifier with a 5-minute cache refuses', async () => {
      await verifyEverywhere();
      added = await cluster.start({ hasTimers: false, env: WITH_ED_DSA });
      const key = (await ringNow()).keys.find(({ alg }) => alg === 'EdDSA');
      const from = new Date(later(key?.announcedAt ?? 0, ANNOUNCE_FOR)).toISOString();
      const create = () =>
        operate(WITH_ED_DSA, on =>
          createResourceServer(
            on,
            { identifier: INVOICES, scopes: [], accessTokenFor: 60, alg: 'EdDSA' },
            OPERATOR,
          ),
        );
      expect(await refusalOf(create())).to.include(
        `EdDSA is being announced to verifiers and can be chosen from ${from} on`,
      );
      const asked = operate(WITH_ED_DSA, on =>
        updateClient(on, { clientId: client.clientId, idTokenSignedResponseAlg: 'EdDSA' }, OPERATOR),
      );
      expect(await refusalOf(asked)).to.include(from);
      // The new default holds from the moment it can sign; until then it is what it was.
      const early = await operate(WITH_ED_DSA, on =>
        createResourceServer(
          on,
          { identifier: `${RESOURCE}/early`, scopes: [], accessTokenFor: 60 },
          OPERATOR,
        ),
      );
      expect(early.alg).to.equal('ES256');
      expect(await offeredBy(added)).to.deep.equal(['ES256', 'RS256']);

      // The other nodes, whose configuration lacks it, do not take it away.
      await pass(ANNOUNCE_FOR + STEP_FOR);
      await useEdDsa();
      for (const node of cluster.nodes)
        expect(await offeredBy(node)).to.deep.equal(['ES256', 'RS256', 'EdDSA']);
      await pass(2 * STEP_FOR);
      expect(verified).to.be.above(15);
      // A control that verifiers notice: one that fetched before the announcement refuses the key.
      const keys = (await ringNow()).keys
        .filter(({ alg }) => alg !== 'EdDSA')
        .map(({ publicJwk }) => publicJwk);
      const blind = new StrictVerifier({
        jwksUri: '',
        issuer: ISSUER,
        audience: INVOICES,
        algorithms: ['EdDSA'],
        now: () => Date.now(),
        fetchKeySet: async () => ({ keys: keys as never }),
      });
      const invoice = await token(cluster.nodes[0] as RunningServer, client, { resource: INVOICES });
      const error = await blind.verify(invoice).catch((thrown: { code?: string }) => thrown.code);
      expect(error).to.equal('ERR_JWKS_NO_MATCHING_KEY');
    });

    it('keeps one that was taken off the list as long as it is used, then retains and retires it', async () => {
      await operate(WITH_ED_DSA, on =>
        createClient(
          { ...on, hasher: on.keys.hasher },
          { name: 'signs', resources: [], idTokenSignedResponseAlg: 'EdDSA' },
          OPERATOR,
        ),
      );
      await stop(added);
      const first = activeOf(await ringNow(), 'EdDSA')?.kid;
      await pass(3 * ANNOUNCE_FOR + STEP_FOR, 2 * STEP_FOR);
      // It rotates as before, on nodes that are not configured for it.
      expect(activeOf(await ringNow(), 'EdDSA')?.kid)
        .to.be.a('string')
        .that.does.not.equal(first);
      const [finding, more] = await operate(STANDARD, async ({ database, config }) =>
        database.read(async on =>
          algorithmFindings(on, await readRing(on), config.keys, await database.now(on)),
        ),
      );
      expect(more).to.equal(undefined);
      expect(finding?.finding).to.match(/^EdDSA is not in keys.algorithms, but is used by resource server/);
      expect(finding?.users.resourceServers).to.deep.equal([INVOICES]);
      expect(finding?.users.clients).to.have.length(1);
      const again = operate(STANDARD, on =>
        updateResourceServer(on, { resource: RESOURCE, alg: 'EdDSA' }, OPERATOR),
      );
      expect(await refusalOf(again)).to.include('EdDSA is being given up');
      // Who has it may change everything else.
      await operate(STANDARD, on =>
        updateResourceServer(on, { resource: INVOICES, name: 'Invoices' }, OPERATOR),
      );

      await operate(STANDARD, on => updateResourceServer(on, { resource: INVOICES, alg: 'ES256' }, OPERATOR));
      await pass(STEP_FOR);
      expect(activeOf(await ringNow(), 'EdDSA'), 'a client still has it').to.not.equal(undefined);
      const clientId = finding?.users.clients[0] ?? '';
      await operate(STANDARD, on =>
        updateClient(on, { clientId, idTokenSignedResponseAlg: 'RS256' }, OPERATOR),
      );
      await pass(STEP_FOR);
      const withdrawn = (await ringNow()).keys.filter(key => key.alg === 'EdDSA' && isPublished(key));
      expect(withdrawn.map(({ state }) => state))
        .to.include('retained')
        .and.not.include.members(['active', 'announced']);
      const { retainFor } = deriveKeyPolicy(cluster.config);
      expect([...(await kindsIn(cluster.nodes[0] as RunningServer))]).to.include('EdDSA');
      await pass(retainFor + STEP_FOR, 4 * STEP_FOR);
      expect([...(await kindsIn(cluster.nodes[0] as RunningServer))]).to.not.include('EdDSA');
      expect(
        (await ringNow()).keys.every(key => key.alg !== 'EdDSA' || key.sealedPrivate === undefined),
      ).to.equal(true);
    });
  });
});
