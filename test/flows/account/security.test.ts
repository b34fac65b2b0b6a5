import type { PublicKeyCredentialCreationOptionsJSON } from '@simplewebauthn/server';
import { expect } from 'chai';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { SoftwareAuthenticator } from '../../users/software-authenticator.js';
import {
  AccountWorld,
  codeOf,
  ISSUER,
  mustSignIn,
  NEXT_PASSWORD,
  noticeOf,
  PASSWORD,
  pathOf,
} from './account-world.js';

const PASSWORD_FORM = 'form[action$="/security/password"]';
const TOTP_FORM = 'form[action$="/security/totp"]';
const SIX_MINUTES = 360;

describe('what opens an account, on its pages', () => {
  forEachDatabase((_name, fresh) => {
    let world: AccountWorld;
    let people = 0;

    before(async function () {
      this.timeout(60_000);
      world = new AccountWorld((await fresh()).url);
      await world.start();
    });
    after(() => world.close());

    async function person(): Promise<string> {
      people += 1;
      const email = `opener-${people}@example.test`;
      await world.person(email);
      await world.mails();
      return email;
    }

    const mailsTo = async (email: string) =>
      (await world.mails()).filter(({ to }) => to === email).map(({ mail }) => mail);

    const sessionCookie = async (browser: FormBrowser) => (await browser.cookies()).session;

    /** Sets up an authenticator app; the browser ends on the recovery codes. */
    async function addTotp(browser: FormBrowser): Promise<(at: number) => string> {
      await browser.get('/account/security');
      await browser.submit(TOTP_FORM);
      expect(pathOf(browser), browser.describe()).to.equal('/account/security/totp');
      const { text } = browser.landing;
      const code = (at: number) => codeOf({ landing: { text } } as FormBrowser, at);
      await browser.submit('input[name="code"]', { code: code(await world.database.now()) });
      return code;
    }

    it('changes the password: this session stays under a new cookie, the others end, the owner is told (requirement 52)', async () => {
      const email = await person();
      const other = await world.signedIn(email);
      const browser = await world.signedIn(email, '/account/security');
      await world.mails();
      const [before, cookies] = [await sessionCookie(browser), await browser.cookies()];
      expect(before).to.be.a('string');
      await browser.submit(PASSWORD_FORM, { current_password: PASSWORD, password: NEXT_PASSWORD });
      expect(pathOf(browser), browser.describe()).to.equal('/account/security');
      expect(noticeOf(browser)).to.include('Password changed');
      expect(await sessionCookie(browser))
        .to.be.a('string')
        .and.not.equal(before);
      expect(await mailsTo(email)).to.deep.equal(['password-changed']);
      const thief = await world.thief(cookies);
      await thief.get('/account');
      expect(mustSignIn(thief), 'a copy of the cookie from before opens nothing').to.equal(true);
      await other.get('/account');
      expect(mustSignIn(other)).to.equal(true);
      await world.signIn(other, email, PASSWORD);
      expect(mustSignIn(other), 'the old password opens nothing').to.equal(true);
      await world.signedIn(email, '/account', NEXT_PASSWORD);
      await browser.get('/account');
      expect(mustSignIn(browser)).to.equal(false);
    });

    it('keeps the password unless the current one is right and the new one is good', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/security');
      const attempts = [
        [{ current_password: 'not this one at all', password: NEXT_PASSWORD }, 'not right'],
        [{ current_password: '', password: NEXT_PASSWORD }, 'Enter the password'],
        [{ current_password: PASSWORD, password: 'short' }, '15'],
        [{ current_password: PASSWORD, password: PASSWORD }, 'current password'],
      ] as const;
      for (const [fields, words] of attempts) {
        const { status, root } = await browser.submit(PASSWORD_FORM, fields);
        expect(status).to.equal(422);
        expect(root.querySelector('#summary')?.textContent).to.include(words);
        expect(browser.landing.text).to.not.include(NEXT_PASSWORD);
        await browser.get('/account/security');
      }
      expect(await mailsTo(email)).to.deep.equal([]);
      await world.signedIn(email);
    });

    it('guessing the current password is limited like guessing at the door (requirement 87)', async function () {
      this.timeout(120_000);
      const email = await person();
      const browser = await world.signedIn(email, '/account/security');
      let [text, tries] = ['', 0];
      while (!text.includes('Too many tries') && tries < 150) {
        tries += 1;
        await browser.submit(PASSWORD_FORM, {
          current_password: `wrong ${tries} wrong`,
          password: NEXT_PASSWORD,
        });
        text = browser.landing.root.querySelector('#summary')?.textContent ?? '';
      }
      // Ten in production, ten times as many in development.
      expect(tries).to.equal(101);
    });

    it('adds an authenticator app after a code of it, shows recovery codes once and tells the owner', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/security');
      await browser.submit(TOTP_FORM);
      const { text } = browser.landing;
      await browser.submit('input[name="code"]', { code: '000000' });
      expect(browser.landing.status).to.equal(422);
      const again = codeOf(browser, 0);
      expect(again, 'the secret that was scanned stays').to.equal(
        codeOf({ landing: { text } } as FormBrowser, 0),
      );
      await browser.submit('input[name="code"]', { code: codeOf(browser, await world.database.now()) });
      const codes = browser.landing.text.match(/[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){3}/g);
      expect(new Set(codes)).to.have.property('size', 10);
      expect(await mailsTo(email)).to.have.members(['factor-added', 'factor-added']);
      await browser.get('/account/security');
      expect(browser.landing.text).to.not.include(codes?.[0]);
      expect((await browser.cookies()).enrolling).to.equal(undefined);
    });

    it('confirms no secret that somebody else began with, whatever cookie the browser holds', async () => {
      const [ada, eve] = [await person(), await person()];
      const attacker = await world.signedIn(eve, '/account/security');
      await attacker.submit(TOTP_FORM);
      const known = codeOf(attacker, await world.database.now());
      const browser = await world.signedIn(ada, '/account/security');
      await browser.submit(TOTP_FORM);
      const planted = (await attacker.cookies()).enrolling;
      await browser.jar.setCookie(`enrolling=${planted}; Path=/`, ISSUER);
      await browser.submit('input[name="code"]', { code: known });
      expect(pathOf(browser)).to.equal('/account/security/totp');
      await browser.get('/account/security');
      expect(browser.has(TOTP_FORM)).to.equal(true);
    });

    it('asks who has a second factor for it before any other change (requirement 94)', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/security');
      const code = await addTotp(browser);
      await browser.get('/account/security');
      // One factor opened this session, a moment ago: that is not enough any more.
      await browser.submit('form[action$="/totp/remove"]');
      expect(mustSignIn(browser), browser.describe()).to.equal(true);
      await world.moveBy(60);
      if (browser.has('input[name="password"]')) await world.signIn(browser, email);
      await browser.submit('input[name="code"]', { code: code(await world.database.now()) });
      expect(new URL(browser.landing.url).pathname, browser.describe()).to.equal(
        '/account/security/totp/remove',
      );
      await world.mails();
      await browser.submit('main form');
      expect(noticeOf(browser)).to.include('turned off');
      expect(await mailsTo(email)).to.deep.equal(['factor-removed']);
      expect(browser.has(TOTP_FORM)).to.equal(true);
    });

    it('wants a sign-in of the last 5 minutes for each change, and comes back to its tab (requirement 94)', async () => {
      const email = await person();
      const browser = await world.signedIn(email);
      await world.moveBy(SIX_MINUTES);
      const forms: readonly (readonly [tab: string, form: string, fields: Record<string, string>])[] = [
        ['/account/security', PASSWORD_FORM, { current_password: PASSWORD, password: NEXT_PASSWORD }],
        ['/account/security', TOTP_FORM, {}],
        ['/account/profile', 'form[action$="/profile/email"]', { email: 'new@example.test' }],
        ['/account/profile', 'form[action$="/profile/delete"]', {}],
      ];
      for (const [tab, form, fields] of forms) {
        await browser.get(tab);
        expect(browser.landing.status, 'looking needs no new sign-in').to.equal(200);
        await browser.submit(form, fields);
        expect(mustSignIn(browser), browser.describe()).to.equal(true);
      }
      for (const path of [
        '/account/security/totp',
        '/account/security/totp/remove',
        '/account/profile/delete',
      ]) {
        await browser.get(path);
        expect(mustSignIn(browser), path).to.equal(true);
      }
      expect(await mailsTo(email)).to.deep.equal([]);
      await browser.get('/account/security');
      await browser.submit(PASSWORD_FORM, { current_password: PASSWORD, password: NEXT_PASSWORD });
      await world.signIn(browser, email);
      expect(pathOf(browser), browser.describe()).to.equal('/account/security');
      expect(noticeOf(browser)).to.include('send it again');
      await browser.submit(PASSWORD_FORM, { current_password: PASSWORD, password: NEXT_PASSWORD });
      expect(noticeOf(browser)).to.include('Password changed');
    });

    it('says that a form is to be sent again only after a sign-in for it, not because a link says so', async () => {
      const email = await person();
      const browser = await world.signedIn(email);
      await world.moveBy(SIX_MINUTES);
      await browser.get('/account/callback?state=%2Faccount%2Fsecurity%3Fsend_again%3Dyes');
      expect(pathOf(browser)).to.equal('/account/security');
      expect(noticeOf(browser)).to.equal('');
      // The first step of setting up a factor only leads to a page: nothing is to be sent again there.
      await browser.submit(TOTP_FORM);
      await world.signIn(browser, email);
      expect(pathOf(browser)).to.equal('/account/security/totp');
      expect(noticeOf(browser)).to.equal('');
    });

    it('lets the owner change the password in a known browser whatever strangers guess; a pause names ways out', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/security');
      const stranger = world.browser();
      await stranger.get('/account');
      await world.signIn(stranger, email, 'a wrong one entirely');
      const useUp = (limit: string) =>
        world.database.transaction(async trx => {
          await trx('limit_counters').where({ limit_name: limit }).update({ count: 1_000_000 });
        });
      await useUp('account_consecutive');
      await world.signIn(stranger, email);
      expect(stranger.landing.text).to.include('The password is paused here');
      await browser.submit(PASSWORD_FORM, { current_password: PASSWORD, password: NEXT_PASSWORD });
      expect(noticeOf(browser)).to.include('Password changed');
      const wrong = { current_password: 'a wrong one entirely', password: PASSWORD };
      await browser.submit(PASSWORD_FORM, wrong);
      await useUp('device_consecutive');
      await browser.submit(PASSWORD_FORM, wrong);
      const said = browser.landing.root.querySelector('#summary')?.textContent ?? '';
      expect(said).to.include('Use a passkey').and.include('reset the password by mail');
      expect(said).to.not.include('minutes');
      await world.database.transaction(trx => trx('limit_counters').delete());
    });

    it('forgets trusted devices: the second factor is asked for there again', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/security');
      expect(browser.has('form[action$="/devices/forget"]')).to.equal(false);
      const code = await addTotp(browser);
      const trusting = await world.signedIn(email);
      await world.moveBy(30);
      const now = await world.database.now();
      await trusting.submit('input[name="code"]', { code: code(now), trust: 'on' });
      expect(pathOf(trusting), trusting.describe()).to.equal('/account');
      await trusting.submit('form[action$="/account/sign-out"]');
      await trusting.get('/account');
      await world.signIn(trusting, email);
      expect(pathOf(trusting), 'spared there').to.equal('/account');
      await trusting.get('/account/security');
      expect(trusting.landing.text).to.include('On 1 device we do not ask');
      await trusting.submit('form[action$="/devices/forget"]');
      expect(noticeOf(trusting)).to.include('1 device is no longer trusted');
      expect(trusting.has('form[action$="/devices/forget"]')).to.equal(false);
      const events = await world.database.reader('audit_events').where({ event: 'user.devices_forgotten' });
      expect(events.map(({ detail }) => JSON.parse(String(detail)).devices)).to.deep.equal([1]);
      await trusting.submit('form[action$="/account/sign-out"]');
      await trusting.get('/account');
      await world.signIn(trusting, email);
      expect(trusting.has('input[name="code"]'), trusting.describe()).to.equal(true);
    });

    it('adds, renames and removes a passkey, and never one of somebody else (requirement 97)', async () => {
      const [ada, eve] = [await person(), await person()];
      const browser = await world.signedIn(ada, '/account/security');
      const device = new SoftwareAuthenticator();
      const optionsOf = (page: FormBrowser) =>
        JSON.parse(
          page.form('[data-passkey="create"]').getAttribute('data-options') ?? '',
        ) as PublicKeyCredentialCreationOptionsJSON;
      const passkey = device.register(optionsOf(browser), { origin: ISSUER });
      await browser.submit('[data-passkey="create"]', { passkey, name: 'Office laptop' });
      expect(await mailsTo(ada), browser.describe()).to.include('factor-added');
      await browser.get('/account/security');
      expect(browser.landing.text).to.include('Office laptop');

      const attacker = await world.signedIn(eve, '/account/security');
      const csrf = attacker.form('[data-passkey="create"] input[name="csrf"]').getAttribute('value') ?? '';
      const fields = { csrf, credential_id: device.credentialId, name: 'Mine now', confirmed: 'yes' };
      for (const act of ['rename', 'remove']) {
        await attacker.post(`/account/security/passkeys/${act}`, fields, { from: ISSUER });
        expect(noticeOf(attacker), attacker.describe()).to.equal('Nothing was changed.');
      }
      const shown = await attacker.get(
        `/account/security/passkeys/remove?credential_id=${device.credentialId}`,
      );
      expect(shown.status).to.equal(404);
      // The answer of another browser's page, or the same one again, adds nothing.
      await attacker.get('/account/security');
      await attacker.submit('[data-passkey="create"]', { passkey, name: 'Stolen' });
      expect(attacker.landing.status).to.equal(422);

      await browser.get('/account/security');
      expect(browser.landing.text).to.include('Office laptop').and.not.include('Mine now');
      await browser.submit('form[action$="/passkeys/rename"]', { name: 'Old laptop' });
      expect(browser.landing.text).to.include('Old laptop');
      await browser.submit('form[action$="/passkeys/remove"]');
      // Its owner has a second factor now, so this passkey is asked for before it may go.
      expect(mustSignIn(browser), browser.describe()).to.equal(true);
      if (browser.has('input[name="password"]')) await world.signIn(browser, ada);
      const asked = browser.form('[data-passkey="get"]');
      const question = JSON.parse(asked.getAttribute('data-options') ?? '');
      await browser.submit(asked, { passkey: device.answer(question, { origin: ISSUER }) });
      expect(new URL(browser.landing.url).pathname, browser.describe()).to.equal(
        '/account/security/passkeys/remove',
      );
      expect(browser.landing.text).to.include('Old laptop');
      await world.mails();
      await browser.submit('main form');
      expect(noticeOf(browser)).to.include('Passkey removed');
      expect(browser.landing.text).to.not.include('Old laptop');
      expect(await mailsTo(ada)).to.deep.equal(['factor-removed']);
    });
  });
});
