import { expect } from 'chai';
import type { RunningServer } from '../../src/server.js';
import { freshSqlite } from '../support/databases.js';
import { ProofKey } from '../support/dpop.js';
import { basic, Cluster, get, ISSUER, post, type SeededClient, urlOf } from '../support/nodes.js';
import type { FreshDatabase } from '../support/postgres.js';

/** IANA's registry of OAuth authorization server metadata, as far as this server is concerned. */
const REGISTERED: ReadonlySet<string> = new Set([
  'issuer',
  'authorization_endpoint',
  'token_endpoint',
  'userinfo_endpoint',
  'jwks_uri',
  'introspection_endpoint',
  'revocation_endpoint',
  'pushed_authorization_request_endpoint',
  'device_authorization_endpoint',
  'backchannel_authentication_endpoint',
  'end_session_endpoint',
  'scopes_supported',
  'claims_supported',
  'response_types_supported',
  'response_modes_supported',
  'grant_types_supported',
  'subject_types_supported',
  'acr_values_supported',
  'prompt_values_supported',
  'display_values_supported',
  'ui_locales_supported',
  'claim_types_supported',
  'claims_parameter_supported',
  'request_parameter_supported',
  'request_uri_parameter_supported',
  'id_token_signing_alg_values_supported',
  'userinfo_signing_alg_values_supported',
  'authorization_signing_alg_values_supported',
  'request_object_signing_alg_values_supported',
  'code_challenge_methods_supported',
  'token_endpoint_auth_methods_supported',
  'introspection_endpoint_auth_methods_supported',
  'revocation_endpoint_auth_methods_supported',
  'dpop_signing_alg_values_supported',
  'authorization_response_iss_parameter_supported',
  'require_pushed_authorization_requests',
  'backchannel_token_delivery_modes_supported',
  'backchannel_user_code_parameter_supported',
  'backchannel_logout_supported',
  'backchannel_logout_session_supported',
  'op_policy_uri',
]);

for (const path of ['', '/tenants/one']) {
  describe(`the metadata of an issuer ${path === '' ? 'without a path' : `with the path ${path}`}`, () => {
    const issuer = `${ISSUER}${path}`;
    let database: FreshDatabase;
    let cluster: Cluster;
    let node: RunningServer;
    let client: SeededClient;

    before(async () => {
      database = await freshSqlite();
      cluster = new Cluster({ url: database.url, env: { CLAVIGER_ISSUER: issuer } });
      node = await cluster.start();
      await cluster.resourceServer();
      client = await cluster.client();
    });

    after(async () => {
      await cluster.close();
      await database.drop();
    });

    const FORMS = [
      `${path}/.well-known/openid-configuration`,
      `/.well-known/oauth-authorization-server${path}`,
      `/.well-known/openid-configuration${path}`,
      `${path}/.well-known/oauth-authorization-server`,
    ];

    it('stands at both well-known addresses, the same bytes (RFC 8414 §3, OpenID Connect Discovery 1.0 §4)', async () => {
      const answers = await Promise.all(FORMS.map(form => get(node, form)));
      for (const answer of answers) {
        expect(answer.status).to.equal(200);
        expect(answer.text).to.equal(answers[0]?.text);
        expect(answer.headers.get('content-type')).to.match(/^application\/json/);
        expect(answer.headers.get('cache-control')).to.match(/^public, max-age=/);
        expect(answer.headers.get('access-control-allow-origin')).to.equal('*');
      }
    });

    it('holds only members that are registered, and addresses that answer', async () => {
      const { json } = await get(node, FORMS[0] ?? '');
      expect(json.issuer).to.equal(issuer);
      for (const [name, value] of Object.entries(json)) {
        expect(REGISTERED.has(name), name).to.equal(true);
        if (!/_(endpoint|uri)$/.test(name)) continue;
        const at = new URL(String(value));
        expect(String(value).startsWith(`${issuer}/`)).to.equal(true);
        const answer = await fetch(urlOf(node, at.pathname), {
          redirect: 'manual',
          ...(name === 'jwks_uri' ? {} : { method: 'POST', body: new URLSearchParams() }),
        });
        // A page wants to be asked for by its own name (421); it is there all the same.
        expect(answer.status, name).to.be.oneOf([200, 303, 400, 401, 421]);
      }
      expect(json.grant_types_supported).to.deep.equal([
        'authorization_code',
        'refresh_token',
        'client_credentials',
        'urn:ietf:params:oauth:grant-type:device_code',
        'urn:openid:params:grant-type:ciba',
      ]);
    });

    it('is not sent again to who has it (RFC 9110 §13.1.2)', async () => {
      const first = await get(node, FORMS[0] ?? '');
      const etag = String(first.headers.get('etag'));
      for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
        const again = await get(node, FORMS[0] ?? '', { 'if-none-match': tag });
        expect([again.status, again.text]).to.deep.equal([304, '']);
      }
      expect((await get(node, FORMS[0] ?? '', { 'if-none-match': '"x"' })).status).to.equal(200);
    });

    it('leads to a token, also to a DPoP-bound one', async () => {
      const key = await ProofKey.generate();
      const form = { grant_type: 'client_credentials' };
      for (const dpop of [undefined, await key.proof({ htu: `${issuer}/oauth2/token` })]) {
        const answer = await post(node, `${path}/oauth2/token`, form, {
          ...basic(client),
          ...(dpop === undefined ? {} : { dpop }),
        });
        expect(answer.status, answer.text).to.equal(200);
      }
    });

    it('serves the key set at both of its addresses, the same bytes and tag', async () => {
      const [one, two] = [
        await get(node, `${path}/.well-known/jwks.json`),
        await get(node, `${path}/oauth2/jwks`),
      ];
      expect([one.status, two.status]).to.deep.equal([200, 200]);
      expect(two.text).to.equal(one.text);
      expect(two.headers.get('etag')).to.equal(one.headers.get('etag'));
      expect(one.headers.get('content-type')).to.equal('application/jwk-set+json');
      expect(one.text).to.not.match(/"(d|p|q|dp|dq|qi|k|key_ops)":/);
      const queried = await get(node, `${path}/.well-known/jwks.json?x=1`);
      expect(queried.text).to.equal(one.text);
    });

    if (path !== '') {
      it('is not at the addresses of an issuer without a path', async () => {
        for (const other of ['/oauth2/token', '/oauth2/jwks', '/tenants/two/oauth2/token', '/tenants/onex']) {
          expect((await get(node, other)).status, other).to.equal(404);
        }
        expect((await get(node, '/livez')).status).to.equal(200);
      });
    }
  });
}
