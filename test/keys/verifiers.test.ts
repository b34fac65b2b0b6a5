import { expect } from 'chai';
import fc from 'fast-check';
import type { JwksFetch } from '../../src/keys/jwks-fetch.js';
import { addressBlock, LONGEST_USER_AGENT, shownUserAgent } from '../../src/keys/jwks-fetch.js';
import { holding, verifierName, verifiersOf, worthTelling } from '../../src/keys/verifiers.js';

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const KEY = { announcedVersion: 5 };
const POLICY = { verifierNetworks: ['10.0.0.0/8'], verifierSeenWithin: 7 * 86_400 };

function fetched(of: Partial<JwksFetch>): JwksFetch {
  const seen = { firstSeenAt: NOW - 3 * DAY, lastSeenAt: NOW - HOUR, fetches: 3 };
  return { network: '192.0.2.0/24', userAgent: 'jose/v6.2.18', ringVersion: 4, ...seen, ...of };
}

const of = (...fetches: JwksFetch[]) => verifiersOf(KEY, fetches, NOW, POLICY);

describe('who has fetched an announced key', () => {
  it('is who was answered with the ring of its announcement or a newer one', () => {
    const { seen, missing } = of(
      fetched({ network: '192.0.2.0/24', ringVersion: 5 }),
      fetched({ network: '198.51.100.0/24', ringVersion: 9 }),
      fetched({ network: '203.0.113.0/24', ringVersion: 4 }),
    );
    expect(seen.map(({ network }) => network)).to.deep.equal(['192.0.2.0/24', '198.51.100.0/24']);
    expect(missing.map(({ network }) => network)).to.deep.equal(['203.0.113.0/24']);
  });

  it('leaves out whoever has not been seen for longer than keys.verifierSeenWithin', () => {
    const late = { lastSeenAt: NOW - 7 * DAY };
    expect(of(fetched(late)).missing).to.have.length(1);
    expect(of(fetched({ lastSeenAt: late.lastSeenAt - 1 })).missing).to.have.length(0);
  });

  it('expects each of the others when the cache of its kind ends, and says when none ever does', () => {
    const at = NOW - HOUR;
    const expected = (userAgent: string) => of(fetched({ userAgent })).missing[0]?.expectedAt;
    expect(expected('jose/v6.2.18')).to.equal(at + 600_000);
    expect(expected('Microsoft ASP.NET Core OpenIdConnect handler')).to.equal(at + 12 * HOUR);
    expect(expected('something else')).to.equal(at + DAY);
    expect(expected('python-requests/2.31')).to.equal(undefined);
  });

  it('holds a promotion only for clients that proved who they are and for listed networks (D36)', () => {
    const client = fetched({ clientId: 'cl_a' });
    const listed = fetched({ listedAs: '10.0.0.0/8', network: '10.1.2.0/24' });
    const formerlyListed = fetched({ listedAs: '172.16.0.0/12', network: '172.16.1.0/24' });
    const anonymous = fetched({ network: '203.0.113.0/24' });
    const verifiers = of(client, listed, formerlyListed, anonymous);
    expect(verifiers.missing.map(({ standing }) => standing)).to.deep.equal([
      'client',
      'listed',
      'anonymous',
      'anonymous',
    ]);
    expect(holding(verifiers).map(verifierName)).to.deep.equal([
      'cl_a (jose/v6.2.18, 192.0.2.0/24)',
      '10.0.0.0/8 (jose/v6.2.18, 10.1.2.0/24)',
    ]);
  });

  it('is worth a warning about an anonymous one only when it came back over an hour, not after a single look', () => {
    const once = fetched({ firstSeenAt: NOW - HOUR, lastSeenAt: NOW - HOUR });
    const regular = fetched({ network: '203.0.113.0/24' });
    expect(worthTelling(of(once, regular)).map(({ network }) => network)).to.deep.equal(['203.0.113.0/24']);
    expect(worthTelling(of({ ...once, clientId: 'cl_a' }))).to.have.length(1);
  });

  it('does not wait for the former name of a verifier that was updated since', () => {
    const before = fetched({ clientId: 'cl_a', userAgent: 'jose/v6.2.17', lastSeenAt: NOW - 2 * DAY });
    const since = { clientId: 'cl_a', ringVersion: 5, firstSeenAt: NOW - 2 * DAY, lastSeenAt: NOW };
    expect(of(before, fetched(since)).missing).to.deep.equal([]);
    // Not updated, but one of two that run beside each other, and its cache has not ended yet.
    const beside = fetched({ clientId: 'cl_a', userAgent: 'jose/v6.2.17', lastSeenAt: NOW - 60_000 });
    expect(of(beside, fetched(since)).missing).to.have.length(1);
    // Control: the same for another client, which has nobody that stands in for it.
    expect(of({ ...before, clientId: 'cl_b' }, fetched(since)).missing).to.have.length(1);
  });

  it('puts each fetcher into one list at most, whatever was fetched', () => {
    const fetches = fc.array(
      fc.record({
        network: fc.constantFrom('192.0.2.0/24', '10.0.0.0/24'),
        userAgent: fc.constantFrom('jose/v6.2.18', 'curl/8', 'Java/21'),
        clientId: fc.constantFrom(undefined, 'cl_a', 'cl_b'),
        listedAs: fc.constantFrom(undefined, '10.0.0.0/8', '172.16.0.0/12'),
        ringVersion: fc.integer({ min: 1, max: 9 }),
        firstSeenAt: fc.constant(NOW - 9 * DAY),
        lastSeenAt: fc.integer({ min: NOW - 9 * DAY, max: NOW }),
        fetches: fc.constant(1),
      }),
    );
    fc.assert(
      fc.property(fetches, all => {
        const { seen, missing } = verifiersOf(KEY, all, NOW, POLICY);
        const lately = all.filter(({ lastSeenAt }) => lastSeenAt >= NOW - 7 * DAY);
        expect(seen.length).to.equal(lately.filter(({ ringVersion }) => ringVersion >= 5).length);
        expect(missing.length).to.be.at.most(lately.length - seen.length);
        if (seen.length === 0) expect(missing.length).to.equal(lately.length);
      }),
    );
  });
});

describe('what is kept of a fetcher', () => {
  it('is its address block: /24 of IPv4, /64 of IPv6', () => {
    expect(addressBlock('192.0.2.77')).to.equal('192.0.2.0/24');
    expect(addressBlock('::ffff:192.0.2.77')).to.equal('192.0.2.0/24');
    expect(addressBlock('64:ff9b::192.0.2.77')).to.equal('192.0.2.0/24');
    expect(addressBlock('2001:db8:1:2:3:4:5:6')).to.equal('2001:db8:1:2::/64');
    expect(addressBlock(undefined)).to.equal('unknown');
    expect(addressBlock('not an address')).to.equal('unknown');
  });

  it('is a user agent that can move no cursor and is at most 120 characters long', () => {
    expect(shownUserAgent('curl/8\u001b[2J\r\n\u009b\u00e9')).to.equal('curl/8\\x1b[2J\\x0d\\x0a\\x9b\\xe9');
    expect(shownUserAgent('x'.repeat(9000))).to.have.length(LONGEST_USER_AGENT);
    expect(shownUserAgent('\u0001'.repeat(9000))).to.have.length(LONGEST_USER_AGENT);
    expect(shownUserAgent(undefined)).to.equal('');
    fc.assert(fc.property(fc.string(), sent => /^[\x20-\x7e]{0,120}$/.test(shownUserAgent(sent))));
  });
});
