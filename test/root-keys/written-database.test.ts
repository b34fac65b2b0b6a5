import { expect } from 'chai';
import { Envelope } from '../../src/crypto/envelope.js';
import {
  generateRecoveryKey,
  type RecoveryKeyPair,
  recoveryOpener,
  recoveryRecipient,
  sealRecipient,
} from '../../src/crypto/recovery-key.js';
import { generateRootKey, localRootKey } from '../../src/crypto/root-key.js';
import { openDatabase } from '../../src/database/connect.js';
import { insertRootKey, readDataKeys, readRootKeys } from '../../src/database/data-key-store.js';
import { openInstallation, storedContext } from '../../src/database/installation.js';
import { addRecoveryKey, retireRootKey } from '../../src/root-keys/change-root-keys.js';
import { freshSqlite } from '../support/databases.js';
import { dumpOf } from '../support/dump.js';
import { EXPECTED, fingerprintOf, type Installed, install, refusalOf } from './installations.js';

// What is checked is what was read, whichever database gave it.
describe('whoever can write the database and has no root key', () => {
  const ending: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });

  async function installed(): Promise<Installed> {
    const { url, drop } = await freshSqlite();
    const one = await install(url);
    ending.push(drop, one.close);
    return one;
  }

  async function lose({ database }: Installed, purpose?: string): Promise<void> {
    for (const { id } of (await database.read(readDataKeys)).filter(
      key => purpose === undefined || key.purpose === purpose,
    )) {
      await database.write(on => on('data_key_wraps').where({ data_key_id: id }).delete());
      await database.write(on => on('data_keys').where({ id }).delete());
    }
  }

  const insert = ({ database }: Installed, { id }: RecoveryKeyPair, sealedPublicKey: string | undefined) =>
    database.transaction(trx =>
      insertRootKey(
        trx,
        { id, role: 'recovery', backend: 'offline', reference: '', sealedPublicKey },
        1,
      ).then(() => undefined),
    );

  /** Whether the next data key that is made can be read with the pair. */
  async function readsTheNext(one: Installed, pair: RecoveryKeyPair): Promise<boolean> {
    await lose(one, 'account');
    const { keys } = await one.open();
    const made = (await one.database.read(readDataKeys)).find(({ purpose }) => purpose === 'account');
    const wrapped = made?.wraps.get(pair.id);
    if (made === undefined || wrapped === undefined) return false;
    const opener = await recoveryOpener(pair.privateKey);
    const key = await opener.unwrap(wrapped, storedContext(made));
    const sealed = keys.accountEnvelope.seal('text', 'c');
    return new Envelope({ id: made.id, key }).open(sealed, 'c').toString() === 'text';
  }

  it('has no data key wrapped for a recovery key of their own', async () => {
    const one = await installed();
    const [ours, theirs] = [await generateRecoveryKey(), await generateRecoveryKey()];
    await addRecoveryKey(one.context, one.rootKey, await recoveryRecipient(ours.publicKey));
    const [known] = (await one.database.read(readRootKeys)).filter(({ id }) => id === ours.id);
    const foreign = new Envelope({ id: 'theirs', key: Buffer.alloc(32, 7) });
    for (const sealed of [
      undefined,
      theirs.publicKey,
      known?.sealedPublicKey,
      sealRecipient(foreign, await recoveryRecipient(theirs.publicKey)),
    ]) {
      await insert(one, theirs, sealed);
      expect(await readsTheNext(one, theirs)).to.equal(false);
      await retireRootKey(one.context, theirs.id);
    }
    expect(await readsTheNext(one, ours)).to.equal(true);
  });

  it('would have, if it sufficed that it stands there (control)', async () => {
    const one = await installed();
    const theirs = await generateRecoveryKey();
    const { keys } = await one.open();
    const recipient = await recoveryRecipient(theirs.publicKey);
    await insert(one, theirs, sealRecipient(keys.signingKeyEnvelope, recipient));
    expect(await readsTheNext(one, theirs)).to.equal(true);
  });

  it('cannot make an operator believe that a recovery key was added', async () => {
    const one = await installed();
    const pair = await generateRecoveryKey();
    const recipient = await recoveryRecipient(pair.publicKey);
    await insert(one, pair, pair.publicKey);
    const refused = await refusalOf(addRecoveryKey(one.context, one.rootKey, recipient));
    expect(refused.code).to.equal('conflict');
    expect(refused.message).to.include(`retire ${pair.id}`);
    await retireRootKey(one.context, pair.id);
    expect(await addRecoveryKey(one.context, one.rootKey, recipient)).to.equal(true);
  });

  for (const purpose of ['signing_key', 'cookie', undefined]) {
    const title =
      purpose === undefined
        ? 'has no data keys made anew by deleting all'
        : `has no ${purpose} key made anew by deleting it`;
    it(title, async () => {
      const one = await installed();
      await lose(one, purpose);
      const before = await dumpOf(one.database);
      // Also for one that is known by its name only, of which nothing shows that it is another.
      for (const rootKey of [one.rootKey, { ...localRootKey(generateRootKey()), id: one.rootKey.id }]) {
        const refused = await refusalOf(one.open(rootKey));
        expect(refused.code).to.equal('sealed_value_damaged');
        expect(refused.message).to.include(purpose ?? 'cookie');
        expect(await dumpOf(one.database)).to.deep.equal(before);
      }
    });
  }

  it('cannot give its data keys to another installation by deleting whose they are', async () => {
    const one = await installed();
    await one.database.write(on => on('installation').delete());
    const before = await dumpOf(one.database);
    for (const rootKey of [one.rootKey, localRootKey(generateRootKey())]) {
      expect((await refusalOf(one.open(rootKey))).code).to.equal('database_foreign');
    }
    expect(await dumpOf(one.database)).to.deep.equal(before);
  });

  it('is what the looks above see: an empty database and an untouched one open (control)', async () => {
    const { url, drop } = await freshSqlite();
    const database = openDatabase({ url });
    ending.push(drop, () => database.close());
    const rootKey = localRootKey(generateRootKey());
    const { keys } = await openInstallation(database, rootKey, EXPECTED);
    const again = await openInstallation(database, rootKey, EXPECTED);
    expect(fingerprintOf(again.keys)).to.equal(fingerprintOf(keys));
  });
});
