import { expect } from 'chai';
import {
  type Revocation,
  RevokedTokenStore,
  type TokenFacts,
} from '../../src/clients/revoked-token-store.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

const now = 1_800_000_000_000;
const token: TokenFacts = { jti: 'j', clientId: 'c', kid: 'k', grantId: 'g', iat: now / 1000 };
const store = new RevokedTokenStore();

forEachDatabase((_name, fresh) => {
  describe('revoked tokens', () => {
    let node: Opened;

    before(async () => {
      node = await openedDatabase(fresh);
    });
    after(async () => node.close());
    beforeEach(async () => {
      await node.database.transaction(trx => store.sweep(trx, Number.MAX_SAFE_INTEGER));
    });

    const revoke = (more: Pick<Revocation, 'kind' | 'value'> & Partial<Revocation>) =>
      node.database.transaction(trx => store.revoke(trx, { expiresAt: now + 1000, now, ...more }));
    const isRevoked = (more: Partial<TokenFacts> = {}) =>
      store.isRevoked(node.database.reader, { ...token, ...more });

    it('are those that are named by their id, their grant, their client or their key', async () => {
      expect(await isRevoked()).to.equal(false);
      for (const [kind, value, other] of [
        ['jti', 'j', { jti: 'other' }],
        ['grant', 'g', { grantId: undefined }],
        ['client', 'c', { clientId: 'other' }],
        ['kid', 'k', { kid: undefined }],
      ] as const) {
        await node.database.transaction(trx => store.sweep(trx, Number.MAX_SAFE_INTEGER));
        await revoke({ kind, value });
        expect(await isRevoked(), kind).to.equal(true);
        expect(await isRevoked(other), kind).to.equal(false);
      }
    });

    it('are not those whose other names happen to be equal', async () => {
      await revoke({ kind: 'jti', value: 'c' });
      await revoke({ kind: 'client', value: 'j' });
      expect(await isRevoked()).to.equal(false);
    });

    it('end at the instant given, counted so that the same second is revoked', async () => {
      await revoke({ kind: 'client', value: 'c', issuedBefore: now + 500 });
      expect(await isRevoked({ iat: now / 1000 - 1 })).to.equal(true);
      expect(await isRevoked({ iat: now / 1000 })).to.equal(true);
      expect(await isRevoked({ iat: now / 1000 + 1 })).to.equal(false);
    });

    it('are widened by a second revocation and never narrowed', async () => {
      const later = now + 10_000;
      await revoke({ kind: 'client', value: 'c', issuedBefore: later, expiresAt: later });
      await revoke({ kind: 'client', value: 'c', issuedBefore: now, expiresAt: now });
      const at = { iat: later / 1000 };
      expect(await isRevoked(at)).to.equal(true);
      expect(await node.database.transaction(trx => store.sweep(trx, now))).to.equal(0);
      await revoke({ kind: 'client', value: 'c' });
      await revoke({ kind: 'client', value: 'c', issuedBefore: now });
      expect(await isRevoked({ iat: later })).to.equal(true);
    });

    it('can be revoked by many at once: again is the same as once', async () => {
      await Promise.all(Array.from({ length: 10 }, () => revoke({ kind: 'jti', value: 'j' })));
      expect(await node.database.reader('revoked_tokens')).to.have.length(1);
      expect(await isRevoked()).to.equal(true);
    });

    it('are asked for in one query', async () => {
      let queries = 0;
      const count = () => {
        queries += 1;
      };
      node.database.reader.on('query', count);
      await isRevoked();
      node.database.reader.removeListener('query', count);
      expect(queries).to.equal(1);
    });

    it('are swept when the last token they name has expired, not before', async () => {
      await revoke({ kind: 'jti', value: 'j' });
      expect(await node.database.transaction(trx => store.sweep(trx, now + 999))).to.equal(0);
      expect(await node.database.transaction(trx => store.sweep(trx, now + 1000))).to.equal(1);
      expect(await isRevoked()).to.equal(false);
    });
  });
});
