import { expect } from 'chai';
import { chooseLocale, localTarget } from '../../src/http/interaction/locale-choice.js';
import { pageRoute } from '../../src/http/page-route.js';
import type { Route } from '../../src/http/router.js';
import { cookiesOf, csrfOf, PAGE_ISSUER, PageServer } from './page-server.js';

const ISSUER = 'https://login.example.test';

describe('the language switch', () => {
  const elsewhere = [
    'https://evil.example/',
    '//evil.example/',
    '///evil.example/',
    '/\\evil.example',
    '\\\\evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    '\t//evil.example',
    ' //evil.example',
    '/..//evil.example',
    '/.//evil.example',
    '/%2e%2e//evil.example',
    '/a/..//evil.example/',
    'javascript:alert(1)',
    'data:text/html,x',
    'evil.example',
    '@evil.example',
    '',
    '?a=b',
    '/ä',
    '/\u2028/evil.example',
    '/\0/evil.example',
  ];
  for (const target of elsewhere) {
    it(`does not lead to ${JSON.stringify(target)}`, () => {
      expect(localTarget(ISSUER, target)).to.equal(`${ISSUER}/account`);
    });
  }

  it('leads back to the page, whose address no longer says another language', () => {
    expect(localTarget(ISSUER, '/interaction/abc?way=totp')).to.equal(`${ISSUER}/interaction/abc?way=totp`);
    expect(localTarget(ISSUER, '/link?token=t&ui_locales=de')).to.equal(`${ISSUER}/link?token=t`);
    expect(localTarget(ISSUER, '/a@evil.example')).to.equal(`${ISSUER}/a@evil.example`);
  });

  it('stays below the path of the issuer', () => {
    const issuer = `${ISSUER}/people`;
    expect(localTarget(issuer, '/people/account')).to.equal(`${issuer}/account`);
    for (const outside of ['/other', '/peoples/x', '/people/../other', '/people', '/people/%2e%2e/other']) {
      expect(localTarget(issuer, outside), outside).to.equal(`${issuer}/account`);
    }
  });

  it('is remembered by the browser, and redirects with 303', async () => {
    const server = new PageServer(parts => {
      const page = (ctx: Parameters<ReturnType<typeof chooseLocale>>[0]): void =>
        parts.renderer.render(ctx, 'forgot-password', { action: '/', email: '', faults: [] });
      return new Map<string, Route>([
        ['/page', pageRoute(parts, { get: page })],
        ['/locale', pageRoute(parts, { post: chooseLocale(parts.issuer) })],
      ]);
    });
    await server.start();
    try {
      const english = await server.send('/page', { headers: { 'accept-language': 'en' } });
      expect(english.text).to.contain('<html lang="en"');
      const fields = { csrf: csrfOf(english), locale: 'de', return_to: '/page' };
      const answer = await server.post('/locale', fields, { cookie: cookiesOf(english) });
      expect([answer.status, answer.headers.location]).to.deep.equal([303, `${PAGE_ISSUER}/page`]);
      const headers = { 'accept-language': 'en', cookie: cookiesOf(answer) };
      expect((await server.send('/page', { headers })).text).to.contain('<html lang="de"');
      const unknown = { ...fields, locale: 'xx' };
      const refused = await server.post('/locale', unknown, { cookie: cookiesOf(english) });
      expect([refused.status, refused.headers['set-cookie']]).to.deep.equal([303, undefined]);
    } finally {
      await server.close();
    }
  });
});
