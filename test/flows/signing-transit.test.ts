import { expect } from 'chai';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { destroyExternalKeys } from '../../src/keys/external-keys.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { activeOf } from '../../src/keys/key-state.js';
import { revokeSigningKey } from '../../src/keys/rotate.js';
import { openSigningBackends } from '../../src/keys/signing-backends/open-signing-backends.js';
import { blocksOf } from '../docs/fenced-blocks.js';
import { freshSqlite } from '../support/databases.js';
import { basic, Cluster, get, ISSUER, OPERATOR, post, RESOURCE, token } from '../support/nodes.js';
import { VaultServer } from '../support/vault-server.js';

const CAPABILITIES: Readonly<Record<string, string>> = { GET: 'read', POST: 'update', DELETE: 'delete' };

/** By the policy that docs/signing-backends.md gives to Vault. */
function isAllowed(request: string): boolean {
  const [method = '', path = ''] = request.split(' ');
  const rules = blocksOf('docs/signing-backends.md').flatMap(({ text }) => [
    ...text.matchAll(/^path "([^"]+)" *\{ capabilities = \[([^\]]+)\] \}$/gm),
  ]);
  return rules.some(([, pattern = '', capabilities = '']) => {
    const matches = new RegExp(`^${pattern.replaceAll('*', '[^/]+')}$`).test(path);
    return matches && capabilities.includes(`"${CAPABILITIES[method]}"`);
  });
}

describe('signing keys in Vault Transit', () => {
  it('sign, answer 503 while Vault is sealed, sign again, and are deleted there when revoked', async () => {
    const vault = new VaultServer();
    const address = await vault.listen();
    const database = await freshSqlite();
    const cluster = new Cluster({
      url: database.url,
      env: {
        CLAVIGER_KEYS_SIGNING: 'ES256:transit',
        CLAVIGER_VAULT_ADDRESS: address,
        CLAVIGER_VAULT_TOKEN: vault.rootToken,
      },
    });
    try {
      const node = await cluster.start({ hasTimers: false });
      await cluster.resourceServer();
      const client = await cluster.client();
      const jwks = (await get(node, '/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
      const expected = { issuer: ISSUER, audience: RESOURCE, algorithms: ['ES256'] };
      await jwtVerify(await token(node, client), createLocalJWKSet(jwks), expected);
      const ask = () => post(node, '/oauth2/token', { grant_type: 'client_credentials' }, basic(client));
      vault.isSealed = true;
      const refused = await ask();
      expect(refused.status, refused.text).to.equal(503);
      expect(refused.json.error).to.equal('temporarily_unavailable');
      vault.isSealed = false;
      // One second in which it is not asked again, by the node's own clock.
      let answer = refused;
      for (let attempt = 0; answer.status !== 200 && attempt < 2000; attempt += 1) answer = await ask();
      expect(answer.status).to.equal(200);

      const active = activeOf(node.ring.served.ring, 'ES256');
      const operator = await cluster.operator();
      const context = {
        database: operator.database,
        policy: deriveKeyPolicy(cluster.config),
        envelope: operator.keys.signingKeyEnvelope,
        nodeId: operator.nodeId,
        actor: OPERATOR,
        backends: openSigningBackends(cluster.config, () => performance.now()),
      };
      await revokeSigningKey(context, active?.kid ?? '');
      await destroyExternalKeys(context);
      expect(vault.requests.filter(request => !isAllowed(request))).to.deep.equal([]);
      expect(isAllowed('GET transit/keys/other'), 'control').to.equal(false);
      expect(vault.requests.at(-1)).to.equal(`DELETE transit/keys/claviger-${active?.external?.reference}`);
    } finally {
      await cluster.close();
      await vault.close();
      await database.drop();
    }
  });
});
