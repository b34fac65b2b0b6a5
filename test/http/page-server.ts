import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { systemClock } from '../../src/clock.js';
import { loadConfig } from '../../src/config/load.js';
import { Assets } from '../../src/http/assets.js';
import { Messages } from '../../src/http/messages.js';
import { CsrfProtection } from '../../src/http/middleware/csrf.js';
import type { PageRouteParts } from '../../src/http/page-route.js';
import { Renderer } from '../../src/http/render.js';
import { type Route, router } from '../../src/http/router.js';
import { createLogger } from '../../src/log.js';

export const PAGE_ISSUER = 'http://login.example.test';

export interface PageAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

export interface PageRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Pages without a core: what stands before them, over real HTTP. */
export class PageServer {
  readonly parts: PageRouteParts;
  readonly logged: string[] = [];
  readonly #server: Server;

  constructor(routes: (parts: PageRouteParts) => ReadonlyMap<string, Route>, issuer = PAGE_ISSUER) {
    const { config } = loadConfig({
      env: {
        CLAVIGER_ENVIRONMENT: 'development',
        CLAVIGER_ISSUER: issuer.replace(/^http:.*/, 'http://localhost'),
      },
      cwd: '/nonexistent',
    });
    const shown = { issuer, branding: config.branding };
    const renderer = new Renderer({
      config: shown,
      clock: systemClock,
      messages: new Messages(),
      assets: new Assets(shown),
    });
    this.parts = {
      renderer,
      clock: systemClock,
      log: createLogger({ level: 'error', format: 'json' }, { write: line => this.logged.push(line) }),
      csrf: new CsrfProtection({ cookieKey: Buffer.alloc(32, 7), issuer }),
      issuer,
      bodyLimit: 4096,
    };
    const app = new Koa();
    app.silent = true;
    app.keys = ['a key that signs cookies'];
    if (issuer.startsWith('https:')) {
      // As behind a proxy that ends TLS: the core is told by the issuer (oidc/issuer-host).
      Object.defineProperty(app.request, 'secure', { get: () => true });
    }
    app.use((ctx, next) => {
      ctx.state.facts = { requestId: 'request-1', ip: '192.0.2.1', userAgent: undefined };
      return next();
    });
    app.use(router(issuer, routes(this.parts)));
    this.#server = createServer(app.callback());
  }

  async start(): Promise<void> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => this.#server.close(resolve));
  }

  send(path: string, { method = 'GET', headers = {}, body }: PageRequest = {}): Promise<PageAnswer> {
    const { port } = this.#server.address() as AddressInfo;
    const { host } = new URL(this.parts.issuer);
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { host: '127.0.0.1', port, path, method, headers: { host, ...headers } },
        response => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.once('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
          });
        },
      );
      outgoing.once('error', reject);
      outgoing.end(body);
    });
  }

  post(
    path: string,
    fields: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<PageAnswer> {
    return this.send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: new URLSearchParams(fields).toString(),
    });
  }
}

/** `name=value` of the cookies an answer sets. */
export function cookiesOf({ headers }: PageAnswer): string {
  return (headers['set-cookie'] ?? []).map(line => line.split(';', 1)[0] ?? '').join('; ');
}

/** The hidden field of the page's forms. */
export function csrfOf({ text }: PageAnswer): string {
  return /name="csrf" value="([^"]*)"/.exec(text)?.[1] ?? '';
}
