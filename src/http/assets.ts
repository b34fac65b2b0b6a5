import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { Middleware } from 'koa';
import type { Config } from '../config/config.js';
import { brandingCss, readLogo } from './branding.js';
import { type CachedDocument, sendDocument } from './cached-document.js';
import type { Route } from './router.js';
import { viewsFolder } from './views-folder.js';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

/** The address changes with the content, so a copy is right for ever (RFC 8246). */
const CACHE_CONTROL = 'public, max-age=31536000, immutable';

interface Asset {
  readonly path: string;
  readonly contentType: string;
  readonly document: CachedDocument;
}

function assetOf(name: string, body: Buffer): Asset {
  const extension = extname(name);
  const hash = createHash('sha256').update(body).digest('base64url');
  return {
    path: `/assets/${name.slice(0, -extension.length)}.${hash.slice(0, 16)}${extension}`,
    contentType: TYPES[extension] ?? 'application/octet-stream',
    document: { body, etag: `"${hash.slice(0, 27)}"` },
  };
}

function isAsset(name: string): boolean {
  return Object.hasOwn(TYPES, extname(name));
}

/** What pages load, all of it from here: read once, served from memory. */
export class Assets {
  readonly #assets: ReadonlyMap<string, Asset>;
  readonly #prefix: string;
  /** `logo.svg` or `logo.png`, if the operator gave one. */
  readonly logo: string | undefined;

  constructor({ issuer, branding }: Pick<Config, 'issuer' | 'branding'>) {
    const folder = join(viewsFolder(), 'assets');
    const bodies = readdirSync(folder)
      .filter(isAsset)
      .map((name): [string, Buffer] => [name, readFileSync(join(folder, name))]);
    const css = brandingCss(branding);
    if (css !== undefined) bodies.push(['branding.css', Buffer.from(css)]);
    const logo = readLogo(branding);
    if (logo !== undefined) bodies.push([logo.name, logo.body]);
    this.logo = logo?.name;
    this.#assets = new Map(bodies.map(([name, body]) => [name, assetOf(name, body)]));
    this.#prefix = new URL(issuer).pathname.replace(/\/$/, '');
  }

  has(name: string): boolean {
    return this.#assets.has(name);
  }

  /** The address of an asset, with the issuer's path. */
  url(name: string): string {
    const asset = this.#assets.get(name);
    if (asset === undefined) throw new TypeError(`no asset ${name}`);
    return `${this.#prefix}${asset.path}`;
  }

  /** Exact paths, for the router. */
  get routes(): ReadonlyMap<string, Route> {
    return new Map([...this.#assets.values()].map(asset => [asset.path, routeOf(asset)]));
  }
}

function routeOf({ document, contentType }: Asset): Route {
  const answer: Middleware = ctx => {
    ctx.respond = false;
    sendDocument(ctx.req, ctx.res, document, contentType, CACHE_CONTROL);
  };
  return { methods: ['GET', 'HEAD'], answer };
}
