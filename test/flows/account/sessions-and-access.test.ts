import { expect } from 'chai';
import { appendAuditEvents } from '../../../src/audit/audit-log.js';
import { forEachDatabase, freshSqlite } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { freshDatabase } from '../../support/postgres.js';
import { AccountWorld, mustSignIn, NEXT_PASSWORD, noticeOf, PASSWORD, pathOf } from './account-world.js';

const TABS = ['', '/profile', '/security', '/access', '/sessions', '/activity'];

describe('sessions and access on the account pages', () => {
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
      const email = `person-${people}@example.test`;
      await world.person(email);
      return email;
    }

    const idsOn = (browser: FormBrowser, name: string) =>
      browser.landing.root
        .querySelectorAll(`input[name="${name}"]`)
        .map(input => input.getAttribute('value') ?? '');

    it('shows no tab to who is not signed in, and comes back to the one that was asked for', async () => {
      const email = await person();
      for (const tab of TABS) {
        const browser = world.browser();
        await browser.get(`/account${tab}`);
        expect(mustSignIn(browser), browser.describe()).to.equal(true);
        const landing = await world.signIn(browser, email);
        expect(landing.status, browser.describe()).to.equal(200);
        expect(pathOf(browser)).to.equal(`/account${tab}`);
      }
    });

    it('shows every tab in both languages', async () => {
      const browser = await world.signedIn(await person());
      for (const tab of TABS) {
        for (const locale of ['en', 'de']) {
          const { status, root } = await browser.get(`/account${tab}?ui_locales=${locale}`);
          expect(status, browser.describe()).to.equal(200);
          expect(root.querySelector('html')?.getAttribute('lang')).to.equal(locale);
        }
      }
    });

    it('lists the sessions and ends one: the next page there asks to sign in', async () => {
      const email = await person();
      const here = await world.signedIn(email, '/account/sessions');
      const there = await world.signedIn(email);
      await here.get('/account/sessions');
      const [sessionId = ''] = idsOn(here, 'session_id');
      expect(here.landing.text).to.include('Firefox');
      await here.submit('input[name="session_id"]');
      expect(pathOf(here)).to.equal('/account/sessions');
      expect(noticeOf(here)).to.include('Session ended');
      expect(idsOn(here, 'session_id')).to.not.include(sessionId);
      await there.get('/account');
      expect(mustSignIn(there), there.describe()).to.equal(true);
      await here.get('/account/sessions');
      expect(noticeOf(here), 'a notice is shown once').to.equal('');
      expect(mustSignIn(here)).to.equal(false);
    });

    it('ends all others and stays', async () => {
      const email = await person();
      const here = await world.signedIn(email);
      const others = [await world.signedIn(email), await world.signedIn(email)];
      await here.get('/account/sessions');
      await here.submit('form[action$="/end-others"]');
      expect(noticeOf(here)).to.include('2 other sessions ended');
      for (const other of others) {
        await other.get('/account');
        expect(mustSignIn(other)).to.equal(true);
      }
      expect((await here.get('/account')).status).to.equal(200);
      expect(mustSignIn(here)).to.equal(false);
    });

    it('withdraws a consent: the client loses its tokens at once', async () => {
      const email = await person();
      const browser = await world.signedIn(email);
      const client = await world.client('Fieldbook');
      const connected = await world.connect(browser, client);
      await browser.get('/account/access');
      expect(browser.landing.text).to.include('Fieldbook').and.include('withdrawing ends 1 connection');
      await browser.submit('input[name="client_id"]');
      expect(pathOf(browser)).to.equal('/account/access');
      expect(noticeOf(browser)).to.include('Access withdrawn').and.include('Fieldbook');
      expect(idsOn(browser, 'client_id')).to.deep.equal([]);
      const answer = await world.refresh(connected);
      expect(answer.json).to.include({ error: 'invalid_grant' });
      expect(mustSignIn(browser)).to.equal(false);
    });

    it('does nothing to sessions and consents of somebody else (requirement 97)', async () => {
      const [ada, eve] = [await person(), await person()];
      const victim = await world.signedIn(ada, '/account/sessions');
      const client = await world.client('Ledger');
      const connected = await world.connect(victim, client);
      const other = await world.signedIn(ada, '/account/sessions');
      const [sessionId = ''] = idsOn(other, 'session_id');

      const attacker = await world.signedIn(eve, '/account/sessions');
      const csrf = idsOn(attacker, 'csrf')[0] ?? '';
      const attempts = [
        ['/account/sessions/end', { session_id: sessionId }],
        ['/account/sessions/end', { session_id: 'no-such-session' }],
        ['/account/access/withdraw', { client_id: client.clientId }],
        ['/account/access/withdraw', { client_id: 'cl_no_such_client' }],
      ] as const;
      const answers = new Set<string>();
      for (const [path, fields] of attempts) {
        await attacker.post(path, { csrf, ...fields }, { from: new URL(attacker.landing.url).origin });
        answers.add(`${attacker.landing.status} ${noticeOf(attacker)}`);
      }
      expect([...answers], 'whether it exists or not').to.deep.equal(['200 Nothing was changed.']);
      await victim.get('/account');
      expect(mustSignIn(victim)).to.equal(false);
      expect((await world.refresh(connected)).status).to.equal(200);
    });

    it('refuses every form without its token (requirement 18)', async () => {
      const browser = await world.signedIn(await person(), '/account/sessions');
      const cookie = (await browser.cookies()).csrf;
      expect(cookie).to.be.a('string');
      for (const path of ['/account/sign-out', '/account/sessions/end-others', '/account/profile/delete']) {
        for (const csrf of ['', 'x'.repeat(43)]) {
          const { status } = await browser.post(path, { csrf }, { from: 'http://localhost:4400' });
          expect(status, path).to.equal(403);
        }
      }
      await browser.get('/account');
      expect(mustSignIn(browser)).to.equal(false);
    });

    it('keep a session alive while they are used, up to its end, and write that once a minute at most', async () => {
      const email = await person();
      const browser = await world.signedIn(email);
      const userId = await idOf(email);
      const lastUse = async () => {
        const row = await world.database.reader('sessions').where({ user_id: userId }).first();
        return { at: Number(row.last_used_at), until: Number(row.expires_at) };
      };
      const first = await lastUse();
      await world.moveBy(30);
      await browser.get('/account/activity');
      expect(await lastUse()).to.deep.equal(first);
      for (let hours = 0; hours < 23; hours += 1) {
        await world.moveBy(55 * 60);
        await browser.get('/account/activity');
        expect(mustSignIn(browser), `after ${hours} times 55 minutes`).to.equal(false);
      }
      expect((await lastUse()).at).to.be.above(first.at + 22 * 55 * 60_000);
      await world.moveBy(55 * 60);
      await browser.get('/account/activity');
      await world.moveBy(61 * 60);
      await browser.get('/account/activity');
      expect(mustSignIn(browser), 'idle for an hour').to.equal(true);
      await world.signIn(browser, email);
      for (let hours = 0; hours < 27; hours += 1) {
        await world.moveBy(55 * 60);
        await browser.get('/account/activity');
      }
      expect(mustSignIn(browser), 'a day after the sign-in').to.equal(true);
    });

    it('bring no replaced cookie back by using it at the moment it is replaced', async () => {
      for (let round = 0; round < 4; round += 1) {
        const email = await person();
        const browser = await world.signedIn(email, '/account/security');
        await world.moveBy(61);
        const thief = await world.thief(await browser.cookies());
        const fields = { current_password: PASSWORD, password: NEXT_PASSWORD };
        await Promise.all([
          browser.submit('form[action$="/security/password"]', fields),
          thief.get('/account/activity'),
        ]);
        expect(noticeOf(browser), browser.describe()).to.include('Password changed');
        const again = await world.thief(await thief.cookies());
        await again.get('/account');
        expect(mustSignIn(again)).to.equal(true);
      }
    });

    it('signs out: the old cookie opens nothing any more (requirement 17)', async () => {
      const email = await person();
      const browser = await world.signedIn(email);
      const cookies = await browser.cookies();
      await browser.submit('form[action$="/account/sign-out"]');
      expect(browser.landing.text).to.include('You are signed out');
      const thief = await world.thief(cookies);
      for (const each of [browser, thief]) {
        await each.get('/account');
        expect(mustSignIn(each), each.describe()).to.equal(true);
      }
    });

    it('shows what happened to the account, a page at a time, and nothing of others or of the inside', async () => {
      const email = await person();
      const stranger = await person();
      const browser = await world.signedIn(email);
      await world.signedIn(stranger);
      const [ada, eve] = [await idOf(email), await idOf(stranger)];
      const event = (userId: string, clientId?: string) =>
        ({ event: 'user.updated', outcome: 'success', actor: `user:${userId}`, userId, clientId }) as const;
      await world.database.transaction(async trx => {
        const now = await world.database.now(trx);
        const mine = Array.from({ length: 60 }, () => event(ada));
        const inside = { ...event(ada), event: 'mail.delivered', ip: '192.0.2.99' } as const;
        const foreign = { ...event(eve), ip: '192.0.2.98' };
        await appendAuditEvents(world.database, trx, [...mine, inside, foreign], 'test', now);
      });
      const seen: number[] = [];
      await browser.get('/account/activity');
      for (;;) {
        expect(browser.landing.text).to.not.include('192.0.2.9');
        seen.push(browser.landing.root.querySelectorAll('[aria-labelledby="h-activity"] li').length);
        if (!browser.has('a[href*="before="]')) break;
        await browser.follow('a[href*="before="]');
      }
      const whole = seen.reduce((sum, count) => sum + count, 0);
      expect(seen).to.have.length(2);
      expect(whole).to.be.within(61, 66);
      for (const before of ['0', '-1', "1'", '1e3', '99999999999999999']) {
        const { status, root } = await browser.get(`/account/activity?before=${encodeURIComponent(before)}`);
        expect(status).to.equal(200);
        expect(root.querySelectorAll('[aria-labelledby="h-activity"] li')).to.have.length(50);
      }
    });

    async function idOf(email: string): Promise<string> {
      const row = await world.database.read(on => on('users').where({ email_key: email }).first('id'));
      return String(row?.id);
    }
  });

  it('comes out the same when each request is answered by another node', async () => {
    const { url, drop } = await freshDatabase();
    const world = new AccountWorld(url);
    try {
      await world.start([], 3);
      const email = 'many@example.test';
      await world.person(email);
      const browser = await world.signedIn(email);
      const other = await world.signedIn(email);
      for (let count = 0; count < 3; count += 1) {
        await browser.get('/account/profile');
        await browser.submit('input[name="nickname"]', { nickname: `Ada ${count}` });
        expect(noticeOf(browser), browser.describe()).to.include('Saved');
        const shown = browser.landing.root.querySelector('input[name="nickname"]')?.getAttribute('value');
        expect(shown).to.equal(`Ada ${count}`);
      }
      await browser.get('/account/security');
      const fields = { current_password: PASSWORD, password: NEXT_PASSWORD };
      await browser.submit('form[action$="/security/password"]', fields);
      expect(noticeOf(browser), browser.describe()).to.include('Password changed');
      for (let count = 0; count < 3; count += 1) {
        await other.get('/account');
        expect(mustSignIn(other)).to.equal(true);
        await browser.get('/account');
        expect(mustSignIn(browser)).to.equal(false);
      }
    } finally {
      await world.close();
      await drop();
    }
  });

  it('works below an issuer with a path', async () => {
    const { url, drop } = await freshSqlite();
    const world = new AccountWorld(url, 'http://localhost:4400/op');
    try {
      await world.start();
      const email = 'below@example.test';
      await world.person(email);
      const browser = await world.signedIn(email, '/account/profile');
      expect(pathOf(browser)).to.equal('/op/account/profile');
      await browser.submit('input[name="nickname"]', { nickname: 'Ada' });
      expect(pathOf(browser)).to.equal('/op/account/profile');
      expect(noticeOf(browser)).to.include('Saved');
      await browser.submit('form[action$="/profile/delete"]');
      expect(pathOf(browser)).to.equal('/op/account/profile/delete');
      await browser.follow('a[href$="/account/profile"]');
      await browser.submit('form[action$="/account/sign-out"]');
      expect(pathOf(browser)).to.equal('/op/account/sign-out');
    } finally {
      await world.close();
      await drop();
    }
  });
});
