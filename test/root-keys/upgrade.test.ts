import { expect } from 'chai';
import { migrations } from '../../db/migrations/all.js';
import { DATA_KEY_PURPOSES, dataKeyContext, generateDataKey } from '../../src/crypto/data-key.js';
import { generateRootKey, localRootKey, type RootKey } from '../../src/crypto/root-key.js';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { readDataKeys, readRootKeys } from '../../src/database/data-key-store.js';
import { openInstallation } from '../../src/database/installation.js';
import { migrate } from '../../src/database/migrate.js';
import { rewrap } from '../../src/root-keys/rewrap.js';
import { forEachDatabase } from '../support/databases.js';
import { dumpOf } from '../support/dump.js';
import { EXPECTED, refusalOf } from './installations.js';

/** What the version before 0007 wrote: one wrap, beside the data key. */
async function installedBefore(database: Database, rootKey: RootKey): Promise<string> {
  await migrate(
    database,
    migrations.filter(({ name }) => name < '0003'),
  );
  let pepper = '';
  await database.transaction(async trx => {
    for (const purpose of DATA_KEY_PURPOSES) {
      const { id, key } = generateDataKey();
      if (purpose === 'pepper') pepper = key.toString('hex');
      const wrapped = await rootKey.wrap(key, dataKeyContext(purpose, id));
      await trx('data_keys').insert({ id, purpose, wrapped, root_key_id: rootKey.id, created_at: 5 });
    }
    await trx('installation').insert({
      id: 1,
      installation_id: 'before',
      issuer: EXPECTED.issuer,
      environment: EXPECTED.environment,
      root_key_id: rootKey.id,
      created_at: 5,
    });
  });
  return pepper;
}

describe('a database from before root keys had a table', function () {
  this.timeout(30_000);

  forEachDatabase((_name, fresh) => {
    it('is opened by its root key, keeps its data keys, and can change the root key from then on', async () => {
      const database = openDatabase({ url: (await fresh()).url });
      const rootKey = localRootKey(generateRootKey());
      const pepper = await installedBefore(database, rootKey);
      const { migrated } = await openInstallation(database, rootKey, EXPECTED);
      expect(migrated).to.include('0007-root-keys');
      const known = await database.read(readRootKeys);
      expect(known).to.have.length(1);
      expect(known[0]).to.include({ id: rootKey.id, role: 'main', backend: 'local', createdAt: 5 });
      const target = localRootKey(generateRootKey());
      await rewrap({ database, nodeId: 'test', actor: 'os:test@host' }, rootKey, target, 'root_key.rotated');
      const stored = (await database.read(readDataKeys)).find(({ purpose }) => purpose === 'pepper');
      const opened = await target.unwrap(
        stored?.wraps.get(target.id) ?? '',
        dataKeyContext('pepper', stored?.id ?? ''),
      );
      expect(opened.toString('hex')).to.equal(pepper);
      await database.close();
    });

    it('is not even migrated for a wrong root key (requirement 67)', async () => {
      const database = openDatabase({ url: (await fresh()).url });
      const rootKey = localRootKey(generateRootKey());
      await installedBefore(database, rootKey);
      const before = await dumpOf(database);
      const stranger = localRootKey(generateRootKey());
      // Under the right name, so that only the attempt to open something can tell.
      for (const wrong of [stranger, { ...stranger, id: rootKey.id }]) {
        expect((await refusalOf(openInstallation(database, wrong, EXPECTED))).code).to.equal(
          'root_key_wrong',
        );
        expect(await dumpOf(database)).to.deep.equal(before);
      }
      await database.close();
    });
  });
});
