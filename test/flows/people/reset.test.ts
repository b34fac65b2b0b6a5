import { request } from 'node:http';
import { expect } from 'chai';
import { lockUser } from '../../../src/users/change-user.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { OPERATOR } from '../../support/nodes.js';
import type { Person, RelyingParty } from '../authorization/relying-party.js';
import { faults, heading, NEXT_PASSWORD, PeopleScene, sameness, signIn, WRONG } from './people-scene.js';

const FORM = 'main form';

describe('a forgotten password', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({
        url: (await fresh()).url,
        env: { CLAVIGER_RATE_LIMITS: 'development' },
      });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    beforeEach(async () => {
      ada = await people.scene.person();
    });

    after(() => people.close());

    async function ask(email: string): Promise<FormBrowser> {
      const browser = people.scene.browser();
      await browser.get('/forgot');
      await browser.submit(FORM, { email });
      return browser;
    }

    async function asked(email: string): Promise<string> {
      await ask(email);
      return people.link('reset-password', email);
    }

    it('is replaced by a link in a mail, on the way to the client', async () => {
      const browser = await people.atSignIn(shop);
      const start = browser.landing.url;
      await browser.follow('Forgot it?');
      await browser.submit(FORM, { email: ada.email });
      expect(heading(browser)).to.equal('Check your mail');
      const back = browser.landing.root.querySelector('main a.btn')?.getAttribute('href') ?? '';
      const mailed = browser.window();
      await mailed.get(await people.link('reset-password', ada.email));
      await mailed.submit(FORM, { password: NEXT_PASSWORD });
      expect(heading(mailed)).to.equal('Password changed');
      await browser.get(back);
      expect(browser.landing.url).to.contain(start);
      expect((await signIn(browser, ada.email, ada.password)).status).to.equal(422);
      expect((await signIn(browser, ada.email, NEXT_PASSWORD)).departure?.parameters.code).to.be.a('string');
    });

    it('is asked for with one answer, whoever has an account', async () => {
      await people.mails();
      const [known, unknown] = [await ask(ada.email), await ask('nobody@example.org')];
      expect(sameness(known.landing, ada.email)).to.equal(sameness(unknown.landing, 'nobody@example.org'));
      expect((await people.mails()).map(({ to }) => to)).to.deep.equal([ada.email]);
    });

    it('brings a link to the configured issuer, whatever the request says, and to the address of the account (requirement 92)', async () => {
      const browser = people.scene.browser();
      await browser.get('/forgot');
      const csrf = browser.form().querySelector('[name="csrf"]')?.getAttribute('value') ?? '';
      const cookie = Object.entries(await browser.cookies())
        .map(([name, value]) => `${name}=${value}`)
        .join('; ');
      const send = (headers: Record<string, string>): Promise<number> =>
        new Promise((resolve, reject) => {
          const body = new URLSearchParams({ csrf, email: ada.email.toUpperCase() }).toString();
          const { port } = people.scene.node;
          const outgoing = request({
            ...{ host: '127.0.0.1', port, path: '/forgot', method: 'POST' },
            headers: { 'content-type': 'application/x-www-form-urlencoded', cookie, ...headers },
          });
          outgoing.once('response', response => {
            response.resume();
            resolve(response.statusCode ?? 0);
          });
          outgoing.once('error', reject);
          outgoing.end(body);
        });
      expect(await send({ host: 'evil.example' })).to.equal(421);
      const forged = {
        host: 'localhost:4400',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'https',
        forwarded: 'host=evil.example',
        'x-original-host': 'evil.example',
      };
      expect(await send(forged)).to.equal(303);
      const mails = await people.mails();
      expect(mails.map(({ to }) => to)).to.deep.equal([ada.email]);
      const [mail] = mails;
      expect(mail?.values)
        .to.have.property('url')
        .that.matches(/^http:\/\/localhost:4400\/link\?token=[A-Za-z0-9_-]{43}$/);
    });

    it('is replaced once by each link, within 15 minutes, and by the newest link only (requirement 92)', async () => {
      const link = await asked(ada.email);
      const browser = people.scene.browser();
      // Mail scanners follow links: looking, however often, uses nothing up.
      for (let count = 0; count < 3; count += 1) expect((await browser.get(link)).status).to.equal(200);
      const other = browser.window();
      await other.get(link);
      await browser.submit(FORM, { password: NEXT_PASSWORD });
      await other.submit(FORM, { password: 'seven loud radishes sang' });
      expect([other.landing.status, heading(other)]).to.deep.equal([410, 'This link is no longer valid']);
      const old = await asked(ada.email);
      const newest = await asked(ada.email);
      expect((await browser.get(old)).status).to.equal(410);
      expect((await browser.get(newest)).status).to.equal(200);
      await people.moveBy(901);
      expect((await browser.get(newest)).status).to.equal(410);
    });

    it('is judged before the link is used up', async () => {
      const browser = people.scene.browser();
      await browser.get(await asked(ada.email));
      await browser.submit(FORM, { password: 'short' });
      expect([browser.landing.status, browser.has('#password-error')]).to.deep.equal([422, true]);
      await browser.submit(FORM, { password: NEXT_PASSWORD });
      expect(heading(browser)).to.equal('Password changed');
    });

    it('ends every session, and unlocks an account that was locked', async () => {
      const browser = await people.atSignIn(shop);
      await signIn(browser, ada.email, ada.password);
      await lockUser(await people.scene.context(), ada, { actor: OPERATOR });
      const mailed = people.scene.browser();
      await mailed.get(await asked(ada.email));
      await mailed.submit(FORM, { password: NEXT_PASSWORD });
      await people.tick();
      const silent = await browser.get(shop.begin({ prompt: 'none' }).path);
      expect(silent.departure?.parameters.error).to.equal('login_required');
      const again = await people.atSignIn(shop);
      expect((await signIn(again, ada.email, NEXT_PASSWORD)).departure?.parameters.code).to.be.a('string');
    });

    it('is nothing that a link opens which nobody sent', async () => {
      const browser = people.scene.browser();
      for (const path of [
        '/link',
        '/link?token=',
        `/link?token=${'A'.repeat(43)}`,
        '/link?token=%00',
        '/link?token=a&token=b',
      ]) {
        expect((await browser.get(path)).status, path).to.equal(410);
      }
    });
  });
});

