import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import Koa from 'koa';
import { Assets } from '../../src/http/assets.js';
import { brandingCss } from '../../src/http/branding.js';
import { router } from '../../src/http/router.js';
import { BRANDING, ISSUER } from '../views/gallery.js';

const LIGHT = ['#7a1f5c', '#571340', '#f7e3f0', '#ffffff'];
const DARK = ['#f09ed0', '#f7c4e2', '#3d1530', '#2b0420'];

describe('assets', () => {
  let server: Server;
  let base: string;
  let assets: Assets;

  before(async () => {
    const logoFile = join(mkdtempSync(join(tmpdir(), 'claviger-logo-')), 'brand.svg');
    writeFileSync(logoFile, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>');
    assets = new Assets({
      issuer: ISSUER,
      branding: { ...BRANDING, logoFile, lightAccents: LIGHT, darkAccents: DARK },
    });
    const app = new Koa();
    app.use(router(ISSUER, assets.routes));
    server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  after(() => server.close());

  it('carry their hash in the address, a strong tag and the right type, and may be kept for ever', async () => {
    const types: Record<string, string> = {
      'app.css': 'text/css; charset=utf-8',
      'branding.css': 'text/css; charset=utf-8',
      'passkey.js': 'text/javascript; charset=utf-8',
      'icons.svg': 'image/svg+xml',
      'logo.svg': 'image/svg+xml',
    };
    for (const [name, type] of Object.entries(types)) {
      expect(assets.url(name)).to.match(/^\/assets\/[a-z-]+\.[\w-]{16}\.(?:css|js|svg)$/);
      const answer = await fetch(`${base}${assets.url(name)}`);
      expect(answer.status, name).to.equal(200);
      expect(answer.headers.get('content-type')).to.equal(type);
      expect(answer.headers.get('cache-control')).to.equal('public, max-age=31536000, immutable');
      expect(answer.headers.get('x-content-type-options')).to.equal('nosniff');
      const etag = answer.headers.get('etag') ?? '';
      const again = await fetch(`${base}${assets.url(name)}`, { headers: { 'If-None-Match': etag } });
      expect(again.status).to.equal(304);
    }
  });

  it('are nothing but what was read at the start', async () => {
    expect((await fetch(`${base}/assets/app.css`)).status).to.equal(404);
    expect((await fetch(`${base}/assets/..%2f..%2fpackage.json`)).status).to.equal(404);
    expect(() => assets.url('package.json')).to.throw(TypeError);
  });

  it('keep an accent of one scheme out of the other', () => {
    const light = brandingCss({ ...BRANDING, lightAccents: LIGHT }) ?? '';
    expect(light).to.include('not (prefers-color-scheme: dark)').and.include('--accent:#7a1f5c');
    expect(light.match(/@media/g)).to.have.length(1);
    expect(brandingCss(BRANDING)).to.equal(undefined);
    expect(new Assets({ issuer: ISSUER, branding: BRANDING }).has('branding.css')).to.equal(false);
  });
});
