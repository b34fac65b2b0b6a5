import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { expect } from 'chai';
import type { JWK } from 'jose';
import { AppError } from '../../src/errors.js';
import {
  destroyExternalKeys,
  type ExternalKeyContext,
  makeExternalKey,
} from '../../src/keys/external-keys.js';
import { SigningBackends } from '../../src/keys/signing-backends/signing-backends.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

describe('keys that could not be made elsewhere', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;
    let context: ExternalKeyContext;
    const made = new Map<string, KeyObject>();
    let isAway = false;

    function assertThere(): void {
      if (isAway) throw new AppError('backend_unavailable', 'away');
    }

    before(async () => {
      opened = await openedDatabase(fresh);
      const open = () => ({
        generate: async (reference: string) => {
          const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
          made.set(reference, pair.privateKey);
          // The worst case: the key was made, and the answer was lost.
          assertThere();
          return pair.publicKey.export({ format: 'jwk' }) as JWK;
        },
        sign: async (reference: string, _alg: string, input: Uint8Array) => {
          const key = made.get(reference);
          if (key === undefined) throw new AppError('not_found', reference);
          return sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
        },
        destroy: async (reference: string) => {
          assertThere();
          made.delete(reference);
        },
        close: () => undefined,
      });
      const monotonic = () => performance.now();
      const backends = new SigningBackends({
        placeOf: () => 'pkcs11',
        monotonic,
        open: { pkcs11: open, transit: open },
      });
      context = { database: opened.database, backends, nodeId: 'n', actor: 'anonymous' };
    });
    after(() => opened.close());

    const make = () => makeExternalKey(context, 'pkcs11', 'ES256');
    const rows = async () => (await opened.database.reader('external_keys').select('reference')).length;

    it('are bounded while the backend is away, and destroyed as soon as it is back, not an hour later', async () => {
      isAway = true;
      const now = await opened.database.now();
      await opened.database.transaction(async trx => {
        const row = { place: 'pkcs11', alg: 'ES256', created_at: now } as const;
        const begun = Array.from({ length: 97 }, (_, index) => ({ ...row, reference: `begun-${index}` }));
        await trx('external_keys').insert(begun);
      });
      for (let attempt = 0; attempt < 5; attempt += 1) {
        const refusal = await make().catch((error: unknown) => error);
        expect(refusal).to.have.property('code', 'backend_unavailable');
      }
      expect([await rows(), made.size]).to.deep.equal([100, 3]);
      expect((await destroyExternalKeys(context)).failure).to.have.property('code', 'backend_unavailable');
      isAway = false;
      expect((await destroyExternalKeys(context)).destroyed).to.equal(3);
      expect(made.size).to.equal(0);
    });

    it('control: one that was made and is about to be announced is left alone', async () => {
      const { external } = await make();
      expect((await destroyExternalKeys(context)).destroyed).to.equal(0);
      expect([...made.keys()]).to.deep.equal([external?.reference]);
    });
  });
});
