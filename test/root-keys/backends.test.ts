import { expect } from 'chai';
import { generateRootKey, localRootKey } from '../../src/crypto/root-key.js';
import { retireRootKey } from '../../src/root-keys/change-root-keys.js';
import { assertWorks } from '../../src/root-keys/probe.js';
import { rewrap } from '../../src/root-keys/rewrap.js';
import { freshSqlite } from '../support/databases.js';
import { dumpOf } from '../support/dump.js';
import { fingerprintOf, type Installed, install, refusalOf } from './installations.js';
import { PLACES } from './places.js';

const CONTEXT = 'data_key:pepper:abc';
const KEY = Buffer.from('0123456789abcdef0123456789abcdef');

for (const makePlace of PLACES) {
  const place = makePlace();

  describe(`a root key in ${place.backend}`, function () {
    this.timeout(60_000);
    const installed: Installed[] = [];
    const dropped: (() => Promise<void>)[] = [];
    const opened: ReturnType<typeof place.rootKey>[] = [];

    async function fresh(rootKey?: ReturnType<typeof place.rootKey>): Promise<Installed> {
      const { url, drop } = await freshSqlite();
      dropped.push(drop);
      const one = await install(url, rootKey);
      installed.push(one);
      return one;
    }
    function rootKeyOf(name?: string): ReturnType<typeof place.rootKey> {
      const rootKey = place.rootKey(name);
      opened.push(rootKey);
      return rootKey;
    }

    before(function () {
      return place.start(this);
    });
    after(async () => {
      for (const rootKey of opened) rootKey.close();
      for (const one of installed) await one.close();
      for (const drop of dropped) await drop();
      await place.stop();
    });

    it('shows nothing of the data key that it wraps, and opens it for its own row only', async () => {
      const rootKey = rootKeyOf();
      const wrapped = await rootKey.wrap(KEY, CONTEXT);
      expect(wrapped).to.not.include(KEY.toString('base64url')).and.not.include(KEY.toString('base64'));
      expect((await rootKey.unwrap(wrapped, CONTEXT)).equals(KEY)).to.equal(true);
      for (const context of ['data_key:cookie:abc', 'data_key:pepper:abd', '']) {
        expect((await refusalOf(rootKey.unwrap(wrapped, context))).code).to.equal('sealed_value_damaged');
      }
    });

    it('opens nothing of another key, and says that a changed value is damaged', async () => {
      const [ours, other] = [rootKeyOf(), rootKeyOf('other')];
      expect(ours.id).to.not.equal(other.id);
      const wrapped = await ours.wrap(KEY, CONTEXT);
      expect((await refusalOf(other.unwrap(wrapped, CONTEXT))).code).to.equal('sealed_value_damaged');
      const at = wrapped.length - 12;
      const changed = `${wrapped.slice(0, at)}${wrapped[at] === 'A' ? 'B' : 'A'}${wrapped.slice(at + 1)}`;
      expect((await refusalOf(ours.unwrap(changed, CONTEXT))).code).to.equal('sealed_value_damaged');
    });

    it('is there again after it was let go', async () => {
      const rootKey = rootKeyOf();
      await assertWorks(rootKey);
      rootKey.close();
      await assertWorks(rootKey);
    });

    it('takes over from a local root key and gives back to another one', async () => {
      const one = await fresh();
      const target = rootKeyOf();
      await rewrap(one.context, one.rootKey, target, 'root_key.rotated');
      await retireRootKey(one.context, one.rootKey.id);
      expect(fingerprintOf((await one.open(rootKeyOf())).keys)).to.equal(one.fingerprint);
      expect((await refusalOf(one.open())).code).to.equal('root_key_wrong');
      const back = localRootKey(generateRootKey());
      await rewrap(one.context, target, back, 'root_key.rotated');
      expect(fingerprintOf((await one.open(back)).keys)).to.equal(one.fingerprint);
    });

    it('refuses to start with another key under the same name, with nothing changed (requirement 67)', async () => {
      const one = await fresh(rootKeyOf());
      expect(fingerprintOf((await one.open(rootKeyOf())).keys)).to.equal(one.fingerprint);
      opened.splice(0).forEach(rootKey => {
        rootKey.close();
      });
      await place.exchange();
      const before = await dumpOf(one.database);
      const refused = await refusalOf(one.open(rootKeyOf()));
      expect(refused.code).to.equal('root_key_wrong');
      expect(refused.message).to.include('opens none of the data keys');
      expect(await dumpOf(one.database)).to.deep.equal(before);
      // The same look at a key that is right (control).
      expect((await fresh(rootKeyOf())).fingerprint).to.not.equal(one.fingerprint);
    });

    it('refuses to start while its place is away, with nothing changed; what was opened before goes on', async () => {
      const one = await fresh(rootKeyOf());
      const { keys } = await one.open(rootKeyOf());
      const sealed = keys.artifactEnvelope.seal('text', 'c');
      for (const rootKey of opened.splice(0)) rootKey.close();
      await place.leave();
      const before = await dumpOf(one.database);
      const refused = await refusalOf(one.open(rootKeyOf()));
      expect(refused.code).to.equal('root_key_unavailable');
      expect(refused.message).to.match(/^The root key \S+ cannot be reached\. .{20,}/);
      expect(await dumpOf(one.database)).to.deep.equal(before);
      expect(keys.artifactEnvelope.open(sealed, 'c').toString()).to.equal('text');
      expect(fingerprintOf(keys)).to.equal(one.fingerprint);
    });
  });
}
