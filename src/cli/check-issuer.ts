import type { Config } from '../config/config.js';
import { isAppError } from '../errors.js';
import { type Finding, found, ok } from './finding.js';
import { type Answer, endpointOf, isRecord, metadataOf, request } from './issuer-endpoints.js';

/** From outside, as a verifier would. @param isRunning whether a node says that it serves. */
export async function checkIssuer(config: Config, isRunning: boolean): Promise<Finding[]> {
  const { issuer } = config;
  let jwks: Answer;
  const findings: Finding[] = [];
  try {
    const metadata = await metadataOf(issuer);
    if (metadata.issuer !== issuer) {
      return [
        found(
          'issuer',
          'error',
          `${issuer} answers as ${String(metadata.issuer)}: every verifier refuses that (RFC 8414 §3.3).`,
          'Set issuer to the URL by which clients reach the server, or correct the reverse proxy.',
        ),
      ];
    }
    findings.push(ok('issuer', `${issuer} answers with its own metadata.`));
    jwks = await request(endpointOf(metadata, issuer, 'jwks_uri'));
  } catch (error) {
    if (!isAppError(error)) throw error;
    // Before the first start nobody can answer, and that is no fault.
    const severity = isRunning ? 'error' : 'warning';
    const remedy = isRunning
      ? 'Servers run, but not for this address: correct DNS, the reverse proxy or issuer.'
      : 'Start it: claviger serve';
    return [...findings, found('issuer', severity, error.message, remedy)];
  }
  findings.push(checkJwks(jwks, config.keys.jwksMaxAgeFor));
  return findings;
}

function checkJwks({ status, headers, body }: Answer, maxAgeFor: number): Finding {
  const id = 'jwks';
  if (status !== 200 || !isRecord(body) || !Array.isArray(body.keys) || body.keys.length === 0) {
    return found(
      id,
      'error',
      `The JWKS is answered by ${status} and holds no keys.`,
      'See /readyz and the log.',
    );
  }
  const cacheControl = headers.get('cache-control') ?? '';
  const maxAge = Number(/max-age=(\d+)/.exec(cacheControl)?.[1]);
  if (maxAge !== maxAgeFor || headers.get('etag') === null) {
    return found(
      id,
      'warning',
      `The JWKS arrives with Cache-Control "${cacheControl}", not with max-age=${maxAgeFor} and an ETag.`,
      'Something in between changes the headers: let the reverse proxy pass them on, or a new key is seen too late.',
    );
  }
  return ok(id, `The JWKS holds ${body.keys.length} keys and may be cached for ${maxAge} s.`);
}
