import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import Koa from 'koa';
import { LOCALES } from '../../src/config/config.js';
import { contentSecurityPolicy } from '../../src/http/render.js';
import { axe, type OpenedPage, openPage, overflow, screenshot } from '../support/chromium.js';
import { type GalleryPage, galleryPages, openGallery } from '../views/gallery.js';

/** CSS pixels: WCAG 2.2 §1.4.10 (Reflow). */
const NARROW = { width: 320, height: 800 };
const WIDE = { width: 1280, height: 900 };

/** Every view in every shape, with its files and its policy, as a browser gets it from a node. */
async function serve(): Promise<{ server: Server; pages: readonly GalleryPage[]; origin: string }> {
  const app = new Koa();
  const gallery = openGallery('http://localhost');
  const pages = galleryPages(gallery);
  const routes = gallery.assets.routes;
  app.use(async (ctx, next) => {
    const asset = routes.get(ctx.path);
    if (asset?.answer !== undefined) return asset.answer(ctx, next);
    const page = pages.find(({ name }) => ctx.path === `/${name}`);
    if (page === undefined) return ctx.throw(404);
    ctx.set('content-security-policy', contentSecurityPolicy([]));
    ctx.type = 'text/html; charset=utf-8';
    ctx.body = page.html;
  });
  const server = app.listen(0, '127.0.0.1');
  await new Promise<void>(resolve => server.once('listening', resolve));
  return { server, pages, origin: `http://localhost:${(server.address() as AddressInfo).port}` };
}

/** Tabs at work at the same time. */
const TABS = 3;

interface Found {
  readonly wide: string[];
  readonly dark: string[];
  readonly narrow: string[];
  /** What the console said: a refusal by the page's own policy is there. */
  readonly problems: string[];
}

async function look({ page }: OpenedPage, url: string, name: string, found: Found): Promise<void> {
  const note = (list: string[], lines: readonly string[]) =>
    list.push(...lines.map(line => `${name}: ${line}`));
  await page.goto(url);
  note(found.wide, await axe(page));
  await screenshot(page, `gallery/${name}`);
  await page.setViewportSize(NARROW);
  const wider = await overflow(page);
  if (wider > 0) note(found.narrow, [`${wider} px too wide`]);
  note(found.narrow, await axe(page, ['target-size', 'color-contrast']));
  await page.emulateMedia({ colorScheme: 'dark' });
  note(found.dark, await axe(page, ['color-contrast', 'link-in-text-block']));
  await screenshot(page, `gallery/narrow-dark/${name}`);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(WIDE);
}

describe('every page in Chromium', function () {
  this.timeout(180_000);

  for (const locale of LOCALES) {
    describe(`in ${locale}`, () => {
      const found: Found = { wide: [], dark: [], narrow: [], problems: [] };
      let looked = 0;

      // Once for all: most of the time goes into opening a page.
      before(async () => {
        const { server, pages, origin } = await serve();
        const waiting = pages.filter(page => page.locale === locale);
        try {
          await Promise.all(
            Array.from({ length: TABS }, async () => {
              const opened = await openPage({ locale });
              for (let page = waiting.pop(); page !== undefined; page = waiting.pop()) {
                await look(opened, `${origin}/${page.name}`, page.name, found);
                looked += 1;
              }
              found.problems.push(...opened.problems);
              await opened.close();
            }),
          );
        } finally {
          server.close();
        }
      });

      it('is free of what axe-core finds, and of what its own policy stops', () => {
        expect(looked).to.be.above(40);
        expect(found.wide.join('\n')).to.equal('');
        expect(found.problems).to.deep.equal([]);
      });

      it('is so in the dark scheme, where the colours are others', () => {
        expect(found.dark.join('\n')).to.equal('');
      });

      it('needs no scrolling sideways at 320 px, and keeps its targets apart (WCAG 2.2 §1.4.10, §2.5.8)', () => {
        expect(found.narrow.join('\n')).to.equal('');
      });
    });
  }
});
