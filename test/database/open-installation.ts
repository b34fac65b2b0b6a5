import { localRootKey } from '../../src/crypto/root-key.js';
import { openDatabase } from '../../src/database/connect.js';
import { openInstallation } from '../../src/database/installation.js';

/** A process of its own that opens an installation when it is told to, and tells what it found. */
const [url = '', rootKey = '', issuer = '', environment = ''] = process.argv.slice(2);
const database = openDatabase({ url });
process.send?.('ready');
process.once('message', async () => {
  const { migrated, keys } = await openInstallation(database, localRootKey(rootKey), { issuer, environment });
  process.send?.({ migrated, hash: keys.hasher.hash('x') });
  await database.close();
  process.disconnect();
});
