import { expect } from 'chai';
import { onEachTopology } from './topologies.js';

/** OpenID Connect Discovery 1.0 §3 */
const REQUIRED = [
  'issuer',
  'authorization_endpoint',
  'token_endpoint',
  'jwks_uri',
  'response_types_supported',
  'subject_types_supported',
  'id_token_signing_alg_values_supported',
];

/** Titles are the module names of the OpenID Foundation's conformance suite, and each test demands what its module does. */
describe('conformance plan Config', () => {
  onEachTopology('query', suite => {
    it('oidcc-discovery-endpoint-verification', async () => {
      const { client, cluster } = suite();
      const { issuer } = cluster.config;
      const { status, headers, json } = await client.call('/.well-known/openid-configuration');
      expect(status).to.equal(200);
      expect(headers.get('content-type')).to.match(/^application\/json/);
      expect(json).to.include.all.keys(REQUIRED);
      expect(json.issuer).to.equal(issuer);
      for (const [name, value] of Object.entries(json)) {
        if (!/_endpoint$|_uri$/.test(name)) continue;
        expect(String(value), name).to.satisfy((url: string) => url.startsWith(`${issuer}/`));
        expect(new URL(String(value)).hash, name).to.equal('');
      }
      expect(json.response_types_supported).to.include('code');
      expect(json.scopes_supported).to.include('openid');
      expect(json.id_token_signing_alg_values_supported).to.include('RS256').and.not.include('none');
      expect(json.claims_parameter_supported).to.equal(true);
      expect(json.request_uri_parameter_supported).to.equal(false);
      expect(json.claims_supported).to.include.members(['sub', 'iss', 'auth_time', 'name', 'email']);
      const { keys } = await client.jwks();
      expect(keys.length).to.be.at.least(1);
      expect(new Set(keys.map(({ kid }) => kid)).size).to.equal(keys.length);
      for (const key of keys) {
        expect(key.use).to.equal('sig');
        // Private and symmetric members (RFC 7518 §6).
        for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) expect(key).to.not.have.property(member);
      }
      // Whichever node is asked, it says the same.
      const again = await client.call('/.well-known/openid-configuration');
      expect(again.text).to.equal((await client.call('/.well-known/openid-configuration')).text);
    });
  });
});
