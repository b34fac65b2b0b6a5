import { expect } from 'chai';
import { Secret } from '../../src/config/config.js';
import { dataKeyContext, generateDataKey } from '../../src/crypto/data-key.js';
import { generateRecoveryKey, recoveryOpener, recoveryRecipient } from '../../src/crypto/recovery-key.js';
import { generateRootKey, localRootKey, type RootKey } from '../../src/crypto/root-key.js';
import { insertDataKeys, opensAll, readDataKeys, readRootKeys } from '../../src/database/data-key-store.js';
import { readInstallation } from '../../src/database/identity.js';
import { createLogger } from '../../src/log.js';
import { addRecoveryKey, retireRootKey } from '../../src/root-keys/change-root-keys.js';
import { type RootKeyContext, rewrap } from '../../src/root-keys/rewrap.js';
import { startServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { dumpOf } from '../support/dump.js';
import { Cluster, token } from '../support/nodes.js';
import { isLongRun } from '../support/rounds.js';
import { auditRows } from '../support/tables.js';
import { fingerprintOf, type Installed, install, refusalOf } from './installations.js';

describe('a change of root key', function () {
  this.timeout(60_000);

  forEachDatabase((name, fresh) => {
    const opened: Installed[] = [];
    after(() => Promise.all(opened.splice(0).map(each => each.close())));

    async function installed(): Promise<Installed> {
      const one = await install((await fresh()).url);
      opened.push(one);
      return one;
    }

    const rotated = ({ context, rootKey }: Installed, target: RootKey, more: Partial<RootKeyContext> = {}) =>
      rewrap({ ...context, ...more }, rootKey, target, 'root_key.rotated');

    async function currentOf({ database }: Installed): Promise<string | undefined> {
      return (await database.read(readInstallation))?.rootKeyId;
    }

    it('is done once when ten do it at the same instant', async () => {
      const one = await installed();
      const target = localRootKey(generateRootKey());
      const results = await Promise.all(Array.from({ length: 10 }, () => rotated(one, target)));
      expect(results.reduce((sum, { wrapped }) => sum + wrapped, 0)).to.equal(7);
      const told = (await auditRows(one.database)).filter(({ event }) => event === 'root_key.rotated');
      expect(told).to.have.length(1);
    });

    it('lets one win of two to different root keys, and says so to the other', async () => {
      const one = await installed();
      const [first, second] = [localRootKey(generateRootKey()), localRootKey(generateRootKey())];
      const late = rotated(one, second, {
        onStep: async step => {
          if (step === 'verified') await rotated(one, first);
        },
      });
      expect((await refusalOf(late)).code).to.equal('conflict');
      expect(await currentOf(one)).to.equal(first.id);
      expect(fingerprintOf((await one.open(first)).keys)).to.equal(one.fingerprint);
    });

    it('says so when somebody gives the new root key up in the middle of it', async () => {
      const one = await installed();
      const target = localRootKey(generateRootKey());
      const broken = rotated(one, target, {
        onStep: async (step, done) => {
          if (step === 'wrapped' && done === 3) await retireRootKey(one.context, target.id);
        },
      });
      expect((await refusalOf(broken)).code).to.equal('conflict');
      expect(fingerprintOf((await one.open()).keys)).to.equal(one.fingerprint);
      await rotated(one, target);
      expect(fingerprintOf((await one.open(target)).keys)).to.equal(one.fingerprint);
    });

    // The rest promises nothing that differs by database; the short run asks one of them.
    if (name !== 'SQLite' && !isLongRun()) return;

    it('happens under running nodes: they issue tokens at every step, start with the old root key on the way, and with either at the end (requirement 68)', async () => {
      const cluster = new Cluster({ url: (await fresh()).url });
      const node = await cluster.start({ hasTimers: false });
      await cluster.resourceServer();
      const client = await cluster.client();
      const { database } = await cluster.operator();
      const to = generateRootKey();
      const starts = async (secret: string) => {
        const other = await startServer({
          config: cluster.config,
          rootKey: new Secret(secret),
          log: createLogger(cluster.config.log, { write: () => undefined }),
          hasTimers: false,
        });
        await token(other, client);
        await other.close();
      };
      const opens: Record<string, number> = {};
      await rewrap(
        {
          database,
          nodeId: 'test',
          actor: 'os:test@host',
          async onStep(step, done) {
            await token(node, client);
            if (step === 'opened' || step === 'added' || (step === 'wrapped' && done !== 4)) return;
            await starts(cluster.rootKey);
            opens.old = (opens.old ?? 0) + 1;
            if (step !== 'switched') return;
            await starts(to);
            opens.new = (opens.new ?? 0) + 1;
          },
        },
        localRootKey(cluster.rootKey),
        localRootKey(to),
        'root_key.rotated',
      );
      expect(opens).to.deep.equal({ old: 3, new: 1 });
      await token(node, client);
      await cluster.close();
    });

    it('tells the audit of each data key, switches last, and leaves no wrap of the old one where it was read before', async () => {
      const one = await installed();
      const target = localRootKey(generateRootKey());
      const currents = new Set<string | undefined>();
      await rotated(one, target, {
        onStep: async step => void (step !== 'switched' && currents.add(await currentOf(one))),
      });
      expect([...currents]).to.deep.equal([one.rootKey.id]);
      expect(await currentOf(one)).to.equal(target.id);
      const told = (await auditRows(one.database)).map(({ event }) => event);
      expect(told).to.deep.equal([
        'root_key.added',
        ...Array.from({ length: 7 }, () => 'data_key.wrapped'),
        'root_key.rotated',
      ]);
      const rows = await one.database.reader('data_keys').select('root_key_id', 'wrapped');
      expect(new Set(rows.map(row => row.root_key_id))).to.deep.equal(new Set([target.id]));
      expect(await one.database.reader('data_key_wraps')).to.have.length(14);
    });

    it('keeps the new root key from opening anything before it wraps every data key', async () => {
      const one = await installed();
      const target = localRootKey(generateRootKey());
      const answers: string[] = [];
      await rotated(one, target, {
        async onStep(step, done) {
          if (step !== 'wrapped') return;
          const answer = await one.open(target).then(
            ({ keys }) => (fingerprintOf(keys) === one.fingerprint ? 'opens' : 'other keys'),
            (error: { code: string }) => error.code,
          );
          answers[done - 1] = answer;
        },
      });
      expect(answers).to.deep.equal([...Array.from({ length: 6 }, () => 'root_key_wrong'), 'opens']);
    });

    it('includes a data key that a newer program adds in the middle of it', async () => {
      const one = await installed();
      const target = localRootKey(generateRootKey());
      let isAdded = false;
      await rotated(one, target, {
        async onStep(step) {
          if (step !== 'verified' || isAdded) return;
          isAdded = true;
          const { id, key } = generateDataKey();
          // @ts-expect-error a purpose that this version does not know
          const wrapped = await one.rootKey.wrap(key, dataKeyContext('later', id));
          const wraps = [{ rootKeyId: one.rootKey.id, wrapped }];
          await one.database.transaction(trx => insertDataKeys(trx, [{ id, purpose: 'later', wraps }], 1));
        },
      });
      const stored = await one.database.read(readDataKeys);
      expect(stored).to.have.length(8);
      expect(opensAll(target.id, stored)).to.equal(true);
    });

    /** A database from before this program, which lacks one of the data keys. */
    async function withoutAccountKey({ database }: Installed): Promise<void> {
      const key = (await database.read(readDataKeys)).find(({ purpose }) => purpose === 'account');
      await database.write(on => on('data_key_wraps').where({ data_key_id: key?.id }).delete());
      await database.write(on => on('data_keys').where({ id: key?.id }).delete());
    }

    it('lets only the current root key wrap a data key that is new, so that nobody is locked out', async () => {
      const one = await installed();
      const target = localRootKey(generateRootKey());
      await rotated(one, target);
      await withoutAccountKey(one);
      const before = await dumpOf(one.database);
      const refused = await refusalOf(one.open());
      expect(refused.code).to.equal('root_key_wrong');
      expect(refused.message).to.include(`Set rootKey to that one; nothing was changed`);
      expect(await dumpOf(one.database)).to.deep.equal(before);
      await one.open(target);
      expect(opensAll(target.id, await one.database.read(readDataKeys))).to.equal(true);
    });

    it('keeps the old root key until it is retired; then it opens nothing, and nothing is changed by trying', async () => {
      const one = await installed();
      const target = localRootKey(generateRootKey());
      await rotated(one, target);
      await one.open();
      expect((await refusalOf(retireRootKey(one.context, target.id))).code).to.equal('conflict');
      expect((await refusalOf(retireRootKey(one.context, 'ffff'))).code).to.equal('not_found');
      await retireRootKey(one.context, one.rootKey.id);
      const before = await dumpOf(one.database);
      expect((await refusalOf(one.open())).code).to.equal('root_key_wrong');
      expect(await dumpOf(one.database)).to.deep.equal(before);
      expect(JSON.stringify({ ...before, audit_events: [] })).to.not.include(one.rootKey.id);
      expect(fingerprintOf((await one.open(target)).keys)).to.equal(one.fingerprint);
    });

    describe('when the root key is lost', () => {
      it('is brought about by a recovery key, of which the server only ever held the public half', async () => {
        const one = await installed();
        const pair = await generateRecoveryKey();
        expect(
          await addRecoveryKey(one.context, one.rootKey, await recoveryRecipient(pair.publicKey)),
        ).to.equal(true);
        expect(
          await addRecoveryKey(one.context, one.rootKey, await recoveryRecipient(pair.publicKey)),
        ).to.equal(false);
        const { d } = JSON.parse(pair.privateKey) as { d: string };
        expect(JSON.stringify(await dumpOf(one.database))).to.not.include(d);
        const target = localRootKey(generateRootKey());
        await rewrap(one.context, await recoveryOpener(pair.privateKey), target, 'root_key.recovered');
        expect(fingerprintOf((await one.open(target)).keys)).to.equal(one.fingerprint);
        const told = (await auditRows(one.database)).find(({ event }) => event === 'root_key.recovered');
        expect(told?.detail).to.deep.equal({ replaces: one.rootKey.id, opened_by: pair.id });
      });

      it('is impossible without it, and with another recovery key (control)', async () => {
        const one = await installed();
        const [ours, other] = [await generateRecoveryKey(), await generateRecoveryKey()];
        await addRecoveryKey(one.context, one.rootKey, await recoveryRecipient(ours.publicKey));
        const before = await dumpOf(one.database);
        const target = localRootKey(generateRootKey());
        const opener = await recoveryOpener(other.privateKey);
        expect((await refusalOf(rewrap(one.context, opener, target, 'root_key.recovered'))).code).to.equal(
          'root_key_wrong',
        );
        // Under the right name it opens no more than before.
        const renamed = { ...opener, id: ours.id };
        expect((await refusalOf(rewrap(one.context, renamed, target, 'root_key.recovered'))).code).to.equal(
          'root_key_wrong',
        );
        expect(await dumpOf(one.database)).to.deep.equal(before);
      });

      it('brings back data keys that were made after the recovery key was added', async () => {
        const one = await installed();
        const pair = await generateRecoveryKey();
        await addRecoveryKey(one.context, one.rootKey, await recoveryRecipient(pair.publicKey));
        await withoutAccountKey(one);
        const { keys } = await one.open();
        const target = localRootKey(generateRootKey());
        await rewrap(one.context, await recoveryOpener(pair.privateKey), target, 'root_key.recovered');
        const sealed = keys.accountEnvelope.seal('text', 'c');
        expect((await one.open(target)).keys.accountEnvelope.open(sealed, 'c').toString()).to.equal('text');
      });

      it('never opens the database as a main root key', async () => {
        const one = await installed();
        const pair = await generateRecoveryKey();
        const recipient = await recoveryRecipient(pair.publicKey);
        await addRecoveryKey(one.context, one.rootKey, recipient);
        const opener = await recoveryOpener(pair.privateKey);
        const posing: RootKey = {
          ...opener,
          ...recipient,
          backend: 'local',
          reference: '',
          close: () => undefined,
        };
        expect((await refusalOf(one.open(posing))).code).to.equal('root_key_wrong');
        expect((await refusalOf(rotated(one, posing))).code).to.equal('conflict');
        expect((await one.database.read(readRootKeys)).map(({ role }) => role).sort()).to.deep.equal([
          'main',
          'recovery',
        ]);
      });
    });
  });
});
