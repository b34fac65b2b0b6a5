import { expect } from 'chai';
import { decodeProtectedHeader } from 'jose';
import { TOTP } from 'otpauth';
import { dataKeyContext } from '../../src/crypto/data-key.js';
import { Envelope, sealedWith } from '../../src/crypto/envelope.js';
import { generateRecoveryKey, recoveryOpener, recoveryRecipient } from '../../src/crypto/recovery-key.js';
import { type KeyOpener, localRootKey } from '../../src/crypto/root-key.js';
import { readDataKeys } from '../../src/database/data-key-store.js';
import { openDataKeys, storedContext } from '../../src/database/installation.js';
import { addRecoveryKey } from '../../src/root-keys/change-root-keys.js';
import { makeLink } from '../../src/users/email-links.js';
import { confirmTotp, enrolTotp, verifyTotp } from '../../src/users/totp.js';
import { freshSqlite } from '../support/databases.js';
import { type Dump, dumpOf } from '../support/dump.js';
import { Cluster, token } from '../support/nodes.js';
import { peopleContext, seedUser } from '../support/people.js';

type Row = Dump[string][number];

/** Every sealed column, and what its value is bound to. */
const COLUMNS: Readonly<Record<string, (row: Row) => string>> = {
  'data_keys.wrapped': row => dataKeyContext(row.purpose as 'pepper', String(row.id)),
  'data_key_wraps.wrapped': row => String(row.context),
  'root_keys.sealed_public_key': row => `root_keys.sealed_public_key:${row.id}`,
  'signing_keys.sealed_private': row => `signing_keys.sealed_private:${row.kid}`,
  'artifacts.payload': row => `artifacts.payload:${row.id}`,
  'users.sealed_totp': row => `users.sealed_totp:${row.id}`,
  'email_links.sealed_payload': row => `email_link ${row.id}`,
  'outbox.sealed_payload': row => `outbox.payload:${row.id}`,
};

const SEALED = /^v1\.[0-9A-Za-z_-]{1,64}\.[\w-]{16}\.[\w-]*\.[\w-]{22}$/;

interface Sealed {
  readonly column: string;
  readonly value: string;
  readonly context: string;
}

