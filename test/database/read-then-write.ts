import { once } from 'node:events';
import knexModule, { type Knex } from 'knex';
import { openDatabase } from '../../src/database/connect.js';

/** A process of its own: reads a counter and writes it back, `count` times, in transactions. */
const [kind, url = '', count = '0'] = process.argv.slice(2);
let busy = 0;
let written = 0;

async function work(trx: Knex): Promise<void> {
  const row = await trx('counter').first('value');
  await trx('counter').update({ value: Number(row?.value) + 1 });
}

const database = openDatabase({ url });
const plain = knexModule.knex({
  client: 'sqlite3',
  connection: { filename: url.slice('sqlite:'.length) },
  useNullAsDefault: true,
  pool: {
    min: 1,
    max: 1,
    afterCreate(
      connection: { exec(sql: string, done: (error: Error | null) => void): void },
      done: (error: Error | null) => void,
    ) {
      connection.exec('PRAGMA busy_timeout = 5000;', done);
    },
  },
});

// Both begin at once, or on a busy machine one has ended before the other has started.
process.send?.('ready');
await once(process, 'message');
for (let round = 0; round < Number(count); round += 1) {
  try {
    if (kind === 'ours') await database.transaction(work);
    else await plain.transaction(work);
    written += 1;
  } catch (error) {
    const { code } = error as { code?: string };
    const { cause } = error as { cause?: { code?: string } };
    if (code !== 'SQLITE_BUSY' && cause?.code !== 'SQLITE_BUSY') throw error;
    busy += 1;
  }
}
await database.close();
await plain.destroy();
process.send?.({ busy, written });
process.disconnect();
