import ipaddr from 'ipaddr.js';

/** An address in IPv6 costs nothing: whoever has one has the 2^64 beside it (RFC 4291 §2.5.1: 64 bits name the interface). */
const PREFIX_BYTES = 8;

/**
 * What a caller is counted by: the IPv4 address, or the /64 of an IPv6 address. Callers without an address share one
 * name, so that nobody escapes a limit by hiding it.
 */
export function network(ip: string | undefined): string {
  if (ip === undefined || !ipaddr.isValid(ip)) return 'unknown';
  // `::ffff:192.0.2.1` is the IPv4 address, whichever socket it came through.
  const address = ipaddr.process(ip);
  if (address instanceof ipaddr.IPv4) return address.toString();
  const bytes = address.toByteArray();
  // RFC 6052 §2.1: a translator writes the IPv4 address into the end; by its /64 all of IPv4 would be one caller.
  if (address.range() === 'rfc6052') return bytes.slice(12).join('.');
  const prefix = [...bytes.slice(0, PREFIX_BYTES), ...Array<number>(16 - PREFIX_BYTES).fill(0)];
  return `${new ipaddr.IPv6(prefix).toString()}/64`;
}
