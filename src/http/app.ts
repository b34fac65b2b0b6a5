import type { RequestListener, ServerResponse } from 'node:http';
import Koa, { type Middleware } from 'koa';
import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import { trustedProxyList } from '../config/trusted-proxies.js';
import type { JwksFetches } from '../keys/jwks-fetches.js';
import type { KeyPolicy } from '../keys/key-policy.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';
import { DISCOVERY_PATHS } from '../oidc/discovery.js';
import { CORE_PATHS, CROSS_ORIGIN_PATHS } from '../oidc/routes.js';
import type { PublishedLists } from '../status-lists/published-lists.js';
import type { TrustedProxies } from './client-address.js';
import { discovery } from './discovery.js';
import { type Checks, livez, readyz } from './health.js';
import { jwksAnswer, jwksPaths } from './jwks-cache.js';
import { errors } from './middleware/errors.js';
import { limits } from './middleware/limits.js';
import { requestContext } from './middleware/request-context.js';
import { securityHeaders } from './middleware/security-headers.js';
import type { Pages } from './pages.js';
import { preflight } from './preflight.js';
import { normalizeTarget } from './request-target.js';
import { type Route, router } from './router.js';
import { statusListAnswer } from './status-lists.js';

export interface EdgeParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly ring: KeyRing;
  readonly keyPolicy: KeyPolicy;
  readonly jwksFetches: JwksFetches;
  readonly statusLists: PublishedLists;
  readonly readiness: () => Promise<Checks>;
  readonly pages: Pages;
}

/**
 * What listens: the key set first, then everything else.
 *
 * @param isDraining once true, each answer closes its connection, so that clients move to another node.
 */
export function createListener(
  parts: EdgeParts,
  rest: RequestListener,
  isDraining: () => boolean,
): RequestListener {
  const paths = jwksPaths(parts.config.issuer);
  const answerJwks = jwksAnswer(parts, trustedProxiesOf(parts.config));
  const answerStatusList = statusListAnswer(parts.config.issuer, parts.statusLists);
  return (req, res) => {
    if (!normalizeTarget(req)) return refuseTarget(res);
    if (isDraining()) res.setHeader('Connection', 'close');
    const isRead = req.method === 'GET' || req.method === 'HEAD';
    if (isRead && req.url !== undefined && paths.has(req.url)) answerJwks(req, res);
    else if (!answerStatusList(req, res)) rest(req, res);
  };
}

function trustedProxiesOf({ http }: Config): TrustedProxies {
  return { addresses: trustedProxyList(http.trustedProxies), hops: http.trustedHops };
}

function refuseTarget(res: ServerResponse): void {
  res.writeHead(400, {
    'Content-Type': 'application/json; charset=utf-8',
    'Cache-Control': 'no-store',
    Connection: 'close',
  });
  res.end(JSON.stringify({ error: 'invalid_request', error_description: 'The address is malformed.' }));
}

/** Everything a request passes before the core evaluates it, in this order. */
export function edge(parts: EdgeParts): readonly Middleware[] {
  const { config, log } = parts;
  return [
    requestContext({ ...parts, trustedProxies: trustedProxiesOf(config) }),
    errors(log),
    securityHeaders(config.issuer.startsWith('https:')),
    limits(config.http.bodyLimit),
    router(config.issuer, routes(parts)),
  ];
}

/** Metrics tell who uses the server and how much, so they have a port of their own. */
export function createOperationsApp(parts: EdgeParts): Koa {
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

/** Without `answer`: the core's. Whatever is not here does not exist. */
function routes(parts: EdgeParts): ReadonlyMap<string, Route> {
  // With a query, in another method, or where the fast way did not match.
  const answerJwks = jwksAnswer(parts, trustedProxiesOf(parts.config));
  const keySet: Middleware = ctx => {
    ctx.respond = false;
    answerJwks(ctx.req, ctx.res);
  };
  const metadata: Route = { methods: READ, answer: discovery(parts.config, parts.ring) };
  return new Map<string, Route>([
    ...DISCOVERY_PATHS.map((path): [string, Route] => [path, metadata]),
    ['/.well-known/jwks.json', { methods: READ, answer: keySet }],
    ['/oauth2/jwks', { methods: READ, answer: keySet }],
    ['/livez', { methods: READ, answer: livez }],
    ['/readyz', { methods: READ, answer: readyz(parts.readiness) }],
    ...[...CORE_PATHS].map(([path, methods]): [string, Route] => [
      path,
      coreRoute(path, methods, parts.pages),
    ]),
    ...parts.pages.routes,
  ]);
}

/** Without an answer of ours the core answers; only a browser asks beforehand whether a page may call. */
function coreRoute(path: string, methods: readonly string[], { guards }: Pages): Route {
  const guard = guards.get(path);
  if (guard !== undefined) return { methods, answer: guard };
  if (!CROSS_ORIGIN_PATHS.has(path)) return { methods };
  return {
    methods: [...methods, 'OPTIONS'],
    answer: (ctx, next) => (ctx.method === 'OPTIONS' ? preflight(ctx, methods) : next()),
  };
}
