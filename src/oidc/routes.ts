/** Where the core answers, below the issuer's own path. */
export const ROUTES = {
  authorization: '/oauth2/authorize',
  code_verification: '/oauth2/device/verify',
  device_authorization: '/oauth2/device',
  end_session: '/oauth2/logout',
  introspection: '/oauth2/introspect',
  jwks: '/.well-known/jwks.json',
  pushed_authorization_request: '/oauth2/par',
  registration: '/oauth2/register',
  revocation: '/oauth2/revoke',
  token: '/oauth2/token',
  userinfo: '/oauth2/userinfo',
  backchannel_authentication: '/oauth2/ciba',
} as const;

/** Paths that the core answers, with the methods they take. Whatever is not here does not exist. `*`: one segment. */
export const CORE_PATHS: ReadonlyMap<string, readonly string[]> = new Map([
  [ROUTES.token, ['POST']],
  [ROUTES.introspection, ['POST']],
  [ROUTES.revocation, ['POST']],
  [ROUTES.authorization, ['GET', 'POST']],
  [`${ROUTES.authorization}/*`, ['GET']],
  [ROUTES.pushed_authorization_request, ['POST']],
  [ROUTES.userinfo, ['GET', 'POST']],
  [ROUTES.device_authorization, ['POST']],
  [ROUTES.code_verification, ['GET', 'POST']],
  [`${ROUTES.code_verification}/*`, ['GET']],
  [ROUTES.end_session, ['GET', 'POST']],
  [`${ROUTES.end_session}/confirm`, ['POST']],
  [`${ROUTES.end_session}/success`, ['GET']],
  [ROUTES.backchannel_authentication, ['POST']],
]);

/** Endpoints that a page of another origin may call (Fetch: CORS), if its client has registered that origin. */
export const CROSS_ORIGIN_PATHS: ReadonlySet<string> = new Set([
  ROUTES.token,
  ROUTES.revocation,
  ROUTES.userinfo,
  ROUTES.pushed_authorization_request,
  ROUTES.device_authorization,
]);
