import type { AccessTokenVerifier, VerifiedClaims } from './access-token-claims.js';
import {
  authenticator,
  type IncomingRequest,
  type RequireAccessTokenOptions,
} from './authenticate-request.js';

/** As much of a fastify request and reply as is used; fastify itself is no dependency. */
export interface FastifyRequest {
  readonly raw: IncomingRequest;
  readonly body?: unknown;
  accessToken?: unknown;
}

export interface FastifyReply {
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  send(body: string): unknown;
}

/**
 * Hook for fastify (`onRequest` or `preHandler`, for all routes or one): lets a request pass whose Bearer token is
 * accepted, with the claims in `request.accessToken`, and answers every other with the challenge of RFC 6750 §3.
 *
 * @param verifier from `createVerifier` or `createIntrospector`.
 * @param options `scopes`: all of them are needed.
 * @throws TypeError when a scope could never be granted. The hook itself throws only what is no refusal.
 */
export function requireAccessToken<Claims extends VerifiedClaims>(
  verifier: AccessTokenVerifier<Claims>,
  options: RequireAccessTokenOptions = {},
): (request: FastifyRequest, reply: FastifyReply) => Promise<unknown> {
  const authenticate = authenticator(verifier, options);
  return async (request, reply) => {
    const { headers, rawHeaders, url } = request.raw;
    const outcome = await authenticate({ headers, rawHeaders, url, body: request.body });
    if ('claims' in outcome) {
      request.accessToken = outcome.claims;
      return undefined;
    }
    const { status, headers: answered, body } = outcome.refusal;
    reply.code(status);
    for (const [name, value] of Object.entries(answered)) reply.header(name, value);
    // Returning the reply tells fastify that it is answered: the route must not run.
    reply.send(body);
    return reply;
  };
}
