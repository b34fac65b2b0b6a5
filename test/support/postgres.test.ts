import { existsSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import pg from 'pg';
import { forEachDatabase } from './databases.js';
import { startCluster } from './postgres.js';

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined); // the server is cut off on purpose below
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('test databases', () => {
  forEachDatabase((name, fresh) => {
    it('are new each time and gone when dropped', async () => {
      const [first, second] = [await fresh(), await fresh()];
      expect(first.url).to.not.equal(second.url);
      if (name === 'SQLite') {
        const path = first.url.slice('sqlite:'.length);
        writeFileSync(path, '');
        await first.drop();
        expect(existsSync(path)).to.equal(false);
        return;
      }
      await ask(first.url, 'CREATE TABLE a (b int)');
      expect(await ask(second.url, "SELECT 1 FROM pg_tables WHERE tablename = 'a'")).to.deep.equal([]);
      expect(await ask(second.url, 'SHOW fsync')).to.deep.equal([{ fsync: 'on' }]);
      await first.drop();
      const refusal = await ask(first.url, 'SELECT 1').catch((error: Error) => error.message);
      expect(refusal).to.match(/does not exist/);
    });
  });

  it('a PostgreSQL of its own keeps committed rows over a crash and a restart', async () => {
    const cluster = await startCluster();
    try {
      const { url } = await cluster.freshDatabase();
      await ask(url, 'CREATE TABLE a (b int); INSERT INTO a VALUES (1)');
      await cluster.stop('immediate');
      expect(await ask(url, 'SELECT 1').catch((error: NodeJS.ErrnoException) => error.code)).to.equal(
        'ECONNREFUSED',
      );
      await cluster.start();
      expect(await ask(url, 'SELECT b FROM a')).to.deep.equal([{ b: 1 }]);
    } finally {
      await cluster.remove();
    }
  });
});
