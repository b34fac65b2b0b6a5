import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
export type Network = readonly [Address, number];

/** RFC 4291 §2.4: all that is routed publicly. Outside lie forms like `::127.0.0.1`, which no list names. */
const PUBLIC_IPV6: Network = [ipaddr.parse('2000::'), 3];
/** Public by its number, yet it is what virtual machines of one cloud get their credentials from. */
const AZURE_HOST: Network = [ipaddr.parse('168.63.129.16'), 32];

/** @throws TypeError for what is neither an address nor a CIDR range. */
export function readNetworks(entries: readonly string[]): Network[] {
  return entries.map(entry => {
    if (ipaddr.isValidCIDR(entry)) return ipaddr.parseCIDR(entry);
    if (!ipaddr.isValid(entry)) throw new TypeError(`not an IP address or CIDR range: ${entry}`);
    const address = ipaddr.parse(entry);
    return [address, address.kind() === 'ipv4' ? 32 : 128];
  });
}

function lies(address: Address, [network, prefix]: Network): boolean {
  return address.kind() === network.kind() && address.match(network, prefix);
}

export function isIn(address: string, networks: readonly Network[]): boolean {
  const read = ipaddr.parse(address);
  return networks.some(network => lies(read, network));
}

/**
 * Whether an address belongs to everybody's internet: no loopback, private, link-local (cloud metadata), carrier,
 * multicast or reserved range (RFC 6890), and no IPv6 form that only wraps an IPv4 address (mapped, translated, 6to4,
 * Teredo), behind which each of those could hide.
 */
export function isPublic(address: string): boolean {
  const read = ipaddr.parse(address);
  if (read.range() !== 'unicast' || lies(read, AZURE_HOST)) return false;
  return read.kind() === 'ipv4' || lies(read, PUBLIC_IPV6);
}
