import { BlockList, isIP } from 'node:net';

interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** An address or CIDR range, or undefined when the text is neither. */
function readNetwork(entry: string): Network | undefined {
  const [address = '', prefixText, ...more] = entry.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return undefined;
  const widest = version === 4 ? 32 : 128;
  if (prefixText !== undefined && !/^\d{1,3}$/.test(prefixText)) return undefined;
  const prefix = prefixText === undefined ? widest : Number(prefixText);
  return prefix > widest ? undefined : { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' };
}

export function networkProblem(entry: string): string | undefined {
  return readNetwork(entry) === undefined
    ? `has ${entry}, which is no IP address or CIDR range; write 10.0.0.0/8 or ::1.`
    : undefined;
}

export function proxyProblem(entry: string): string | undefined {
  const malformed = networkProblem(entry);
  if (malformed !== undefined) return malformed;
  // Trusting every peer lets any caller choose the address that limits and audit records see.
  if (readNetwork(entry)?.prefix === 0)
    return `has ${entry}, which trusts everyone; name the addresses of your proxies.`;
  return undefined;
}

/** For `check(address, family)` at the edge. Entries have passed `proxyProblem`. */
export function trustedProxyList(entries: readonly string[]): BlockList {
  const trusted = new BlockList();
  for (const entry of entries) {
    const network = readNetwork(entry);
    if (network === undefined) throw new TypeError(`not an IP address or CIDR range: ${entry}`);
    trusted.addSubnet(network.address, network.prefix, network.family);
  }
  return trusted;
}
