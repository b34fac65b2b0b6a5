import { expect } from 'chai';
import { dataKeyContext, generateDataKey } from '../../src/crypto/data-key.js';
import { generateRecoveryKey, recoveryRecipient } from '../../src/crypto/recovery-key.js';
import { generateRootKey, localRootKey, type RootKey } from '../../src/crypto/root-key.js';
import { insertDataKeys, opensAll, readDataKeys, readRootKeys } from '../../src/database/data-key-store.js';
import { readInstallation } from '../../src/database/identity.js';
import { addRecoveryKey, retireRootKey } from '../../src/root-keys/change-root-keys.js';
import { assertWorks } from '../../src/root-keys/probe.js';
import { type RootKeyContext, rewrap } from '../../src/root-keys/rewrap.js';
import { freshSqlite } from '../support/databases.js';
import { fingerprintOf, type Installed, install, refusalOf } from './installations.js';

describe('a change of root keys', () => {
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

  const rotated = ({ context, rootKey }: Installed, target: RootKey) =>
    rewrap(context, rootKey, target, 'root_key.rotated');

  async function staysAsItWas(one: Installed): Promise<void> {
    expect((await one.database.read(readInstallation))?.rootKeyId).to.equal(one.rootKey.id);
    expect(fingerprintOf((await one.open()).keys)).to.equal(one.fingerprint);
  }

  it('is not made to one that gives back something else than it was given', async () => {
    const one = await installed();
    const honest = localRootKey(generateRootKey());
    const faithless: RootKey = {
      ...honest,
      async unwrap(wrapped, context) {
        const key = await honest.unwrap(wrapped, context);
        key[31] = (key[31] ?? 0) ^ 1;
        return key;
      },
    };
    expect((await refusalOf(assertWorks(faithless))).code).to.equal('root_key_wrong');
    const refused = await refusalOf(rotated(one, faithless));
    expect(refused.code).to.equal('sealed_value_damaged');
    expect(refused.message).to.include('Nothing was switched');
    await staysAsItWas(one);
    // What it wrapped is what an honest one wraps (control).
    await assertWorks(honest);
    expect((await rotated(one, honest)).wrapped).to.equal(0);
    expect(fingerprintOf((await one.open(honest)).keys)).to.equal(one.fingerprint);
  });

  it('says how to go on when an earlier attempt was made with another key of that name', async () => {
    const one = await installed();
    const [first, second] = [localRootKey(generateRootKey()), localRootKey(generateRootKey())];
    let steps = 0;
    const stopped: RootKeyContext = {
      ...one.context,
      onStep(step) {
        steps += 1;
        if (steps > 4) throw new Error(step);
      },
    };
    const broken = rewrap(stopped, one.rootKey, { ...first, id: second.id }, 'root_key.rotated');
    expect(await broken.catch((error: Error) => error.message)).to.equal('wrapped');
    const refused = await refusalOf(rotated(one, second));
    expect(refused.code).to.equal('conflict');
    expect(refused.message).to.include(`root-key retire ${second.id}`);
    await staysAsItWas(one);
    await retireRootKey(one.context, second.id);
    await rotated(one, second);
    expect(fingerprintOf((await one.open(second)).keys)).to.equal(one.fingerprint);
  });

  async function addLater({ database, rootKey }: Installed): Promise<void> {
    const { id, key } = generateDataKey();
    // @ts-expect-error a purpose that this version does not know
    const wrapped = await rootKey.wrap(key, dataKeyContext('later', id));
    const wraps = [{ rootKeyId: rootKey.id, wrapped }];
    await database.transaction(trx => insertDataKeys(trx, [{ id, purpose: 'later', wraps }], 1));
  }

  it('adds no recovery key that opens only some data keys, because one was made in the meantime', async () => {
    const one = await installed();
    const recipient = await recoveryRecipient((await generateRecoveryKey()).publicKey);
    let isAdded = false;
    const slow: typeof recipient = {
      ...recipient,
      async wrap(key, context) {
        if (!isAdded) {
          isAdded = true;
          await addLater(one);
        }
        return recipient.wrap(key, context);
      },
    };
    expect((await refusalOf(addRecoveryKey(one.context, one.rootKey, slow))).code).to.equal('conflict');
    expect(await one.database.read(readRootKeys)).to.have.length(1);
    expect(await addRecoveryKey(one.context, one.rootKey, slow)).to.equal(true);
    expect(opensAll(recipient.id, await one.database.read(readDataKeys))).to.equal(true);
  });

  async function loseAccountKey({ database }: Installed): Promise<void> {
    const account = (await database.read(readDataKeys)).find(({ purpose }) => purpose === 'account');
    await database.write(on => on('data_key_wraps').where({ data_key_id: account?.id }).delete());
    await database.write(on => on('data_keys').where({ id: account?.id }).delete());
  }

  it('leaves no new data key that a recovery key does not open, which was added while it was made', async () => {
    const one = await installed();
    await loseAccountKey(one);
    const recipient = await recoveryRecipient((await generateRecoveryKey()).publicKey);
    const slow: RootKey = {
      ...one.rootKey,
      async wrap(key, context) {
        await addRecoveryKey(one.context, one.rootKey, recipient);
        return one.rootKey.wrap(key, context);
      },
    };
    await one.open(slow);
    const stored = await one.database.read(readDataKeys);
    expect(stored).to.have.length(7);
    expect(opensAll(recipient.id, stored)).to.equal(true);
  });

  it('leaves no new data key to a recovery key that was retired while it was made', async () => {
    const one = await installed();
    const recipient = await recoveryRecipient((await generateRecoveryKey()).publicKey);
    await addRecoveryKey(one.context, one.rootKey, recipient);
    await loseAccountKey(one);
    let isRetired = false;
    const slow: RootKey = {
      ...one.rootKey,
      async wrap(key, context) {
        if (!isRetired) {
          isRetired = true;
          await retireRootKey(one.context, recipient.id);
        }
        return one.rootKey.wrap(key, context);
      },
    };
    await one.open(slow);
    const stored = await one.database.read(readDataKeys);
    expect(stored).to.have.length(7);
    expect(stored.some(({ wraps }) => wraps.has(recipient.id))).to.equal(false);
  });
});

describe('a recovery key', () => {
  it('is taken as the public half of a key on its curve only, and nothing that was given is repeated', async () => {
    const { publicKey, privateKey } = await generateRecoveryKey();
    const half = JSON.parse(publicKey) as Record<string, string>;
    const { d = '' } = JSON.parse(privateKey) as Record<string, string>;
    for (const given of [
      '',
      'secret-text',
      '[]',
      'null',
      JSON.stringify({ ...half, d }),
      JSON.stringify({ ...half, crv: 'P-384' }),
      JSON.stringify({ ...half, y: half.x }),
      JSON.stringify({ ...half, x: 'A'.repeat(43), y: 'A'.repeat(43) }),
      JSON.stringify({ ...half, x: `${half.x}AA` }),
    ]) {
      const refused = await refusalOf(recoveryRecipient(given));
      expect(refused.code).to.equal('invalid_request');
      expect(`${refused.message}${refused.detail}`).to.not.include(d).and.not.include('secret-text');
    }
    expect((await recoveryRecipient(publicKey)).publicKey).to.equal(publicKey);
  });
});
