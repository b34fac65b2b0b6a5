import ipaddr from 'ipaddr.js';

/** Whoever fetches the JWKS, as far as it can be told apart: a network and what it calls itself, not an instance. */
export interface Fetcher {
  /** /24 of IPv4, /64 of IPv6: who operates it, without keeping the addresses of single machines. */
  readonly network: string;
  /** Printable ASCII, at most 120 characters. */
  readonly userAgent: string;
  /** Proved by HTTP Basic. */
  readonly clientId?: string | undefined;
  /** The entry of keys.verifierNetworks that its address was in. */
  readonly listedAs?: string | undefined;
}

export interface JwksFetch extends Fetcher {
  /** The newest version of the ring that it was answered with. */
  readonly ringVersion: number;
  /** Database clock, milliseconds. */
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
  readonly fetches: number;
}

/** What a request says of its sender; all of it but the address may be invented. */
export interface FetchSource {
  readonly address: string | undefined;
  readonly userAgent: string | undefined;
  readonly authorization: string | undefined;
}

export const LONGEST_USER_AGENT = 120;

/** Printed to terminals and kept in tables: whatever could move a cursor or reorder a line is written out. */
export function shownUserAgent(sent: string | undefined): string {
  return (sent ?? '')
    .slice(0, LONGEST_USER_AGENT)
    .replace(/[^\x20-\x7e]/g, char => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .slice(0, LONGEST_USER_AGENT);
}

export function addressBlock(address: string | undefined): string {
  if (address === undefined || !ipaddr.isValid(address)) return 'unknown';
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv4) return block24(parsed.toByteArray());
  const bytes = parsed.toByteArray();
  // RFC 6052 §2.1: a translator writes the IPv4 address into the end; by its /64 all of IPv4 would be one network.
  if (parsed.range() === 'rfc6052') return block24(bytes.slice(12));
  return `${new ipaddr.IPv6([...bytes.slice(0, 8), ...Array<number>(8).fill(0)]).toString()}/64`;
}

function block24(bytes: readonly number[]): string {
  return `${bytes.slice(0, 3).join('.')}.0/24`;
}
