import type { IncomingMessage } from 'node:http';
import { type BlockList, isIP, isIPv6 } from 'node:net';

export interface TrustedProxies {
  readonly addresses: BlockList;
  /** How many proxies stand in front: entries of X-Forwarded-For further left were written by the caller. */
  readonly hops: number;
}

function isTrusted({ addresses }: TrustedProxies, address: string): boolean {
  return addresses.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

function plain(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.)/i, '');
}

/**
 * The caller's address. Forwarded headers count only when the connection comes from a configured proxy, and only
 * as many entries as there are proxies; anyone can send the header.
 */
export function clientAddress(req: IncomingMessage, trusted: TrustedProxies): string | undefined {
  let address = plain(req.socket.remoteAddress);
  const header = req.headers['x-forwarded-for'];
  if (header === undefined || address === undefined) return address;
  const entries = String(header)
    // The end: what proxies appended stands last, and the caller can make the rest as long as it likes.
    .slice(-2048)
    .split(',')
    .map(entry => entry.trim());
  for (let hop = 0; hop < trusted.hops; hop += 1) {
    if (!isTrusted(trusted, address)) return address;
    const next = plain(entries.pop());
    if (next === undefined || next.includes('%') || isIP(next) === 0) return address;
    address = next;
  }
  return address;
}