describe('guessing passwords (requirement 87)', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;

    before(async () => {
      people = await PeopleScene.open({
        url: (await fresh()).url,
        nodes: 3,
        env: { CLAVIGER_RATE_LIMITS: 'production' },
      });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    after(() => people.close());

    it('is over after ten tries on three nodes, however the address is typed, with 429 and when to come back', async () => {
      const eve = await people.scene.person();
      const browser = await people.atSignIn(shop);
      const typed = [eve.email, eve.email.toUpperCase(), ` ${eve.email}`];
      const statuses: number[] = [];
      for (let count = 0; count < 12; count += 1) {
        statuses.push((await signIn(browser, typed[count % 3] ?? '', WRONG)).status);
      }
      expect(statuses).to.deep.equal([...Array<number>(10).fill(422), 429, 429]);
      expect(Number(browser.landing.headers['retry-after'])).to.be.within(1, 900);
      expect(faults(browser)).to.match(/Try again in \d+ minutes/);
      // Not even the right one is looked at.
      expect((await signIn(browser, eve.email, eve.password)).status).to.equal(429);
      // An address that nobody has is told the same.
      const nobody = await people.atSignIn(shop);
      for (let count = 0; count < 10; count += 1) await signIn(nobody, 'nobody@example.org', WRONG);
      expect((await signIn(nobody, 'nobody@example.org', WRONG)).status).to.equal(429);
      expect(faults(nobody)).to.match(/Try again in \d+ minutes/);
      await people.moveBy(901);
      const later = await people.atSignIn(shop);
      expect((await signIn(later, eve.email, eve.password)).departure?.parameters.code).to.be.a('string');
    });

    it('lets a simultaneous crowd have no more tries than one after another', async () => {
      const eve = await people.scene.person();
      const browsers = await Promise.all(Array.from({ length: 24 }, () => people.atSignIn(shop)));
      const landings = await Promise.all(browsers.map(browser => signIn(browser, eve.email, WRONG)));
      const count = (status: number): number => landings.filter(landing => landing.status === status).length;
      expect([count(422), count(429)]).to.deep.equal([10, 14]);
    });

    it('is over after a hundred failures in a row, until its owner resets the password by mail', async () => {
      const eve = await people.scene.person();
      for (let round = 0; round < 10; round += 1) {
        const browser = await people.atSignIn(shop);
        for (let count = 0; count < 10; count += 1) await signIn(browser, eve.email, WRONG);
        await people.moveBy(901);
      }
      const browser = await people.atSignIn(shop);
      expect((await signIn(browser, eve.email, eve.password)).status).to.equal(429);
      expect(faults(browser)).to.contain('The password is paused here');
      expect(Number(browser.landing.headers['retry-after'])).to.equal(24 * 3600);
      const mailed = people.scene.browser();
      await mailed.get('/forgot');
      await mailed.submit('main form', { email: eve.email });
      await mailed.get(await people.link('reset-password', eve.email));
      await mailed.submit('main form', { password: NEXT_PASSWORD });
      expect((await signIn(browser, eve.email, NEXT_PASSWORD)).departure?.parameters.code).to.be.a('string');
    }).timeout(90_000);

    it('fills no mailbox', async () => {
      const eve = await people.scene.person();
      const browser = people.scene.browser();
      const statuses: number[] = [];
      for (let count = 0; count < 5; count += 1) {
        await browser.get('/forgot');
        statuses.push((await browser.submit('main form', { email: eve.email })).status);
      }
      expect(statuses).to.deep.equal([200, 200, 200, 429, 429]);
      expect((await people.mails()).filter(({ to }) => to === eve.email)).to.have.length(3);
    });
  });
});
