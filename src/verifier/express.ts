import type { AccessTokenVerifier, VerifiedClaims } from './access-token-claims.js';
import {
  authenticator,
  type IncomingRequest,
  type RequireAccessTokenOptions,
} from './authenticate-request.js';

/** As much of an express request and response as is used, which is Node's own; express itself is no dependency. */
export interface ExpressRequest extends IncomingRequest {
  accessToken?: unknown;
}

export interface ExpressResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

/**
 * Middleware for express 4 and 5 and for anything else that takes Node's `(req, res, next)`: lets a request pass whose
 * Bearer token is accepted, with the claims in `req.accessToken`, and answers every other with the challenge of
 * RFC 6750 §3. What is no refusal goes to `next(error)`.
 *
 * @param verifier from `createVerifier` or `createIntrospector`.
 * @param options `scopes`: all of them are needed.
 * @throws TypeError when a scope could never be granted.
 */
export function requireAccessToken<Claims extends VerifiedClaims>(
  verifier: AccessTokenVerifier<Claims>,
  options: RequireAccessTokenOptions = {},
): (req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void) => Promise<void> {
  const authenticate = authenticator(verifier, options);
  return async (req, res, next) => {
    let outcome: Awaited<ReturnType<typeof authenticate>>;
    try {
      outcome = await authenticate(req);
    } catch (error) {
      next(error);
      return;
    }
    if ('claims' in outcome) {
      req.accessToken = outcome.claims;
      next();
      return;
    }
    const { status, headers, body } = outcome.refusal;
    res.statusCode = status;
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    res.end(body);
  };
}
