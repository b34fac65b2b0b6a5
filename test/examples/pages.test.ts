import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { type OpenedPage, openPage } from '../support/chromium.js';
import { Examples, type RunningExample } from './running-example.js';

/** What the orders API says to a token that it has verified. */
const ORDERS = /\{"orders":\[\{"order":1,"of":"us_\w+"\}\],"asked_by":"cl_\w+"\}/;

describe('the examples in a browser', function () {
  this.timeout(120_000);
  let examples: Examples;
  before(async () => {
    examples = await Examples.open();
  });
  after(() => examples?.close());

  async function signIn(page: Page): Promise<void> {
    const { email, password } = examples.demo.facts.user;
    await page.fill('input[name="email"]', email);
    await page.fill('input[name="password"]', password);
    await page.click('form:has(input[name="password"]) button');
    await page.click('button[value="allow"]');
  }

  describe('the web server', () => {
    let example: RunningExample;
    let opened: OpenedPage;
    before(async () => {
      example = await examples.start('server-side');
      await example.saying(/order desk at/);
      opened = await openPage();
    });
    after(async () => {
      await opened?.close();
      await example?.stop();
    });

    it('signs a person in, calls an API for them and signs them out', async () => {
      const { page, context } = opened;
      const home = `http://localhost:${examples.port}/`;
      await page.goto(home);
      await page.click('text=Sign in');
      await signIn(page);
      await page.waitForURL(home);
      expect(await page.textContent('main')).to.include('Hello Ada Example');
      const [cookie] = (await context.cookies(home)).filter(({ name }) => name === 'visitor');
      expect(cookie).to.include({ httpOnly: true, sameSite: 'Lax' });
      await page.click('text=Orders');
      expect(await page.textContent('main')).to.match(ORDERS);
      await page.goto(home);
      await page.click('text=Sign out');
      await page.click('[name="logout"]');
      await page.waitForURL(home);
      expect(await page.textContent('main')).to.equal('Sign in');
      const { stdout } = await examples.onDatabase('npx claviger audit list --event token.revoked --json');
      expect(JSON.parse(stdout)).to.have.length(1);
    });
  });

  describe('the web server, renewing the access token each time', () => {
    let example: RunningExample;
    let opened: OpenedPage;
    before(async () => {
      example = await examples.start('server-side', { RENEW_BEFORE: '3600' });
      await example.saying(/order desk at/);
      opened = await openPage();
    });
    after(async () => {
      await opened?.close();
      await example?.stop();
    });

    it('refreshes, also in two tabs at once, until access is withdrawn; then it asks to sign in', async () => {
      const { page, context } = opened;
      const home = `http://localhost:${examples.port}/`;
      await page.goto(home);
      await page.click('text=Sign in');
      await signIn(page);
      await page.waitForURL(home);
      const other = await context.newPage();
      for (let round = 0; round < 2; round += 1) {
        await Promise.all([page.goto(`${home}orders`), other.goto(`${home}orders`)]);
        for (const one of [page, other]) expect(await one.textContent('main')).to.match(ORDERS);
      }
      const clientId = '$(node -p "require(\'./.claviger/order-desk.json\').client_id")';
      const { email } = examples.demo.facts.user;
      const withdraw = `npx claviger grant revoke --user ${email} --client "${clientId}" --yes`;
      const withdrawn = await examples.onDatabase(withdraw);
      expect(withdrawn.exitCode, withdrawn.stderr).to.equal(0);
      await page.goto(`${home}orders`);
      expect(page.url()).to.match(new RegExp(`^${examples.issuer}/interaction/`));
    });
  });

  describe('the page without a server', () => {
    let example: RunningExample;
    let opened: OpenedPage;
    before(async () => {
      example = await examples.start('spa');
      await example.saying(/order page at/);
      opened = await openPage();
    });
    after(async () => {
      await opened?.close();
      await example?.stop();
    });

    it('signs a person in, calls an API for them and signs them out, and stores no token', async () => {
      const { page, problems } = opened;
      const home = `http://localhost:${examples.port}/`;
      await page.goto(home);
      await page.click('#sign-in');
      await signIn(page);
      await page.waitForSelector('#orders:not([hidden])');
      expect(page.url()).to.equal(home);
      expect(await page.textContent('#person')).to.equal(`Hello ${examples.demo.facts.user.email}`);
      await page.click('#orders');
      await page.waitForSelector('#answer:has-text("orders")');
      expect(await page.textContent('#answer')).to.match(ORDERS);
      const stored = await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }));
      expect(stored).to.not.include('token');

      await page.reload();
      await page.click('#sign-in');
      // The session and the consent are there: nothing is asked.
      await page.waitForSelector('#sign-out:not([hidden])');
      await page.click('#sign-out');
      await page.click('[name="logout"]');
      await page.waitForURL(home);
      expect(await page.textContent('#person')).to.equal('Nobody is signed in.');
      expect(problems).to.deep.equal([]);
    });
  });
});
