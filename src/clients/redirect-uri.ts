import { quoted } from '../resources/text-checks.js';
import type { ApplicationType, ClientMetadata } from './client-metadata.js';

export const MOST_REDIRECT_URIS = 20;
const LONGEST_URI = 512;

interface UriSurroundings {
  /** Only there `http://localhost` may stand: the name can be pointed elsewhere (RFC 8252 §8.3). */
  readonly isDevelopment: boolean;
}

const LOOPBACK_ADDRESSES: readonly string[] = ['127.0.0.1', '[::1]'];
/** They run or read something where the browser stands, instead of going anywhere. */
const DANGEROUS_SCHEMES: readonly string[] = [
  ...['javascript:', 'data:', 'vbscript:', 'file:', 'about:', 'blob:', 'filesystem:', 'view-source:'],
  ...['ftp:', 'ws:', 'wss:', 'mailto:', 'tel:'],
];
/** RFC 3986 §2: what an URI may hold. No backslash, blank, control or non-ASCII character, which parsers disagree on. */
const URI_TEXT = /^(?:[A-Za-z0-9\-._~:/?@[\]!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;
/** Escaped dots, separators, controls and percent signs: a server behind may read another path than was compared. */
const HIDDEN_IN_PATH = /%(?:2e|2f|5c|25|7f|[01][0-9a-f])/i;
const HIDDEN_CONTROL = /%(?:7f|[01][0-9a-f])/i;
const LABEL = /^[a-z0-9_-]{1,63}$/;
/** RFC 8252 §7.1: a domain name in reverse, so that two programs do not claim one scheme. */
const PRIVATE_USE_SCHEME = /^[a-z][a-z0-9-]*\.[a-z0-9.-]+:$/;
const LOOPBACK_URI = /^http:\/\/(127\.0\.0\.1|\[::1\])(?::(\d{1,5}))?([/?].*)?$/;

interface ParsedUri {
  readonly url: URL;
  readonly problem?: undefined;
}
interface RefusedUri {
  readonly problem: string;
}

/** An URI that every parser reads alike: what is compared is what is opened. */
function parseUri(value: unknown): ParsedUri | RefusedUri {
  if (typeof value !== 'string' || value === '') return { problem: 'Give an absolute URI.' };
  if (value.length > LONGEST_URI) return { problem: `Shorten it to at most ${LONGEST_URI} characters.` };
  if (value.includes('#')) return { problem: 'Remove the fragment (everything from # on): RFC 6749 §3.1.2.' };
  const [scheme = ''] = value.split(':', 1);
  if (DANGEROUS_SCHEMES.includes(`${scheme.trim().toLowerCase()}:`)) {
    return { problem: `${quoted(scheme)} addresses are refused: a browser would run or read them.` };
  }
  if (!URI_TEXT.test(value)) {
    return {
      problem: `${quoted(value)} is no URI: only visible ASCII characters without \\ " < > ^ { | }; write a host name as punycode.`,
    };
  }
  if (!URL.canParse(value)) return { problem: `${quoted(value)} is no absolute URI.` };
  const url = new URL(value);
  if (DANGEROUS_SCHEMES.includes(url.protocol)) {
    return { problem: `${quoted(url.protocol)} addresses are refused: a browser would run or read them.` };
  }
  if (url.username !== '' || url.password !== '' || authorityOf(value).includes('@')) {
    return { problem: 'Remove the user name and password: they make one host look like another.' };
  }
  const path = value.slice(scheme.length + 1).split('?', 1)[0] ?? '';
  const isTraversing = path.split(/[/;]/).some(segment => segment === '.' || segment === '..');
  if (isTraversing || HIDDEN_IN_PATH.test(path) || HIDDEN_CONTROL.test(value)) {
    return { problem: 'Remove dot segments and escaped dots, slashes and control characters.' };
  }
  if (url.href !== value && url.href !== `${value}/`) {
    return { problem: `Write it as browsers do: ${quoted(url.href)}.` };
  }
  return { url };
}

function authorityOf(value: string): string {
  return /^[^:]+:\/\/([^/?]*)/.exec(value)?.[1] ?? '';
}

/** A DNS name or an address; no wildcard, no empty label, no dot at the end. */
function isHost({ hostname }: URL): boolean {
  return hostname.startsWith('[') || hostname.split('.').every(label => LABEL.test(label));
}

function isLocal({ hostname }: URL, { isDevelopment }: UriSurroundings): boolean {
  return LOOPBACK_ADDRESSES.includes(hostname) || (isDevelopment && hostname === 'localhost');
}

/** What is wrong with an address that people are sent back to, or undefined (RFC 9700 §2.1, RFC 8252 §7). */
export function redirectUriProblem(
  value: unknown,
  applicationType: ApplicationType,
  surroundings: UriSurroundings,
): string | undefined {
  const parsed = parseUri(value);
  if (parsed.problem !== undefined) return parsed.problem;
  const { url } = parsed;
  if (url.protocol === 'https:') {
    if (!isHost(url)) return 'Name one host: no wildcard, no empty part, no dot at the end.';
    const isLoopback = [...LOOPBACK_ADDRESSES, 'localhost'].includes(url.hostname);
    return applicationType === 'native' && isLoopback
      ? 'A native client cannot claim https at a loopback host: use http (RFC 8252 §7.3).'
      : undefined;
  }
  if (url.protocol === 'http:') {
    return isLocal(url, surroundings)
      ? undefined
      : 'Use https; http is for 127.0.0.1 and [::1] only, and for localhost in development.';
  }
  if (applicationType !== 'native') return 'Use https; other schemes are for native clients.';
  if (!PRIVATE_USE_SCHEME.test(url.protocol)) {
    return 'Name the scheme after a domain of yours in reverse: com.example.program:/callback (RFC 8252 §7.1).';
  }
  return undefined;
}

/** What is wrong with an address that we call ourselves or send a browser to with something in it, or undefined. */
export function serviceUriProblem(value: unknown, surroundings: UriSurroundings): string | undefined {
  const parsed = parseUri(value);
  if (parsed.problem !== undefined) return parsed.problem;
  const { url } = parsed;
  const isSecure = url.protocol === 'https:' || (url.protocol === 'http:' && isLocal(url, surroundings));
  if (!isSecure) return 'Use https; http is for loopback addresses only.';
  return isHost(url) ? undefined : 'Name one host.';
}

/** What is wrong with an address that people may follow to read something, or undefined. */
export function pageUriProblem(value: unknown): string | undefined {
  const parsed = parseUri(value);
  if (parsed.problem !== undefined) return parsed.problem;
  const { url } = parsed;
  return (url.protocol === 'https:' || url.protocol === 'http:') && isHost(url)
    ? undefined
    : 'Give an https address.';
}

/** Only https: a picture or a start page that anybody on the way can replace misleads. */
export function securePageUriProblem(value: unknown): string | undefined {
  return pageUriProblem(value) ?? (String(value).startsWith('https:') ? undefined : 'Use https.');
}

/** What is wrong with an origin as a browser sends it (RFC 6454 §6.2), or undefined. */
export function originProblem(value: unknown, surroundings: UriSurroundings): string | undefined {
  const problem = serviceUriProblem(value, surroundings);
  if (problem !== undefined) return problem;
  return new URL(String(value)).origin === value
    ? undefined
    : 'Give scheme, host and port only: https://spa.example.com.';
}

/** RFC 9700 §4.1.3: an exact comparison; a native client's loopback port alone may differ (RFC 8252 §7.3). */
function matches(applicationType: ApplicationType, registered: readonly string[], uri: string): boolean {
  if (registered.includes(uri)) return true;
  if (applicationType !== 'native') return false;
  const given = LOOPBACK_URI.exec(uri);
  // A port of 0 is nobody's, and one above 65535 is another address in a careless parser.
  if (given === null || !isPort(given[2])) return false;
  return registered.some(one => {
    const known = LOOPBACK_URI.exec(one);
    return known !== null && known[1] === given[1] && (known[3] ?? '') === (given[3] ?? '');
  });
}

function isPort(text: string | undefined): boolean {
  return text === undefined || (Number(text) > 0 && Number(text) < 65_536);
}

export function redirectUriMatches(
  client: Pick<ClientMetadata, 'applicationType' | 'redirectUris'>,
  uri: string,
): boolean {
  return matches(client.applicationType, client.redirectUris, uri);
}

export function postLogoutRedirectUriMatches(
  client: Pick<ClientMetadata, 'applicationType' | 'postLogoutRedirectUris'>,
  uri: string,
): boolean {
  return matches(client.applicationType, client.postLogoutRedirectUris, uri);
}
