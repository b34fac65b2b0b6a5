import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import Koa from 'koa';
import { parse } from 'node-html-parser';
import { contentSecurityPolicy } from '../../src/http/render.js';
import { router } from '../../src/http/router.js';
import { type Gallery, openGallery } from '../views/gallery.js';
import { sampleOf } from '../views/samples.js';

describe('rendering', () => {
  const open: Server[] = [];

  afterEach(() => {
    for (const server of open.splice(0)) server.close();
  });

  /** Serves the sign-in page and the assets as the edge does. */
  async function serve({ renderer, assets }: Gallery, issuer: string, state: object = {}): Promise<string> {
    const app = new Koa();
    app.use((ctx, next) => {
      Object.assign(ctx.state, { csrfToken: 'token', ...state });
      return next();
    });
    app.use(
      router(
        issuer,
        new Map([
          ...assets.routes,
          [
            '/interaction/x1',
            {
              methods: ['GET'],
              answer: ctx => renderer.render(ctx, 'sign-in', sampleOf('sign-in', 'failed'), 422),
            },
          ],
        ]),
      ),
    );
    const server = app.listen(0, '127.0.0.1');
    open.push(server);
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it('answers with type, language, status and a policy that lets nothing foreign in (requirements 15 and 16)', async () => {
    const gallery = openGallery();
    const base = await serve(gallery, 'https://id.tideway.example', {
      formActions: ['https://client.example', "https://x.example; script-src 'unsafe-inline'"],
    });
    const answer = await fetch(`${base}/interaction/x1?ui_locales=de`);
    expect(answer.status).to.equal(422);
    expect(answer.headers.get('content-type')).to.equal('text/html; charset=utf-8');
    expect(answer.headers.get('content-language')).to.equal('de');
    expect(answer.headers.get('cache-control')).to.equal('no-store');
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy).to.include("default-src 'none'").and.include("frame-ancestors 'none'");
    expect(policy).to.include("base-uri 'none'").and.include("form-action 'self' https://client.example;");
    expect(policy).to.not.include('unsafe');
    const page = parse(await answer.text());
    expect(page.querySelector('html')?.getAttribute('lang')).to.equal('de');
    expect(page.querySelector('input[name="return_to"]')?.getAttribute('value')).to.equal(
      '/interaction/x1?ui_locales=de',
    );
  });

  it('puts the issuer’s path before every address of ours, once', async () => {
    const issuer = 'https://tideway.example/id';
    const gallery = openGallery(issuer);
    const base = await serve(gallery, issuer);
    const page = parse(await (await fetch(`${base}/id/interaction/x1`)).text());
    const addresses = page
      .querySelectorAll('[href], [src], [action]')
      .map(
        element =>
          element.getAttribute('href') ?? element.getAttribute('src') ?? element.getAttribute('action'),
      )
      .filter(address => address?.startsWith('/'));
    expect(addresses.length).to.be.greaterThan(8);
    for (const address of addresses) expect(address).to.match(/^\/id\/(?!id\/)/);
    expect(page.querySelector('input[name="return_to"]')?.getAttribute('value')).to.equal(
      '/id/interaction/x1',
    );
    const style = page.querySelector('link[rel="stylesheet"]')?.getAttribute('href') ?? '';
    expect((await fetch(`${base}${style}`)).status).to.equal(200);
  });

  it('offers the language as a link where no form is protected', () => {
    const html = openGallery().renderer.page('error', sampleOf('error', 'unexpected'), {
      locale: 'en',
      returnTo: '/x',
    });
    const page = parse(html);
    expect(page.querySelectorAll('form')).to.have.length(0);
    expect(page.querySelector('footer a[lang="de"]')?.getAttribute('href')).to.equal('?ui_locales=de');
  });

  it('says times in the person’s zone if it is known, else in UTC', () => {
    const { renderer } = openGallery();
    const said = (timeZone?: string): string | undefined =>
      parse(
        renderer.page('error', sampleOf('error', 'unexpected'), {
          locale: 'de',
          csrfToken: 'x',
          returnTo: '/',
          timeZone,
        }),
      ).querySelector('time')?.text;
    expect(said()).to.equal('25. November 2026, 09:00 UTC');
    expect(said('Europe/Oslo')).to.equal('25. November 2026, 10:00');
    expect(said('Nowhere/Else')).to.equal('25. November 2026, 09:00 UTC');
  });

  it('shows the operator’s name, and names no support that there is not', () => {
    const { renderer } = openGallery(undefined, {
      name: 'A & B',
      supportEmail: '',
      helpUrl: '',
      privacyUrl: '',
    });
    const html = renderer.page('error', sampleOf('error', 'stopped'), {
      locale: 'en',
      csrfToken: 'x',
      returnTo: '/',
    });
    expect(html).to.include('A &amp; B').and.not.include('mailto:');
  });

  it('lets the answer to a form lead to origins and native schemes only', () => {
    const policy = contentSecurityPolicy([
      'https://a.example:8443',
      'http://127.0.0.1:*',
      'com.example.app:',
      "'unsafe-inline'",
      'https://b.example/path',
      'https://c.example https://d.example',
    ]);
    expect(policy).to.include("form-action 'self' https://a.example:8443 com.example.app:;");
  });
});
