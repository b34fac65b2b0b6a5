import { expect } from 'chai';
import { Scene } from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { auditRows } from '../../support/tables.js';

/** What people try first at a server that was just installed. */
const GUESSES = ['admin', 'administrator', 'root', 'claviger', 'demo', 'test', 'ada'].flatMap(name =>
  ['localhost', 'example.org', 'example.test', 'example.com'].map(host => `${name}@${host}`),
);

describe('a server that was just installed', () => {
  forEachDatabase((_name, fresh) => {
    it('has no account, no default password and no client of anybody; a second start makes none either (requirement 96)', async () => {
      const lines: string[] = [];
      const { url } = await fresh();
      const scene = await Scene.open({ url, onLog: line => lines.push(line) });
      const { database } = await scene.cluster.operator();
      const accounts = async () =>
        Number((await database.reader('users').count({ count: '*' }).first())?.count);
      const clients = async () =>
        Number((await database.reader('clients').count({ count: '*' }).first())?.count);
      expect([await accounts(), await clients()]).to.deep.equal([0, 0]);
      const shop = await scene.relyingParty();
      for (const email of GUESSES) {
        const browser = scene.browser();
        await browser.get(shop.begin().path);
        await browser.submit('form:has(input[name="password"])', {
          email,
          password: email.split('@')[0] ?? '',
        });
        expect(browser.landing.departure, email).to.equal(undefined);
      }
      await Promise.all(scene.cluster.nodes.splice(0).map(node => node.close()));
      await scene.cluster.start();
      expect(await accounts()).to.equal(0);
      const made = (await auditRows(database)).filter(({ event }) => event.startsWith('user.'));
      expect(made).to.deep.equal([]);
      // Nothing that opens anything is printed at a start.
      expect(lines.filter(line => /password|one-time|token=/i.test(line))).to.deep.equal([]);
      // The control: with an account, the same form opens.
      const person = await scene.person();
      expect((await shop.authorize(scene.browser(), person)).code).to.be.a('string');
      expect(await accounts()).to.equal(1);
      await scene.close();
    });
  });
});
