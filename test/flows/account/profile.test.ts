import { expect } from 'chai';
import { forEachDatabase } from '../../support/databases.js';
import { AccountWorld, mustSignIn, noticeOf, pathOf } from './account-world.js';

describe('profile, address and end of an account', () => {
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
      const email = `owner-${people}@example.test`;
      await world.person(email);
      await world.mails();
      return email;
    }

    it('saves what people say of themselves, and shows what is wrong beside what was typed', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/profile');
      await browser.submit('input[name="nickname"]', {
        name: 'Ada Lovelace',
        phone_number: '+49 30 1234567',
      });
      expect(noticeOf(browser), browser.describe()).to.include('Saved');
      const shownIn = (name: string) =>
        browser.landing.root.querySelector(`input[name="${name}"]`)?.getAttribute('value');
      expect(shownIn('name')).to.equal('Ada Lovelace');
      expect(shownIn('phone_number')).to.equal('+49301234567');
      await browser.submit('input[name="nickname"]', { website: 'javascript:alert(1)', name: 'Ada K' });
      expect(browser.landing.status).to.equal(422);
      expect(browser.has('#summary a[href="#website"]')).to.equal(true);
      expect(shownIn('website')).to.equal('javascript:alert(1)');
      expect(shownIn('name')).to.equal('Ada K');
      await browser.get('/account/profile');
      expect(shownIn('name'), 'nothing of a refused form is kept').to.equal('Ada Lovelace');
      await browser.submit('input[name="nickname"]');
      expect(noticeOf(browser)).to.equal('Nothing was changed.');
    });

    it('keeps a postal address by its members (OpenID Connect Core §5.1.1)', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/profile');
      const shownIn = (name: string) =>
        browser.landing.root.querySelector(`input[name="${name}"]`)?.getAttribute('value');
      await browser.submit('input[name="locality"]', {
        street_address: '12 St James’s Square',
        locality: 'London',
        country: '<b>',
      });
      expect(browser.landing.status).to.equal(422);
      expect(browser.has('#summary a[href="#country"]')).to.equal(true);
      expect(shownIn('locality')).to.equal('London');
      await browser.submit('input[name="locality"]', { country: 'United Kingdom' });
      expect(noticeOf(browser), browser.describe()).to.include('Saved');
      const row = await world.database.reader('users').where({ email_key: email }).first('profile');
      expect(JSON.parse(String(row.profile)).address).to.deep.equal({
        street_address: '12 St James’s Square',
        locality: 'London',
        country: 'United Kingdom',
      });
      const empty = { street_address: '', locality: '', country: '' };
      await browser.submit('input[name="locality"]', empty);
      const after = await world.database.reader('users').where({ email_key: email }).first('profile');
      expect(JSON.parse(String(after.profile))).to.deep.equal({});
    });

    it('mails the link that confirms the address once more, to its owner, and not without bounds', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/profile');
      expect(browser.has('form[action$="/profile/verify"]')).to.equal(false);
      await world.database.transaction(async trx => {
        await trx('users').where({ email_key: email }).update({ email_verified_at: null });
      });
      await browser.get('/account/profile');
      await browser.submit('form[action$="/profile/verify"]');
      expect(noticeOf(browser)).to.include('Mail sent').and.include(email);
      const [mail] = await world.mails();
      expect(mail).to.include({ mail: 'verify-email', to: email });
      let sent = 1;
      for (; browser.landing.status !== 422 && sent < 60; sent += 1) {
        await browser.submit('form[action$="/profile/verify"]');
      }
      expect(browser.landing.root.querySelector('#summary')?.textContent).to.include('Too many mails');
      await browser.get(mail !== undefined && 'url' in mail.values ? mail.values.url : '');
      await world.database.transaction(trx => trx('limit_counters').delete());
    });

    it('gives its owner, who has just signed in, everything that is stored, without what opens a door (GDPR Art. 20)', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/profile');
      await world.moveBy(301);
      await browser.get('/account/profile');
      await browser.submit('form[action$="/profile/export"]');
      expect(mustSignIn(browser), browser.describe()).to.equal(true);
      await world.signIn(browser, email);
      expect(pathOf(browser)).to.equal('/account/profile');
      const { headers, text, status } = await browser.submit('form[action$="/profile/export"]');
      expect(status).to.equal(200);
      expect(headers['content-type']).to.include('application/json');
      expect(headers['content-disposition']).to.match(/^attachment; filename="us_\w+\.json"$/);
      expect(headers['cache-control']).to.include('no-store');
      const exported = JSON.parse(text) as { account: Record<string, unknown>; sessions: unknown[] };
      expect(exported.account).to.include({ email, has_password: true });
      expect(exported.sessions).to.have.length(1);
      expect(text).to.not.match(/\$argon2|password_hash|credential_id/);
      const events = await world.database.reader('audit_events').where({ event: 'user.exported' });
      expect(events.map(({ user_id }) => user_id)).to.deep.equal([exported.account.id]);
      await browser.get('/account/profile/export');
      expect(pathOf(browser), 'the address alone gives out nothing').to.equal('/account/profile');
    });

    it('changes the address only by a link to the new one, and tells the old one (requirement 94)', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/profile');
      await browser.submit('form[action$="/profile/email"]', { email: 'New.Owner@example.test' });
      expect(noticeOf(browser), browser.describe()).to.include('New.Owner@example.test');
      const [asked, ...more] = await world.mails();
      expect(more).to.deep.equal([]);
      expect(asked).to.include({ to: 'New.Owner@example.test', mail: 'change-email' });
      const stays = await browser.get('/account/profile');
      expect(stays.text).to.include(email);
      await browser.get(asked !== undefined && 'url' in asked.values ? asked.values.url : '');
      await browser.submit('main form[method="post"]');
      const [told] = await world.mails();
      expect(told).to.include({ to: email, mail: 'email-changed' });
      await browser.get('/account/profile');
      expect(browser.landing.text).to.include('New.Owner@example.test');
      await world.signedIn('new.owner@example.test');
    });

    it('tells nobody but its owner that an address is taken', async () => {
      const [email, taken] = [await person(), await person()];
      const browser = await world.signedIn(email, '/account/profile');
      await browser.submit('form[action$="/profile/email"]', { email: taken });
      expect(noticeOf(browser)).to.include('We sent a link');
      expect((await world.mails()).map(({ to, mail }) => [to, mail])).to.deep.equal([
        [taken, 'already-registered'],
      ]);
      for (const bad of ['', 'nobody', email.toUpperCase()]) {
        await browser.submit('form[action$="/profile/email"]', { email: bad });
        expect(browser.landing.status, bad).to.equal(422);
        await browser.get('/account/profile');
      }
    });

    it('deletes the account after its address was typed: sessions, tokens and consents go with it', async () => {
      const email = await person();
      const other = await world.signedIn(email);
      const browser = await world.signedIn(email);
      const client = await world.client('Ledger');
      const connected = await world.connect(browser, client);
      await browser.get('/account/profile');
      await browser.submit('form[action$="/profile/delete"]');
      expect(pathOf(browser)).to.equal('/account/profile/delete');
      expect(browser.landing.text).to.include('2 sessions').and.include('1 access');
      await browser.submit('input[name="typed"]', { typed: 'something else' });
      expect(browser.landing.status).to.equal(422);
      expect((await world.refresh(connected)).status).to.equal(200);
      await world.mails();
      await browser.submit('input[name="typed"]', { typed: email });
      expect(browser.landing.text).to.include('Your account is deleted');
      expect((await world.mails()).map(({ to, mail }) => [to, mail])).to.deep.equal([
        [email, 'account-deleted'],
      ]);
      for (const each of [browser, other]) {
        await each.get('/account');
        expect(mustSignIn(each)).to.equal(true);
      }
      expect((await world.refresh(connected)).json).to.include({ error: 'invalid_grant' });
      await world.signIn(browser, email);
      expect(mustSignIn(browser)).to.equal(true);
    });

    it('does not delete by a form that skipped the page', async () => {
      const email = await person();
      const browser = await world.signedIn(email, '/account/profile');
      const csrf =
        browser.form('form[action$="/profile/delete"] input[name="csrf"]').getAttribute('value') ?? '';
      await browser.post(
        '/account/profile/delete',
        { csrf, typed: email },
        { from: 'http://localhost:4400' },
      );
      expect(pathOf(browser)).to.equal('/account/profile/delete');
      await browser.follow('a[href$="/account/profile"]');
      expect(browser.landing.text).to.include(email);
    });

    it('comes back from signing in to pages of the account and nowhere else', async () => {
      const browser = await world.signedIn(await person());
      const targets = [
        'https://evil.example',
        '//evil.example',
        '/account/../evil',
        '/accounting',
        '/account\\evil',
        '/oauth2/logout',
      ];
      for (const state of targets) {
        await browser.get(`/account/callback?state=${encodeURIComponent(state)}`);
        expect(browser.landing.departure, state).to.equal(undefined);
        expect(pathOf(browser)).to.equal('/account');
      }
      await browser.get('/account/callback?state=%2Faccount%2Fsessions');
      expect(pathOf(browser)).to.equal('/account/sessions');
      const { status } = await browser.get('/account/callback?error=access_denied&state=%2Faccount');
      expect(status).to.equal(400);
      expect(browser.has('a[href="/account"]')).to.equal(true);
    });
  });
});
