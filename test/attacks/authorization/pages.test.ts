import { expect } from 'chai';
import { parse } from 'node-html-parser';
import { type Person, type RelyingParty, Scene, walk } from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import type { Exchange, FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';

const MOST_PAGES = 150;
/** Signing out ends the crawl of who is signed in, deleting the account ends the account. */
const ENDS = /sign-out|logout|delete/;

/** Every page that links of pages lead to, and those of GET forms. */
async function crawl(browser: FormBrowser, starts: readonly string[]): Promise<void> {
  const [queue, seen] = [[...starts], new Set<string>()];
  for (let url = queue.shift(); url !== undefined && seen.size < MOST_PAGES; url = queue.shift()) {
    const address = new URL(url, ISSUER);
    // A link with a cookie-bound uid leads to one page, whatever else stands behind it.
    const key = address.pathname.replace(/interaction\/[^/]+/, 'interaction/*');
    if (seen.has(key)) continue;
    seen.add(key);
    const { root, departure } = await browser.get(address.href);
    if (departure !== undefined) continue;
    for (const link of root.querySelectorAll('a[href]')) {
      const target = new URL(link.getAttribute('href') ?? '', address);
      if (target.origin === ISSUER && !ENDS.test(target.pathname)) queue.push(target.href);
    }
  }
}

function isPage({ headers }: Exchange): boolean {
  return /^text\/html/.test(headers['content-type'] ?? '');
}

describe('every page', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;
    let pages: Exchange[];

    before(async function () {
      this.timeout(120_000);
      scene = await Scene.open({ url: (await fresh()).url, env: { CLAVIGER_USERS_SIGN_UP: 'true' } });
      person = await scene.person();
      shop = await scene.relyingParty({
        policyUri: 'https://rp.example.test/privacy',
        logoUri: 'https://rp.example.test/logo.png',
      });
      const stranger = scene.browser();
      await stranger.get(shop.begin().path);
      const interaction = new URL(stranger.landing.url).pathname;
      await crawl(stranger, [
        stranger.landing.url,
        `${interaction}/sign-up`,
        '/sign-up',
        '/forgot',
        '/link?token=unknown',
        '/done',
        '/development/mail',
        '/account',
        '/oauth2/logout',
        '/oauth2/logout/success',
        '/oauth2/device/verify',
        '/oauth2/device/verify?user_code=BCDF-GHJK',
        '/oauth2/device/verify/unknown',
        '/oauth2/authorize',
        '/oauth2/authorize/unknown',
        shop.begin({ redirect_uri: 'https://evil.test/' }).path,
        shop.begin({ response_mode: 'form_post', prompt: 'none' }).path,
        '/interaction/unknown',
        '/federation/callback/unknown?state=x&code=y',
      ]);
      // What forms answer with: refused, and accepted up to the consent.
      await stranger.get(shop.begin().path);
      await stranger.submit('form:has(input[name="password"])', { email: person.email, password: 'wrong' });
      await stranger.submit('form:has(input[name="password"])', { email: '', password: '' });
      await stranger.get(shop.begin().path);
      await stranger.submit('form:has(input[name="password"])', {
        email: person.email,
        password: person.password,
      });
      expect(stranger.has('button[value="allow"]'), stranger.describe()).to.equal(true);
      await stranger.post('/forgot', { email: person.email }, { from: 'https://evil.test' });
      const known = scene.browser();
      await shop.authorize(known, person);
      await crawl(known, [
        '/account',
        '/account/profile',
        '/account/security',
        '/account/access',
        '/account/sessions',
      ]);
      await known.get('/oauth2/logout');
      await known.submit('form:has(button[name="logout"])', {}, { button: 'button[name="logout"]' });
      const device = scene.browser();
      await device.get('/oauth2/device/verify');
      await device.submit('form', { user_code: 'BCDF-GHJK' });
      pages = [stranger, known, device].flatMap(({ exchanges }) => exchanges).filter(isPage);
    });

    after(() => scene.close());

    it('was found: signing in, consent, account, device, signing out, errors', () => {
      const paths = new Set(
        pages.map(({ url }) => new URL(url).pathname.replace(/interaction\/[^/]+/, 'interaction/*')),
      );
      for (const path of [
        '/interaction/*',
        '/interaction/*/sign-up',
        '/forgot',
        '/sign-up',
        '/account',
        '/account/profile',
        '/account/security',
        '/account/access',
        '/account/sessions',
        '/oauth2/authorize',
        '/oauth2/device/verify',
        '/oauth2/logout',
        '/oauth2/logout/success',
      ]) {
        expect([...paths], path).to.include(path);
      }
      expect(new Set(pages.map(({ status }) => status))).to.include.members([200, 400, 403, 422]);
    });

    it('is in nobody’s frame (requirement 15)', () => {
      for (const { url, headers } of pages) {
        const policy = String(headers['content-security-policy']);
        expect(policy, url).to.include("frame-ancestors 'none'").and.to.include("default-src 'none'");
        // A redirect has no more to show than where it leads.
        if (headers.location === undefined) expect(policy, url).to.match(/(?:^|;)\s*base-uri 'none'/);
        expect(policy, url).to.not.match(/unsafe-|\*|data:/);
        expect(String(headers['x-frame-options']).toUpperCase(), url).to.equal('DENY');
        expect(headers['x-content-type-options'], url).to.equal('nosniff');
        expect(headers['cache-control'], url).to.include('no-store');
      }
    });

    it('tells nobody where it was, and loads nothing from anybody else (requirement 16)', () => {
      for (const { url, headers, text } of pages) {
        expect(headers['referrer-policy'], url).to.equal('no-referrer');
        const root = parse(text);
        const loaded = root
          .querySelectorAll(
            'script[src],img[src],iframe,object,embed,video,audio,source,link[href],[srcset],use[href]',
          )
          .map(
            one =>
              one.getAttribute('src') ??
              one.getAttribute('href') ??
              one.getAttribute('srcset') ??
              one.tagName,
          );
        for (const one of loaded) {
          expect(new URL(one, ISSUER).origin, `${url} loads ${one}`).to.equal(ISSUER);
        }
        expect(root.querySelectorAll('[style],style'), url).to.have.length(0);
        expect(text, url).to.not.match(/\son[a-z]+=["']/);
        expect(text, url).to.not.include('rp.example.test/logo.png');
        // A policy may name the client as the end of a form's way, and nobody as a source of anything.
        const policy = String(headers['content-security-policy']);
        const foreign = policy
          .split(';')
          .filter(directive => !directive.trim().startsWith('form-action'))
          .filter(directive => /https?:/.test(directive));
        expect(foreign, url).to.deep.equal([]);
        for (const link of root.querySelectorAll('a[href]')) {
          const { origin } = new URL(link.getAttribute('href') ?? '', url);
          if (origin !== ISSUER)
            expect(link.getAttribute('rel'), `${url} ${origin}`).to.include('noreferrer');
        }
      }
    });

    it('sets cookies that scripts and other sites do not get', () => {
      const lines = pages.flatMap(({ headers }) => headers['set-cookie'] ?? []);
      expect(lines.length).to.be.above(0);
      for (const line of lines) {
        expect(line).to.match(/; ?samesite=(?:lax|strict)/i);
        expect(line).to.match(/; ?httponly/i);
      }
    });

    it('and none is a way out: no link of an error page leads where a parameter says', async () => {
      const browser = scene.browser();
      await browser.get(shop.begin({ client_id: 'unknown', redirect_uri: 'https://evil.test/' }).path);
      expect(browser.landing.text).to.not.include('evil.test');
      await walk(browser, undefined);
      expect(browser.landing.departure).to.equal(undefined);
    });
  });
});
