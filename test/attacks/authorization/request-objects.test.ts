import { expect } from 'chai';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import {
  ask,
  challengeOf,
  claimsOf,
  type Parameters,
  type Person,
  type RelyingParty,
  redirectOf,
  Scene,
  walk,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { type Answer, ISSUER, RESOURCE } from '../../support/nodes.js';

type Algorithm = 'ES256' | 'RS256';

interface Signer {
  readonly jwks: { readonly keys: readonly Readonly<Record<string, unknown>>[] };
  sign(claims: JWTPayload, header?: Readonly<Record<string, unknown>>): Promise<string>;
}

async function signer(alg: Algorithm): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair(alg);
  const jwk = { ...(await exportJWK(publicKey)), alg, use: 'sig', kid: `${alg}-1` };
  return {
    jwks: { keys: [jwk] },
    sign: (claims, header = {}) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg, kid: jwk.kid, typ: 'oauth-authz-req+jwt', ...header })
        .setIssuedAt()
        .setExpirationTime('1m')
        .sign(privateKey),
  };
}

const unsigned = (claims: object): string =>
  `${[{ alg: 'none', typ: 'oauth-authz-req+jwt' }, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`;

describe('a request object (RFC 9101)', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let es256: Signer;
    let rs256: Signer;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person();
      [es256, rs256] = [await signer('ES256'), await signer('RS256')];
      shop = await scene.relyingParty({ jwks: es256.jwks, requestObjectSigningAlg: 'ES256' });
    });

    after(() => scene.close());

    const claimsFor = (
      party: RelyingParty,
      parameters: Parameters = {},
    ): { readonly claims: JWTPayload; readonly verifier: string } => {
      const { parameters: claims, verifier } = party.begin(parameters);
      return { claims: { iss: party.client.clientId, aud: ISSUER, ...claims }, verifier };
    };

    const send = (party: RelyingParty, request: string, outside: Parameters = {}): Promise<Answer> => {
      const { clientId: client_id } = party.client;
      const all = new URLSearchParams({ client_id, request });
      for (const [name, value] of Object.entries(outside)) if (value !== undefined) all.set(name, value);
      return ask(scene.node, `/oauth2/authorize?${all}`);
    };

    /** Neither a page nor a way on: an error here, or to the client. */
    function expectRefusal(answer: Answer, of: string): void {
      const location = answer.headers.get('location') ?? '';
      expect(location, of).to.not.include('/interaction/');
      if (location === '') expect(answer.status, of).to.equal(400);
      else expect(redirectOf(answer).parameters.error, of).to.be.a('string');
    }

    it('signed with the client’s registered key begins a flow that ends with tokens (ES256 and RS256)', async () => {
      const other = await scene.relyingParty({ jwks: rs256.jwks, requestObjectSigningAlg: 'RS256' });
      for (const [party, key] of [
        [shop, es256],
        [other, rs256],
      ] as const) {
        const { claims, verifier } = claimsFor(party);
        const browser = scene.browser();
        const query = new URLSearchParams({
          client_id: party.client.clientId,
          request: await key.sign(claims),
        });
        await browser.get(`/oauth2/authorize?${query}`);
        const { departure } = await walk(browser, person);
        expect(departure?.parameters.state).to.equal(claims.state);
        const request = { ...party.begin(), verifier };
        const answer = await party.redeem({ request, code: String(departure?.parameters.code) });
        expect(answer.status, answer.text).to.equal(200);
      }
    });

    it('that is unsigned, signed by somebody else or with another algorithm is refused (requirement 22)', async () => {
      const { claims } = claimsFor(shop);
      const foreign = await signer('ES256');
      const registered = await es256.sign(claims);
      const [header, , signature] = registered.split('.');
      const changed = Buffer.from(JSON.stringify({ ...claims, scope: 'openid orders.write' })).toString(
        'base64url',
      );
      const hs256 = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256' })
        .sign(Buffer.from(JSON.stringify(es256.jwks.keys[0])));
      const objects = {
        none: unsigned(claims),
        'None in capitals': unsigned(claims).replace('eyJhbGciOiJub25lIi', 'eyJhbGciOiJOb25lIi'),
        'foreign key': await foreign.sign(claims),
        'foreign key in the header': await foreign.sign(claims, { jwk: foreign.jwks.keys[0] as never }),
        'another algorithm': await rs256.sign(claims),
        'HS256 with the public key': hs256,
        'changed claims': `${header}.${changed}.${signature}`,
        'no signature': `${header}.${changed}.`,
        'two parts': `${header}.${changed}`,
        garbage: 'x.y.z',
        empty: '""',
      };
      for (const [of, request] of Object.entries(objects)) expectRefusal(await send(shop, request), of);
      // A client that has registered no algorithm is no way round a signature either.
      const plain = await scene.relyingParty();
      expectRefusal(
        await send(plain, unsigned(claimsFor(plain).claims)),
        'none of a client without an algorithm',
      );
    });

    it('is for us, of this client, and not too old (RFC 9101 §6.3)', async () => {
      const other = await scene.relyingParty({ jwks: es256.jwks, requestObjectSigningAlg: 'ES256' });
      const { claims } = claimsFor(shop);
      const past = Math.floor(Date.now() / 1000) - 120;
      const cases: Readonly<Record<string, JWTPayload>> = {
        'another audience': { ...claims, aud: 'https://other.example.test' },
        'another issuer': { ...claims, iss: other.client.clientId },
        'another client inside': { ...claims, client_id: other.client.clientId },
        'a request inside': { ...claims, request: 'x.y.z' },
        'a request_uri inside': { ...claims, request_uri: 'https://rp.example.test/r' },
      };
      for (const [of, object] of Object.entries(cases))
        expectRefusal(await send(shop, await es256.sign(object)), of);
      const { privateKey, publicKey } = await generateKeyPair('ES256');
      const late = await scene.relyingParty({
        jwks: { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256', use: 'sig', kid: 'k' }] },
        requestObjectSigningAlg: 'ES256',
      });
      const expired = await new SignJWT({ ...claimsFor(late).claims, exp: past, iat: past - 60 })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .sign(privateKey);
      expectRefusal(await send(late, expired), 'expired');
    });

    it('is alone what counts: parameters beside it are ignored or refused (requirement 24)', async () => {
      const { claims, verifier } = claimsFor(shop, { nonce: 'inside', state: 'inside' });
      const request = await es256.sign(claims);
      const outside = {
        state: 'outside',
        nonce: 'outside',
        scope: 'openid orders.write',
        redirect_uri: 'https://evil.test/',
        code_challenge: challengeOf('x'.repeat(43)),
        resource: RESOURCE,
        response_mode: 'form_post',
        prompt: 'none',
        max_age: '0',
        login_hint: 'evil@example.org',
      };
      const answer = await send(shop, request, outside);
      const browser = scene.browser();
      const query = new URLSearchParams({ client_id: shop.client.clientId, request, ...outside });
      await browser.get(`/oauth2/authorize?${query}`);
      expect(redirectOf(answer).target).to.not.include('evil.test');
      const { departure } = await walk(browser, person);
      expect(departure?.method).to.equal('GET');
      expect(departure?.uri).to.equal(shop.redirectUri);
      expect(departure?.parameters.state).to.equal('inside');
      const code = String(departure?.parameters.code);
      // By the challenge inside, too.
      const { json } = await shop.redeem({ request: { ...shop.begin(), verifier }, code });
      expect(claimsOf(json.id_token).nonce).to.equal('inside');
      expect(String(json.scope).split(' ')).to.have.members(['openid', 'orders.read']);
      // What is missing inside is missing.
      const { state: _state, ...stateless } = claims;
      const other = scene.browser();
      await other.get(
        `/oauth2/authorize?${new URLSearchParams({ client_id: shop.client.clientId, request: await es256.sign(stateless), state: 'outside' })}`,
      );
      expect((await walk(other, person)).departure?.parameters.state).to.equal(undefined);
    });

    it('is never fetched: request_uri is for what was pushed here (requirement 22)', async () => {
      const uris = [
        'https://rp.example.test/request.jwt',
        'http://127.0.0.1:9/request.jwt',
        'http://169.254.169.254/latest/meta-data/',
        'file:///etc/passwd',
        'data:application/jwt,x.y.z',
        'urn:ietf:params:oauth:request_uri:',
        'urn:ietf:params:oauth:request_uri:unknown',
        'URN:IETF:PARAMS:OAUTH:REQUEST_URI:unknown',
      ];
      for (const request_uri of uris) {
        const begun = Date.now();
        expectRefusal(await ask(scene.node, shop.begin({ request_uri }).path), request_uri);
        expect(Date.now() - begun, request_uri).to.be.below(2000);
      }
      const { json } = await ask(scene.node, '/.well-known/openid-configuration');
      expect(json.request_uri_parameter_supported).to.equal(false);
    });

    it('can be pushed, and must be signed there, too (requirement 24)', async () => {
      const { claims, verifier } = claimsFor(shop);
      const pushed = await shop.post('/oauth2/par', { request: await es256.sign(claims) });
      expect(pushed.status, pushed.text).to.equal(201);
      const query = new URLSearchParams({
        client_id: shop.client.clientId,
        request_uri: String(pushed.json.request_uri),
        state: 'outside',
        redirect_uri: 'https://evil.test/',
      });
      const browser = scene.browser();
      await browser.get(`/oauth2/authorize?${query}`);
      const { departure } = await walk(browser, person);
      expect(departure?.parameters.state).to.equal(claims.state);
      const request = { ...shop.begin(), verifier };
      const redeemed = await shop.redeem({ request, code: String(departure?.parameters.code) });
      expect(redeemed.status).to.equal(200);
      for (const request of [unsigned(claims), await (await signer('ES256')).sign(claims)]) {
        expect((await shop.post('/oauth2/par', { request })).status).to.equal(400);
      }
    });
  });
});
