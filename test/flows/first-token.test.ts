import { expect } from 'chai';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { forEachDatabase } from '../support/databases.js';
import { basic, Cluster, get, ISSUER, post, RESOURCE, token, urlOf } from '../support/nodes.js';

describe('a service gets a token and a resource server verifies it', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      await cluster.start();
      await cluster.resourceServer();
    });

    after(() => cluster.close());

    function node() {
      const [first] = cluster.nodes;
      if (first === undefined) throw new Error('no node');
      return first;
    }

    it('issues a JWT access token for one resource server (RFC 9068 §2, requirement 55)', async () => {
      const client = await cluster.client();
      const jwt = await token(node(), client);
      const jwks = createRemoteJWKSet(new URL(urlOf(node(), '/.well-known/jwks.json')));
      const { payload, protectedHeader } = await jwtVerify(jwt, jwks, { issuer: ISSUER, audience: RESOURCE });
      expect(protectedHeader.typ).to.equal('at+jwt');
      expect(protectedHeader.alg).to.equal('ES256');
      expect(payload).to.have.all.keys('iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'client_id', 'scope');
      expect(payload.aud).to.equal(RESOURCE);
      expect(Number(payload.exp) - Number(payload.iat)).to.equal(600);
    });

    it('judges a request again when a change was committed since the node last read (never by an old record)', async () => {
      const client = await cluster.client();
      const answer = await post(
        node(),
        '/oauth2/token',
        { grant_type: 'client_credentials', scope: 'orders.read' },
        basic(client),
      );
      expect(answer.status).to.equal(200);
      expect(answer.json.scope).to.equal('orders.read');
    });

    it('is ready, and says so', async () => {
      const answer = await get(node(), '/readyz');
      expect(answer.status).to.equal(200);
    });
  });
});
