import { fork } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { migrations } from '../../db/migrations/all.js';
import { generateRootKey, localRootKey } from '../../src/crypto/root-key.js';
import { openDatabase } from '../../src/database/connect.js';
import { openInstallation } from '../../src/database/installation.js';
import { schemaStatus } from '../../src/database/schema.js';
import { forEachDatabase } from '../support/databases.js';
import { Cluster } from '../support/nodes.js';
import { dumpOf } from '../support/tables.js';

const CHILD = new URL('./open-installation.ts', import.meta.url).pathname;
const FIRST = { issuer: 'https://id.example.test', environment: 'production' };
const LOCAL = { issuer: 'http://localhost:4400', environment: 'development' };

describe('the installation', () => {
  forEachDatabase((_name, fresh) => {
    const rootKey = generateRootKey();

    async function opened(url: string, expected = FIRST, key = rootKey) {
      const database = openDatabase({ url });
      try {
        return await openInstallation(database, localRootKey(key), expected);
      } finally {
        await database.close();
      }
    }

    async function dumped(url: string): Promise<string> {
      const database = openDatabase({ url });
      const dump = await dumpOf(database);
      await database.close();
      return dump;
    }

    async function refusal(work: Promise<unknown>): Promise<{ code: string; message: string }> {
      return work.then(
        () => ({ code: 'none', message: '' }),
        (error: { code: string; message: string }) => error,
      );
    }

    it('is migrated once when five processes start at the same instant, and all agree on the keys', async function () {
      this.timeout(60_000);
      const { url } = await fresh();
      const children = Array.from({ length: 5 }, () =>
        fork(CHILD, [url, rootKey, FIRST.issuer, FIRST.environment], { execArgv: ['--import=tsx'] }),
      );
      for (const child of children) {
        // Otherwise the test would wait for the word of a process that is no more.
        child.once(
          'exit',
          code => code === 0 || child.emit('error', new Error(`a process ended with ${code}`)),
        );
      }
      await Promise.all(children.map(child => once(child, 'message')));
      const results = await Promise.all(
        children.map(async child => {
          const answer = once(child, 'message');
          child.send('go');
          return (await answer)[0] as { migrated: string[]; hash: string };
        }),
      );
      expect(results.filter(({ migrated }) => migrated.length > 0)).to.have.length(1);
      expect(results.flatMap(({ migrated }) => migrated)).to.deep.equal(migrations.map(({ name }) => name));
      expect(new Set(results.map(({ hash }) => hash)).size).to.equal(1);
      const database = openDatabase({ url });
      expect((await schemaStatus(database)).pending).to.deep.equal([]);
      expect(await database.reader('installation')).to.have.length(1);
      await database.close();
    });

    it('serves after three whole nodes started on an empty database at the same instant', async function () {
      this.timeout(60_000);
      const cluster = new Cluster({ url: (await fresh()).url });
      await Promise.all(Array.from({ length: 3 }, () => cluster.start()));
      for (const node of cluster.nodes) await node.tick();
      expect(new Set(cluster.nodes.map(({ ring }) => ring.served.published.etag)).size).to.equal(1);
      await cluster.close();
    });

    const FOREIGN: readonly (readonly [what: string, code: string, expected: typeof FIRST, key?: string])[] =
      [
        ['another issuer', 'database_foreign', { ...FIRST, issuer: 'https://other.example.test' }],
        ['another path', 'database_foreign', { ...FIRST, issuer: `${FIRST.issuer}/tenant` }],
        ['another environment', 'database_foreign', { ...FIRST, environment: 'staging' }],
        ['development', 'database_foreign', { ...FIRST, environment: 'development' }],
        ['another root key', 'root_key_wrong', FIRST, generateRootKey()],
      ];
    for (const [what, code, expected, key] of FOREIGN) {
      it(`refuses ${what}, says what to do, and changes nothing`, async () => {
        const { url } = await fresh();
        await opened(url);
        const before = await dumped(url);
        const refused = await refusal(opened(url, expected, key));
        expect(refused.code).to.equal(code);
        expect(refused.message).to.match(/Point |Provide |Correct |correct /);
        expect(refused.message).to.not.include(rootKey);
        expect(await dumped(url)).to.equal(before);
      });
    }

    it('adopts a development server that moved to another port, and tells from where', async () => {
      const { url } = await fresh();
      expect((await opened(url, LOCAL)).movedFrom).to.equal(undefined);
      const moved = await opened(url, { ...LOCAL, issuer: 'http://localhost:5500' });
      expect(moved.movedFrom).to.equal('http://localhost:4400');
      expect((await opened(url, { ...LOCAL, issuer: 'http://localhost:5500' })).movedFrom).to.equal(
        undefined,
      );
    });

    it('adopts no development server that moved beyond this machine', async () => {
      const { url } = await fresh();
      await opened(url, LOCAL);
      for (const issuer of [
        'https://id.example.test',
        'http://localhost.evil.test:4400',
        'http://10.0.0.1:4400',
      ]) {
        expect((await refusal(opened(url, { ...LOCAL, issuer }))).code).to.equal('database_foreign');
      }
    });

    it('keeps its data keys and reads what they sealed after a restart', async () => {
      const { url } = await fresh();
      const first = await opened(url);
      const sealed = first.keys.artifactEnvelope.seal('text', 'context');
      const second = await opened(url);
      expect(second.migrated).to.deep.equal([]);
      expect(second.keys.artifactEnvelope.open(sealed, 'context').toString()).to.equal('text');
      expect(second.keys.hasher.hash('x')).to.equal(first.keys.hasher.hash('x'));
    });
  });
});
