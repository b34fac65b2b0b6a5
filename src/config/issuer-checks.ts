import { DEVELOPMENT } from './config.js';

const EXAMPLE = 'for example https://id.example.com';

export function isLoopbackHost(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '::1' ||
    /^127(?:\.\d{1,3}){3}$/.test(host)
  );
}

/**
 * RFC 8414 §2 and OpenID Connect Discovery §3: an https URL without query or fragment. Verifiers compare the issuer
 * character by character, so only the form that a URL parser would itself write is accepted.
 */
export function issuerProblem(issuer: string, environment: string): string | undefined {
  const isDevelopment = environment === DEVELOPMENT;
  if (issuer === '') return `must be given in any environment but development, ${EXAMPLE}.`;
  if (!URL.canParse(issuer)) return `must be an absolute URL, ${EXAMPLE}.`;
  const url = new URL(issuer);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return `must be an https URL, ${EXAMPLE}.`;
  if (url.username !== '' || url.password !== '')
    return 'must not carry a user name or password; remove them.';
  if (issuer.includes('?') || issuer.includes('#'))
    return 'must not have a query or fragment; remove it (RFC 8414 §2).';
  if (issuer.endsWith('/')) return 'must not end in a slash; remove it.';
  const written = url.href.replace(/\/$/, '');
  if (written !== issuer) return `must be written in its normal form, ${written}.`;
  if (url.protocol === 'http:' && !isDevelopment) {
    return 'is an http URL; use https, or set environment to development on your own machine (RFC 8414 §2).';
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    return 'is an http URL of another machine; http is for localhost only, use https (RFC 8414 §2).';
  }
  return undefined;
}
