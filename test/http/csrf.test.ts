import { expect } from 'chai';
import type { Context } from 'koa';
import { type PageRouteParts, pageRoute } from '../../src/http/page-route.js';
import type { Route } from '../../src/http/router.js';
import { cookiesOf, csrfOf, PAGE_ISSUER, PageServer } from './page-server.js';

describe('forms from elsewhere (requirement 18)', () => {
  let server: PageServer;
  let acted: number;

  function routes(parts: PageRouteParts): Map<string, Route> {
    const get = (ctx: Context): void =>
      parts.renderer.render(ctx, 'forgot-password', { action: '/act', email: '', faults: [] });
    const post = (ctx: Context): void => {
      acted += 1;
      ctx.body = 'acted';
    };
    const unprotected: Route = { methods: ['POST'], answer: ctx => post(ctx) };
    return new Map<string, Route>([
      ['/act', pageRoute(parts, { get, post })],
      ['/unprotected', unprotected],
    ]);
  }

  beforeEach(async () => {
    acted = 0;
    server = new PageServer(routes);
    await server.start();
  });
  afterEach(() => server.close());

  async function page(): Promise<{ readonly cookie: string; readonly csrf: string }> {
    const answer = await server.send('/act');
    return { cookie: cookiesOf(answer), csrf: csrfOf(answer) };
  }

  it('acts on the form of its own page', async () => {
    const { cookie, csrf } = await page();
    expect(csrf).to.match(/^[A-Za-z0-9_-]{43}$/);
    const headers = { cookie, 'sec-fetch-site': 'same-origin', origin: 'null' };
    expect((await server.post('/act', { csrf }, headers)).text).to.equal('acted');
    expect(acted).to.equal(1);
  });

  it('keeps the value for further pages of the same browser, and gives another browser another one', async () => {
    const first = await page();
    const again = await server.send('/act', { headers: { cookie: first.cookie } });
    expect(again.headers['set-cookie']).to.equal(undefined);
    expect(csrfOf(again)).to.equal(first.csrf);
    const other = await page();
    expect(other.cookie).to.not.equal(first.cookie);
    expect(other.csrf).to.not.equal(first.csrf);
  });

  it('would act on a forged form if it were not protected (control)', async () => {
    const headers = { cookie: 'csrf=', 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' };
    expect((await server.post('/unprotected', {}, headers)).text).to.equal('acted');
    expect(acted).to.equal(1);
  });

  const forged: readonly (readonly [string, (own: { cookie: string; csrf: string }) => Forgery])[] = [
    ['without a token', ({ cookie }) => ({ cookie })],
    ['with an empty token', ({ cookie }) => ({ cookie, csrf: '' })],
    ['with a token of the right length', ({ cookie }) => ({ cookie, csrf: 'A'.repeat(43) })],
    ['with the token and one character more', ({ cookie, csrf }) => ({ cookie, csrf: `${csrf}A` })],
    ['with the cookie as its token', ({ cookie }) => ({ cookie, csrf: cookie.replace('csrf=', '') })],
    ['with a token but without the cookie', ({ csrf }) => ({ csrf })],
    ['with the token of another browser', ({ csrf }) => ({ csrf, cookie: `csrf=${'B'.repeat(43)}` })],
    ['from another site', own => ({ ...own, site: 'cross-site' })],
    ['from another host of the domain', own => ({ ...own, site: 'same-site' })],
    ['whose origin is another', own => ({ ...own, origin: 'https://evil.example' })],
    ['whose origin is ours in another scheme', own => ({ ...own, origin: 'https://login.example.test' })],
    ['whose origin begins like ours', own => ({ ...own, origin: `${PAGE_ISSUER}.evil.example` })],
  ];
  for (const [what, forge] of forged) {
    it(`refuses with 403 what comes ${what}`, async () => {
      const { csrf, cookie, site, origin } = forge(await page());
      const answer = await server.post('/act', csrf === undefined ? {} : { csrf }, {
        ...(cookie !== undefined && { cookie }),
        ...(site !== undefined && { 'sec-fetch-site': site }),
        ...(origin !== undefined && { origin }),
      });
      expect(answer.status).to.equal(403);
      expect(answer.headers['content-type']).to.match(/^text\/html/);
      expect(acted).to.equal(0);
    });
  }

  it('leaves the forms that are open in the browser as good as they were', async () => {
    const { cookie, csrf } = await page();
    for (const site of ['cross-site', 'same-site', undefined]) {
      // SameSite=Lax: the form of another site brings no cookie along.
      const headers = {
        origin: 'https://evil.example',
        ...(site !== undefined && { 'sec-fetch-site': site }),
      };
      const refused = await server.post('/act', { csrf: 'A'.repeat(43) }, headers);
      expect(refused.status).to.equal(403);
      expect(refused.headers['set-cookie']).to.equal(undefined);
      // Nor does the page that says so have forms that could not work.
      expect(csrfOf(refused)).to.equal('');
    }
    expect((await server.post('/act', { csrf }, { cookie, origin: 'null' })).text).to.equal('acted');
  });

  it('goes by the token where the browser says nothing of the origin', async () => {
    const { cookie, csrf } = await page();
    expect((await server.post('/act', { csrf }, { cookie })).status).to.equal(200);
    expect((await server.post('/act', { csrf }, { cookie, origin: PAGE_ISSUER })).status).to.equal(200);
  });

  it('gives scripts and other sites no look at its cookie', async () => {
    const [line = ''] = (await server.send('/act')).headers['set-cookie'] ?? [];
    expect(line.toLowerCase()).to.match(/^csrf=[^;]{43}; path=\/; samesite=lax; httponly$/);
  });

  it('has a cookie that no other host can set, under an https issuer', async () => {
    const secure = new PageServer(routes, 'https://login.example.test');
    await secure.start();
    const [line = ''] = (await secure.send('/act')).headers['set-cookie'] ?? [];
    await secure.close();
    expect(line.toLowerCase()).to.match(/^__host-csrf=[^;]{43}; path=\/; samesite=lax; secure; httponly$/);
  });
});

interface Forgery {
  readonly csrf?: string;
  readonly cookie?: string;
  readonly site?: string;
  readonly origin?: string;
}
