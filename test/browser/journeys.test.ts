import { expect } from 'chai';
import { decodeJwt } from 'jose';
import { TOTP } from 'otpauth';
import type { Page } from 'playwright-core';
import { addAuthenticator, axe, type OpenedPage, screenshot } from '../support/chromium.js';
import { RESOURCE } from '../support/nodes.js';
import { PASSWORD, type Person, seedUser } from '../support/people.js';
import { openSite, type Site } from './site.js';

const TWO_FACTORS = 'urn:claviger:acr:2';
const ORDERS = { scope: 'openid orders.read', resource: RESOURCE };

/** With scripts, styles and policy as they are served. Each journey ends with nothing on the console. */
describe('journeys in Chromium', function () {
  this.timeout(90_000);
  let site: Site;
  let opened: OpenedPage;
  let page: Page;
  let person: Person;

  before(async () => {
    site = await openSite({ CLAVIGER_USERS_SIGN_UP: 'true' });
  });

  after(() => site?.close());

  beforeEach(async () => {
    person = await seedUser(site.cluster);
    opened = await site.open();
    ({ page } = opened);
  });

  afterEach(async () => {
    await site.closePages();
    expect(opened.problems, 'on the console').to.deep.equal([]);
  });

  /** The page as people leave it behind: looked at, and kept for others to look at. */
  async function seen(name: string): Promise<void> {
    await screenshot(page, `journey/${name}`);
    expect(await axe(page), name).to.deep.equal([]);
  }

  async function typePassword({ email, password }: Pick<Person, 'email' | 'password'>): Promise<void> {
    const field = page.locator('input[name="email"]');
    if ((await field.getAttribute('readonly')) === null) await field.fill(email);
    await page.locator('input[name="password"]').fill(password);
    await page.locator('form:has(input[name="password"]) button.main').click();
  }

  async function allow(): Promise<void> {
    await page.locator('button[name="answer"][value="allow"]').click();
  }

  async function signInToAccount(path: string): Promise<void> {
    await page.goto(`${site.issuer}${path}`);
    await typePassword(person);
    await page.waitForURL(`${site.issuer}${path}`);
  }

  it('goes from sign-up over consent to a token', async () => {
    const email = 'new@example.test';
    const attempt = site.client.attempt({ scope: 'openid profile email', prompt: 'create' });
    await page.goto(attempt.url);
    await seen('sign-up');
    await page.locator('input[name="name"]').fill('New Person');
    await page.locator('input[name="email"]').fill(email);
    await page.locator('input[name="password"]').fill(PASSWORD);
    await page.locator('form:has(input[name="password"]) button.main').click();
    await page.waitForLoadState();
    await seen('sign-up-sent');
    await page.goto(await site.mailedLink(email));
    await seen('confirm-address');
    await page.locator('main form button.main').click();
    await page.waitForLoadState();
    await seen('address-confirmed');
    const again = site.client.attempt({ scope: 'openid profile email' });
    await page.goto(again.url);
    if (await page.locator('input[name="password"]').isVisible())
      await typePassword({ email, password: PASSWORD });
    await page.waitForSelector('button[name="answer"]');
    await seen('consent');
    await allow();
    const tokens = await site.tokens(page, again);
    const { json } = await site.client.userinfo(tokens.accessToken);
    expect(json).to.include({ email, email_verified: true, name: 'New Person' });
  });

  it('signs in by keyboard alone, with the focus where it can be seen (WCAG 2.2 §2.1.1, §2.4.7)', async () => {
    const attempt = site.client.attempt();
    await page.goto(attempt.url);
    const tabTo = async (selector: string) => {
      for (let presses = 0; presses < 30; presses += 1) {
        if (await page.evaluate(wanted => document.activeElement?.matches(wanted) === true, selector)) {
          const outline = await page.evaluate(() => {
            const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(
              document.activeElement as Element,
            );
            return (outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 1) || boxShadow !== 'none';
          });
          expect(outline, `focus on ${selector}`).to.equal(true);
          return;
        }
        await page.keyboard.press('Tab');
      }
      throw new Error(`Tab never comes to ${selector}`);
    };
    await tabTo('input[name="email"]');
    await page.keyboard.type(person.email);
    await tabTo('input[name="password"]');
    // Pasting is as good as typing (requirement 86).
    await page.keyboard.insertText(person.password);
    await page.keyboard.press('Enter');
    await page.waitForSelector('button[name="answer"]');
    await tabTo('button[value="allow"]');
    await page.keyboard.press('Enter');
    expect((await site.tokens(page, attempt)).claims.sub).to.equal(person.user.id);
  });

  it('registers a passkey and signs in with it, without a password, as two factors', async () => {
    const authenticator = await addAuthenticator(opened);
    await signInToAccount('/account/security');
    await page.locator('form[data-passkey="create"] input[name="name"]').fill('Laptop');
    await page.locator('form[data-passkey="create"] [data-passkey-start]').click();
    await page.waitForSelector('.code, form[action$="/passkeys/remove"]');
    await seen('passkey-added');
    expect(await authenticator.credentialIds()).to.have.length(1);
    await page.context().clearCookies();
    // An authenticator that is always ready answers the field's own offer, as soon as the page is there.
    const attempt = site.client.attempt({ ...ORDERS, acr_values: TWO_FACTORS });
    await page.goto(attempt.url);
    await page.waitForSelector('button[name="answer"]');
    await allow();
    const { claims, accessToken } = await site.tokens(page, attempt);
    expect(claims).to.include({ sub: person.user.id, acr: TWO_FACTORS });
    expect(decodeJwt(accessToken).amr).to.include.members(['pop', 'user']);
  });

  /** What a person types into the program that makes codes, who cannot scan. */
  async function shownTotp(): Promise<TOTP> {
    const details = page.locator('details', { has: page.locator('code') }).first();
    await details.locator('summary').click();
    const secret = (await details.locator('code').first().textContent())?.replaceAll(/\s/g, '') ?? '';
    expect(secret).to.match(/^[A-Z2-7]{32,}$/);
    return new TOTP({ secret });
  }

  /** Sets up codes in the account; what makes them. */
  async function addTotp(): Promise<() => string> {
    await signInToAccount('/account/security');
    await page.locator('form[action$="/security/totp"] button').click();
    await page.waitForSelector('.qr');
    await seen('totp');
    const totp = await shownTotp();
    await page.locator('input[name="code"]').fill(totp.generate());
    await page.locator('form:has(input[name="code"]) button.main').click();
    await page.waitForLoadState();
    await seen('totp-added');
    // A code opens once; the next step's is accepted by the tolerance for clocks that differ.
    return () => totp.generate({ timestamp: Date.now() + 30_000 });
  }

  it('adds codes, and asks for one when the client demands a second factor (RFC 9470)', async () => {
    const code = await addTotp();
    await page.context().clearCookies();
    const attempt = site.client.attempt({ ...ORDERS, acr_values: TWO_FACTORS });
    await page.goto(attempt.url);
    await typePassword(person);
    await page.waitForSelector('input[name="code"]');
    await seen('second-factor');
    await page.locator('input[name="code"]').fill(code());
    await page.locator('form:has(input[name="code"]) button.main').click();
    await page.waitForSelector('button[name="answer"]');
    await allow();
    const { claims, accessToken } = await site.tokens(page, attempt);
    expect(claims.acr).to.equal(TWO_FACTORS);
    // RFC 9068 §2.2.1, for the resource server that demanded it.
    const access = decodeJwt(accessToken);
    expect(access.acr).to.equal(TWO_FACTORS);
    expect(access.amr).to.include.members(['pwd', 'otp', 'mfa']);
  });

  it('steps up within a session: only what is missing is asked for (RFC 9470 §4)', async () => {
    const first = site.client.attempt();
    await page.goto(first.url);
    await typePassword(person);
    await page.waitForSelector('button[name="answer"]');
    await allow();
    await site.tokens(page, first);
    const second = site.client.attempt({ acr_values: TWO_FACTORS });
    await page.goto(second.url);
    await seen('step-up');
    // This person has no second factor yet, so the way to the client leads over setting one up.
    if (await page.locator('input[name="password"]').isVisible()) await typePassword(person);
    await page.waitForSelector('.qr');
    const totp = await shownTotp();
    await page.locator('input[name="code"]').fill(totp.generate());
    await page.locator('form:has(input[name="code"]) button.main').click();
    await page.waitForSelector('a.btn.main[href*="/continue"]');
    await seen('recovery-codes');
    await page.locator('a.btn.main[href*="/continue"]').click();
    const { claims } = await site.tokens(page, second);
    expect(claims.acr).to.equal(TWO_FACTORS);
  });

  it('connects a device (RFC 8628)', async () => {
    const begun = await site.client.ask('/oauth2/device', { scope: 'openid profile' });
    expect(begun.status, begun.text).to.equal(200);
    const { user_code: userCode, device_code: deviceCode, verification_uri: uri } = begun.json;
    await page.goto(String(uri));
    await seen('device');
    await page.locator('input[name="user_code"]').fill(String(userCode));
    await page.locator('form:has(input[name="user_code"]) button.main').click();
    await page.waitForSelector('button[name="confirm"]');
    expect(await page.locator('main').textContent()).to.contain(String(userCode));
    await seen('device-confirm');
    await page.locator('button[name="confirm"]').click();
    await page.waitForSelector('input[name="password"]');
    await typePassword(person);
    await page.waitForSelector('button[name="answer"]');
    await allow();
    await page.waitForURL(/\/oauth2\/device\/verify/);
    await seen('device-connected');
    const answer = await site.client.ask('/oauth2/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: String(deviceCode),
    });
    expect(answer.status, answer.text).to.equal(200);
    const claims = await site.client.verify(String(answer.json.id_token));
    expect(claims.sub).to.equal(person.user.id);
  });

  it('shows the account: every page, a saved name, and the way out', async () => {
    await signInToAccount('/account');
    for (const tab of ['', '/profile', '/security', '/access', '/sessions', '/activity']) {
      await page.goto(`${site.issuer}/account${tab}`);
      await seen(`account${tab}`);
    }
    await page.goto(`${site.issuer}/account/profile`);
    await page.locator('input[name="name"]').fill('Grace Hopper');
    await page.locator('form:has(input[name="name"]) button.main').click();
    await page.waitForLoadState();
    await page.reload();
    expect(await page.locator('input[name="name"]').inputValue()).to.equal('Grace Hopper');
    await page.locator('form[action$="/sign-out"] button').click();
    await page.waitForLoadState();
    await seen('signed-out');
    await page.goto(`${site.issuer}/account`);
    expect(await page.locator('input[name="password"]').isVisible()).to.equal(true);
  });

  it('speaks German where the browser does, and English again when asked to', async () => {
    const german = await site.open({ locale: 'de' });
    const { page: other } = german;
    await other.goto(site.client.attempt().url);
    expect(await other.locator('html').getAttribute('lang')).to.equal('de');
    await other.locator('button[name="locale"][value="en"]').click();
    await other.waitForLoadState();
    expect(await other.locator('html').getAttribute('lang')).to.equal('en');
    expect(await other.locator('input[name="password"]').isVisible()).to.equal(true);
    expect(german.problems).to.deep.equal([]);
  });
});
