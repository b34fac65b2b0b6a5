import { expect } from 'chai';
import { network } from '../../src/rate-limits/network.js';

describe('the network a caller is counted by', () => {
  it('is the /64 of an IPv6 address: 2^64 addresses share one budget (requirement 87)', () => {
    const one = network('2001:db8:1:2::1');
    expect(one).to.equal('2001:db8:1:2::/64');
    expect(network('2001:db8:1:2:ffff:ffff:ffff:ffff')).to.equal(one);
    expect(network('2001:0DB8:0001:0002:0:0:0:9')).to.equal(one);
    expect(network('2001:db8:1:3::1')).to.not.equal(one);
    expect(network('fe80::1%eth0')).to.equal('fe80::/64');
  });

  it('is the IPv4 address itself, however it is written', () => {
    expect(network('192.0.2.1')).to.equal('192.0.2.1');
    expect(network('::ffff:192.0.2.1')).to.equal('192.0.2.1');
    expect(network('::ffff:c000:201')).to.equal('192.0.2.1');
    expect(network('64:ff9b::c000:201')).to.equal('192.0.2.1');
    expect(network('192.0.2.2')).to.not.equal(network('192.0.2.1'));
  });

  it('is one for all who have no address', () => {
    expect(network(undefined)).to.equal(network('not an address'));
  });
});