describe('a sealed value in another row', function () {
  this.timeout(60_000);

  // Sealing knows nothing of the database below it: one of the two is enough.
  describe('of a whole installation', () => {
    let cluster: Cluster;
    let dump: Dump;
    let all: Sealed[];
    let openers: Map<string, (sealed: string, context: string) => Promise<Buffer>>;

    let fresh: Awaited<ReturnType<typeof freshSqlite>>;

    before(async () => {
      fresh = await freshSqlite();
      cluster = new Cluster({ url: fresh.url });
      const node = await cluster.start({ hasTimers: false });
      const resource = 'https://api.example.test/opaque';
      await cluster.resourceServer({ identifier: resource, scopes: ['o'], accessTokenFormat: 'opaque' });
      const client = await cluster.client({ resources: [{ identifier: resource, scopes: ['o'] }] });
      for (let made = 0; made < 2; made += 1) await token(node, client, { resource });
      const context = await peopleContext(cluster);
      const { database, keys } = await cluster.operator();
      for (const email of ['ada@example.com', 'bob@example.com']) {
        const { user } = await seedUser(cluster, { email });
        const { secret, enrolling } = await enrolTotp(context, user);
        const code = new TOTP({ secret: secret.replaceAll(' ', '') }).generate({
          timestamp: await database.now(),
        });
        await confirmTotp(context, { userId: user.id, enrolling, code }, { actor: 'os:test@host' });
        await database.transaction(async trx => {
          const now = await database.now(trx);
          const link = {
            kind: 'reset_password',
            userId: user.id,
            payload: { email },
            expiresIn: 900,
            now,
          } as const;
          await makeLink(trx, context, link);
        });
      }
      const rootKey = localRootKey(cluster.rootKey);
      const recoveries: KeyOpener[] = [];
      for (let made = 0; made < 2; made += 1) {
        const pair = await generateRecoveryKey();
        recoveries.push(await recoveryOpener(pair.privateKey));
        const by = { database, nodeId: 'test', actor: 'os:test@host' } as const;
        await addRecoveryKey(by, rootKey, await recoveryRecipient(pair.publicKey));
      }
      const stored = await database.read(readDataKeys);
      openers = new Map([rootKey, ...recoveries].map(key => [key.id, key.unwrap]));
      for (const key of await openDataKeys(rootKey, stored)) {
        if (key.key.length !== 32) throw new Error('no envelope key');
        const envelope = new Envelope(key);
        openers.set(key.id, async (sealed: string, bound: string) => envelope.open(sealed, bound));
      }
      expect(keys.accountEnvelope.keyId).to.be.oneOf([...openers.keys()]);
      const whole = await dumpOf(database);
      dump = {
        ...whole,
        data_key_wraps: (whole.data_key_wraps ?? []).map(row => {
          const key = stored.find(({ id }) => id === row.data_key_id);
          return { ...row, context: key === undefined ? '' : storedContext(key) };
        }),
      };
      all = Object.entries(COLUMNS).flatMap(([column, contextOf]) => {
        const [table = '', name = ''] = column.split('.');
        return (dump[table] ?? [])
          .filter(row => row[name] !== null)
          .map(row => ({ column, value: String(row[name]), context: contextOf(row) }));
      });
    });
    after(async () => {
      await cluster.close();
      await fresh.drop();
    });

    const opened = async ({ value }: Sealed, context: string): Promise<string> => {
      // What is wrapped for a recovery key is a JWE.
      const open = openers.get(sealedWith(value) ?? String(decodeProtectedHeader(value).kid));
      if (open === undefined) throw new Error(`no key for ${value.slice(0, 20)}`);
      return open(value, context).then(
        () => 'opened',
        (error: { code?: string }) => error.code ?? String(error),
      );
    };

    it('is looked for in every column that holds one', () => {
      const found = new Set<string>();
      for (const [table, rows] of Object.entries(dump)) {
        for (const row of rows) {
          for (const [name, value] of Object.entries(row)) {
            if (typeof value === 'string' && SEALED.test(value)) found.add(`${table}.${name}`);
          }
        }
      }
      expect([...found].sort()).to.deep.equal(Object.keys(COLUMNS).sort());
      for (const column of found) {
        expect(all.filter(sealed => sealed.column === column).length, column).to.be.greaterThan(1);
      }
    });

    it('opens in its own row (control)', async () => {
      for (const sealed of all) {
        expect(await opened(sealed, sealed.context), sealed.column).to.equal('opened');
      }
    });

    it('opens in no other row of any table', async () => {
      let tried = 0;
      for (const sealed of all) {
        for (const other of all) {
          if (other.context === sealed.context) continue;
          tried += 1;
          const what = `${sealed.column} as ${other.column}`;
          expect(await opened(sealed, other.context), what).to.equal('sealed_value_damaged');
        }
      }
      expect(tried).to.be.greaterThan(200);
    });

    it('would open there if values were not bound to their rows (control)', () => {
      const envelope = new Envelope({ id: 'careless', key: Buffer.alloc(32, 7) });
      const rows = ['one', 'two'].map(text => envelope.seal(text, 'users.sealed_totp'));
      expect(rows.map(value => envelope.open(value, 'users.sealed_totp').toString())).to.deep.equal([
        'one',
        'two',
      ]);
    });

    it('gives nobody another person’s second factor', async () => {
      const { database } = await cluster.operator();
      const context = await peopleContext(cluster);
      const [ada, bob] = (dump.users ?? []).map(({ id }) => String(id));
      await database.write(on =>
        on('users')
          .where({ id: ada })
          .update({ sealed_totp: on('users as other').where({ id: bob }).select('sealed_totp') }),
      );
      const error = await verifyTotp(context, ada ?? '', '123456').then(
        () => undefined,
        (caught: { code?: string }) => caught.code,
      );
      expect(error).to.equal('sealed_value_damaged');
    });
  });
});
