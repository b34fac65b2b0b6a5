import type { RequestListener } from 'node:http';
import Koa, { type Middleware } from 'koa';
import helmet from 'koa-helmet';
import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import { trustedProxyList } from '../config/trusted-proxies.js';
import type { KeyPolicy } from '../keys/key-policy.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';
import type { AuthorizationServer } from '../oidc/authorization-server.js';
import { type Checks, livez, readyz } from './health.js';
import { jwksAnswer, jwksPaths } from './jwks-cache.js';
import { errors } from './middleware/errors.js';
import { limits } from './middleware/limits.js';
import { requestContext } from './middleware/request-context.js';
import { type Route, router } from './router.js';

export interface AppParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly ring: KeyRing;
  readonly keyPolicy: KeyPolicy;
  readonly authorizationServer: AuthorizationServer;
  readonly readiness: () => Promise<Checks>;
}

/** What listens: the key set first, then everything else. */
export function createListener(parts: AppParts): RequestListener {
  const paths = jwksPaths(parts.config.issuer);
  const answerJwks = jwksAnswer(parts.ring, parts.keyPolicy, parts.metrics);
  const answerRest = createApp(parts).callback();
  return (req, res) => {
    const isRead = req.method === 'GET' || req.method === 'HEAD';
    if (isRead && req.url !== undefined && paths.has(req.url)) answerJwks(req, res);
    else answerRest(req, res);
  };
}

/** Everything a request passes, in this order. */
function createApp(parts: AppParts): Koa {
  const { config, log } = parts;
  const app = new Koa();
  app.silent = true;
  app.use(
    requestContext({
      ...parts,
      trustedProxies: {
        addresses: trustedProxyList(config.http.trustedProxies),
        hops: config.http.trustedHops,
      },
    }),
  );
  app.use(errors(log));
  app.use(securityHeaders(config));
  app.use(limits(config.http.bodyLimit));
  app.use(router(config.issuer, routes(parts)));
  return app;
}

/** Metrics tell who uses the server and how much, so they have a port of their own. */
export function createOperationsApp(parts: AppParts): Koa {
  const { metrics } = parts;
  const app = new Koa();
  app.silent = true;
  const render: Middleware = async ctx => {
    ctx.type = metrics.contentType;
    ctx.body = await metrics.render();
  };
  app.use(
    router(
      'http://operations',
      new Map<string, Route>([
        ['/metrics', { methods: READ, answer: render }],
        ['/livez', { methods: READ, answer: livez }],
        ['/readyz', { methods: READ, answer: readyz(parts.readiness) }],
      ]),
    ),
  );
  return app;
}

const READ = ['GET', 'HEAD'] as const;

function routes(parts: AppParts): ReadonlyMap<string, Route> {
  const { authorizationServer } = parts;
  const core: Middleware = ctx => authorizationServer.answer(ctx);
  // With a query, in another method, or where the fast way did not match.
  const answerJwks = jwksAnswer(parts.ring, parts.keyPolicy, parts.metrics);
  const keySet: Middleware = ctx => {
    ctx.respond = false;
    answerJwks(ctx.req, ctx.res);
  };
  const own: [string, Route][] = [
    ...[...jwksPaths('http://below.the.issuer')].map((path): [string, Route] => [
      path,
      { methods: READ, answer: keySet },
    ]),
    ['/livez', { methods: READ, answer: livez }],
    ['/readyz', { methods: READ, answer: readyz(parts.readiness) }],
  ];
  const protocol = [...authorizationServer.paths].map(([path, methods]): [string, Route] => [
    path,
    { methods, answer: core },
  ]);
  return new Map([...own, ...protocol]);
}

/** Nothing this server says in JSON is to be rendered, framed, sniffed or sent on with an address in it. */
function securityHeaders(config: Config): Middleware {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
    },
    crossOriginResourcePolicy: { policy: 'cross-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: config.issuer.startsWith('https:') ? { maxAge: 31_536_000 } : false,
    xFrameOptions: { action: 'deny' },
  }) as unknown as Middleware;
}
