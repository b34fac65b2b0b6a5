import type { IncomingMessage } from 'node:http';
import { BlockList } from 'node:net';
import { expect } from 'chai';
import fc from 'fast-check';
import { trustedProxyList } from '../../src/config/trusted-proxies.js';
import { clientAddress } from '../../src/http/client-address.js';

function from(remoteAddress: string | undefined, forwarded?: string): IncomingMessage {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return { socket: { remoteAddress }, headers } as unknown as IncomingMessage;
}

const proxies = trustedProxyList(['10.0.0.0/8', '192.0.2.1', 'fd00::/8']);

describe('the caller’s address', () => {
  const CASES: readonly (readonly [
    what: string,
    hops: number,
    remote: string | undefined,
    forwarded: string | undefined,
    expected: string | undefined,
  ])[] = [
    ['without a header is the connection’s', 1, '198.51.100.7', undefined, '198.51.100.7'],
    ['is the connection’s when that is no trusted proxy', 1, '198.51.100.7', '6.6.6.6', '198.51.100.7'],
    ['is the last entry behind one proxy', 1, '10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['is not what the caller wrote further left', 1, '10.0.0.1', '6.6.6.6, 203.0.113.9', '203.0.113.9'],
    [
      'is the last but one behind two proxies',
      2,
      '10.0.0.1',
      '6.6.6.6, 203.0.113.9, 10.0.0.2',
      '203.0.113.9',
    ],
    ['stops at an entry that is no trusted proxy', 2, '10.0.0.1', '6.6.6.6, 203.0.113.9', '203.0.113.9'],
    ['is the proxy’s when there are fewer entries than hops', 3, '10.0.0.1', '10.0.0.2', '10.0.0.2'],
    ['is the proxy’s when the header is empty', 1, '10.0.0.1', '', '10.0.0.1'],
    ['is the proxy’s when the entry is no address', 1, '10.0.0.1', 'evil.example', '10.0.0.1'],
    ['is the proxy’s when the entry holds a script', 1, '10.0.0.1', '<script>', '10.0.0.1'],
    ['is the proxy’s when the entry is only dots', 1, '10.0.0.1', '....', '10.0.0.1'],
    ['is the proxy’s when the entry is no whole address', 1, '10.0.0.1', '1.2.3', '10.0.0.1'],
    ['may be IPv6', 1, 'fd00::1', '2001:db8::7', '2001:db8::7'],
    ['sees IPv4 in an IPv6 socket', 1, '::ffff:10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['is unknown when the connection is gone', 1, undefined, '203.0.113.9', undefined],
  ];
  for (const [what, hops, remote, forwarded, expected] of CASES) {
    it(what, () => {
      expect(clientAddress(from(remote, forwarded), { addresses: proxies, hops })).to.equal(expected);
    });
  }

  it('is never taken from a header while no proxy is configured', () => {
    fc.assert(
      fc.property(fc.string(), forwarded => {
        const address = clientAddress(from('10.0.0.1', forwarded), { addresses: new BlockList(), hops: 3 });
        expect(address).to.equal('10.0.0.1');
      }),
    );
  });

  it('is short and an address, whatever a trusted proxy sends', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 5000 }), forwarded => {
        const address = clientAddress(from('10.0.0.1', forwarded), { addresses: proxies, hops: 5 });
        expect(address).to.match(/^[0-9a-fA-F:.]{2,45}$/);
      }),
    );
  });
});
