import { randomBytes } from 'node:crypto';
import knex from 'knex';
import { type BenchClient, bareClientMetadata } from './bench-names.js';

/** For a run without Claviger: clients of the same shape as its own. */
export function inventClients(count: number): readonly BenchClient[] {
  const random = (length: number) => randomBytes(length).toString('hex').slice(0, length);
  return Array.from({ length: count }, () => ({
    clientId: `cl_${random(21)}`,
    clientSecret: `cvg_cs_${random(49)}`,
  }));
}

/** The same clients in the form that a plain adapter keeps: metadata as JSON, secret readable. */
export async function seedBare(file: string, clients: readonly BenchClient[]): Promise<void> {
  const database = knex({ client: 'sqlite3', connection: { filename: file }, useNullAsDefault: true });
  try {
    await database.raw('PRAGMA journal_mode = WAL');
    await database.schema.createTable('bench_clients', table => {
      table.string('id').primary();
      table.text('metadata').notNullable();
    });
    const rows = clients.map(client => ({
      id: client.clientId,
      metadata: JSON.stringify(bareClientMetadata(client)),
    }));
    await database.batchInsert('bench_clients', rows, 400);
  } finally {
    await database.destroy();
  }
}
