import { expect } from 'chai';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { LEASE_FOR, REMEMBERED_FOR, renewNodeLease } from '../../src/database/node-leases.js';
import { readAlgorithmStates } from '../../src/database/signing-algorithms.js';
import { isAppError } from '../../src/errors.js';
import { deriveKeyPolicy, type KeyPolicy } from '../../src/keys/key-policy.js';
import { activeOf } from '../../src/keys/key-state.js';
import { readRing } from '../../src/keys/key-store.js';
import { advanceRing, type RotationContext } from '../../src/keys/rotate.js';
import { algorithmsInUse } from '../../src/oidc/algorithm-users.js';
import type { SigningAlgorithm } from '../../src/protocol.js';
import { updateResourceServer } from '../../src/resources/change-resource-server.js';
import { forEachDatabase } from '../support/databases.js';
import { Cluster, OPERATOR, RESOURCE } from '../support/nodes.js';
import { rounds } from '../support/rounds.js';

/** Seconds. */
const ANNOUNCE_FOR = 60;

describe('an algorithm that is given up while somebody registers it', () => {
  forEachDatabase((name, fresh) => {
    let cluster: Cluster;
    let policy: KeyPolicy;
    let offset = 0;
    let databases: readonly [Database, Database];
    let context: (more?: Partial<RotationContext>) => RotationContext;

    before(async () => {
      const { url } = await fresh();
      cluster = new Cluster({ url, databaseClockOffset: () => offset });
      const { keys } = await cluster.operator();
      policy = { ...deriveKeyPolicy(cluster.config), algorithms: ['ES256'], announceFor: ANNOUNCE_FOR };
      const open = () => openDatabase({ url, clockOffset: () => offset });
      databases = [open(), open()];
      context = more => ({
        database: databases[0],
        policy,
        envelope: keys.signingKeyEnvelope,
        nodeId: 'rotating',
        actor: 'node:rotating',
        algorithmsInUse,
        ...more,
      });
      await advanceRing(context());
      await cluster.resourceServer();
    });

    after(async () => {
      await Promise.all(databases.map(database => database.close()));
      await cluster.close();
    });

    /** EdDSA signs, nobody uses it, and the nodes that configured it are gone. */
    async function withEdDsa(): Promise<void> {
      await register('ES256');
      const more = { policy: { ...policy, algorithms: ['ES256', 'EdDSA'] as const } };
      await advanceRing(context(more));
      offset += ANNOUNCE_FOR * 1000;
      await advanceRing(context(more));
      expect(await hasKey()).to.equal(true);
    }

    const register = async (alg: 'ES256' | 'EdDSA'): Promise<'registered' | 'refused'> => {
      try {
        const on = { database: databases[1], nodeId: 'registering' };
        await updateResourceServer(on, { resource: RESOURCE, alg }, OPERATOR);
        return 'registered';
      } catch (error) {
        if (!isAppError(error, 'invalid_request')) throw error;
        return 'refused';
      }
    };
    const hasKey = async () => activeOf(await databases[0].read(readRing), 'EdDSA') !== undefined;

    it('stays when the registration commits first, and is refused to it otherwise', async () => {
      const seen = { registered: 0, refused: 0 };
      for (let round = 0; round < rounds(8, 100); round += 1) {
        await withEdDsa();
        const [outcome] =
          round % 2 === 0
            ? await Promise.all([register('EdDSA'), advanceRing(context())])
            : (await Promise.all([advanceRing(context()), register('EdDSA')])).reverse();
        expect(await hasKey(), String(outcome)).to.equal(outcome === 'registered');
        seen[outcome as 'registered' | 'refused'] += 1;
      }
      expect(seen.registered + seen.refused).to.equal(rounds(8, 100));
    });

    it('is refused to a registration that begins while the withdrawal is being committed', async () => {
      await withEdDsa();
      let registering: Promise<string> | undefined;
      await advanceRing(
        context({
          onStep(step, { kind }) {
            if (step === 'keys_written' && kind === 'withdraw') registering = register('EdDSA');
          },
        }),
      );
      expect(await registering).to.equal('refused');
      expect(await hasKey()).to.equal(false);
    });

    it('would leave the registered without a key if what is registered were not looked at (control)', async () => {
      await withEdDsa();
      expect(await register('EdDSA')).to.equal('registered');
      await advanceRing(context());
      expect(await hasKey(), 'with the check').to.equal(true);
      await advanceRing(context({ algorithmsInUse: async () => [] }));
      expect(await hasKey(), 'without it').to.equal(false);
    });

    it('stays as long as another node is configured for it, and an hour more if that node was lost', async () => {
      await withEdDsa();
      const lease = (algorithms?: readonly SigningAlgorithm[]) =>
        databases[1].transaction(async trx =>
          renewNodeLease(trx, 'other', 0, await databases[1].now(trx), algorithms),
        );
      await lease(['ES256', 'EdDSA']);
      await advanceRing(context());
      expect(await hasKey(), 'alive').to.equal(true);
      offset += (LEASE_FOR + REMEMBERED_FOR - 5) * 1000;
      await advanceRing(context());
      expect(await hasKey(), 'lost').to.equal(true);
      // One that does not say may want any.
      await lease();
      offset += LEASE_FOR * 1000;
      await advanceRing(context());
      expect(await hasKey(), 'of an older version').to.equal(true);
      offset += REMEMBERED_FOR * 1000;
      await advanceRing(context());
      expect(await hasKey(), 'forgotten').to.equal(false);
    });

    it('stays where it is not known what is registered', async () => {
      await withEdDsa();
      const { algorithmsInUse: _unknown, ...rest } = context();
      await advanceRing(rest);
      expect(await hasKey()).to.equal(true);
    });

    if (name === 'PostgreSQL') {
      it('would leave it without a key if a registration did not lock the changes first (control)', async () => {
        await withEdDsa();
        await databases[1].transaction(async trx => {
          expect((await readAlgorithmStates(trx)).active.has('EdDSA')).to.equal(true);
          await advanceRing(context());
          await trx('resource_servers').where({ identifier: RESOURCE }).update({ alg: 'EdDSA' });
        });
        expect(await hasKey()).to.equal(false);
      });
    }
  });
});
