import { constants, createHash, createPublicKey, type JsonWebKey, verify } from 'node:crypto';
import { expect } from 'chai';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import type { SigningAlgorithm } from '../../../src/protocol.js';
import type { SignatureAlgorithm } from '../../../src/verifier/key-set.js';
import { createVerifier } from '../../../src/verifier/verify-access-token.js';
import { freshSqlite } from '../../support/databases.js';
import { basic, get, ISSUER, post, type SeededClient, token } from '../../support/nodes.js';
import { type Person, Scene, userinfo, walk } from '../authorization/relying-party.js';

/** Bytes of a signature, and the members of the published key, by the specification of each. */
const FORMS: Readonly<Record<SigningAlgorithm, { readonly signature: number; readonly members: string }>> = {
  ES256: { signature: 64, members: 'crv kty x y' },
  ES384: { signature: 96, members: 'crv kty x y' },
  PS256: { signature: 384, members: 'e kty n' },
  RS256: { signature: 384, members: 'e kty n' },
  EdDSA: { signature: 64, members: 'crv kty x' },
  'ML-DSA-44': { signature: 2420, members: 'kty pub' },
  'ML-DSA-65': { signature: 3309, members: 'kty pub' },
};

/** OpenID Connect Core §3.1.3.6: by the hash of the algorithm; SHA-512 for Ed25519, SHAKE256 for ML-DSA (RFC 9964). */
function halfHash(alg: SigningAlgorithm, value: string): string {
  const hash =
    alg === 'ES384'
      ? createHash('sha384')
      : alg === 'EdDSA'
        ? createHash('sha512')
        : alg.startsWith('ML-')
          ? createHash('shake256', { outputLength: 64 })
          : createHash('sha256');
  const digest = hash.update(value).digest();
  return digest.subarray(0, digest.length / 2).toString('base64url');
}

/** An installation that has these algorithms from its first start on. */
export class AlgorithmScene {
  readonly scene: Scene;
  readonly #person: Person;
  readonly #drop: () => Promise<void>;

  private constructor(scene: Scene, person: Person, drop: () => Promise<void>) {
    this.scene = scene;
    this.#person = person;
    this.#drop = drop;
  }

  static async open(algorithms: readonly SigningAlgorithm[]): Promise<AlgorithmScene> {
    const database = await freshSqlite();
    const env = { CLAVIGER_KEYS_ALGORITHMS: algorithms.join(',') };
    const scene = await Scene.open({ url: database.url, env });
    return new AlgorithmScene(scene, await scene.person(), database.drop);
  }

  async close(): Promise<void> {
    await this.scene.close();
    await this.#drop();
  }

  async jwks(): Promise<JSONWebKeySet> {
    return (await get(this.scene.node, '/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
  }

  /** A JWT access token: other people's verifier, ours, introspection and revocation agree about it. */
  async exerciseAccessToken(alg: SigningAlgorithm): Promise<void> {
    const { cluster, node } = this.scene;
    const audience = `https://api.example.test/${alg}`;
    await cluster.resourceServer({ identifier: audience, alg });
    const client = await cluster.client({ resources: [{ identifier: audience, scopes: ['orders.read'] }] });
    const accessToken = await token(node, client);
    const jwks = await this.jwks();
    const { payload, protectedHeader } = await jwtVerify(accessToken, createLocalJWKSet(jwks), {
      issuer: ISSUER,
      audience,
      algorithms: [alg],
      typ: 'at+jwt',
    });
    expect(payload.client_id).to.equal(client.clientId);
    const algorithms: SignatureAlgorithm[] = [alg];
    const ours = createVerifier({ issuer: ISSUER, audience, jwks: () => jwks, algorithms });
    expect((await ours.verify(accessToken)).jti).to.equal(payload.jti);

    const key = jwks.keys.find(({ kid }) => kid === protectedHeader.kid) as unknown as JsonWebKey;
    expect(Object.keys(key).sort().join(' ')).to.equal(
      ['alg', 'kid', 'use', ...FORMS[alg].members.split(' ')].sort().join(' '),
    );
    expectSignature(alg, key, accessToken);
    await this.#expectInactiveOnceRevoked(client, accessToken);
  }

  async #expectInactiveOnceRevoked(client: SeededClient, accessToken: string): Promise<void> {
    const { node } = this.scene;
    const ask = async () =>
      (await post(node, '/oauth2/introspect', { token: accessToken }, basic(client))).json.active;
    expect(await ask()).to.equal(true);
    await post(node, '/oauth2/revoke', { token: accessToken }, basic(client));
    expect(await ask()).to.equal(false);
  }

  /** What a client can have signed for itself: ID token with at_hash, userinfo, authorization response. */
  async exerciseClient(alg: SigningAlgorithm): Promise<void> {
    const { scene } = this;
    const shop = await scene.relyingParty({
      idTokenSignedResponseAlg: alg,
      userinfoSignedResponseAlg: alg,
      authorizationSignedResponseAlg: alg,
      responseModes: ['query', 'query.jwt'],
    });
    const open = async (jwt: unknown) =>
      jwtVerify(String(jwt), createLocalJWKSet(await this.jwks()), {
        issuer: ISSUER,
        audience: shop.client.clientId,
        algorithms: [alg],
      });
    const browser = scene.browser();
    const { json } = await shop.tokens(browser, this.#person, { scope: 'openid' });
    const { payload } = await open(json.id_token);
    expect(payload.sub).to.equal(this.#person.userId);
    expect(payload.at_hash).to.equal(halfHash(alg, String(json.access_token)));

    const answer = await userinfo(scene.node, json.access_token);
    expect((await open(answer.text)).payload.sub).to.equal(this.#person.userId);

    const request = shop.begin({ response_mode: 'query.jwt' });
    await browser.get(request.path);
    const { departure } = await walk(browser, this.#person);
    const response = await open(departure?.parameters.response);
    expect(response.payload.state).to.equal(request.parameters.state);
  }
}

/** Length and exact form of the signature, by another path than a JOSE library's. */
function expectSignature(alg: SigningAlgorithm, jwk: JsonWebKey, jwt: string): void {
  expect(decodeProtectedHeader(jwt).alg).to.equal(alg);
  const [header, payload, signature = ''] = jwt.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  expect(bytes.length, 'bytes of the signature').to.equal(FORMS[alg].signature);
  if (alg !== 'PS256') return;
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), padding: constants.RSA_PKCS1_PSS_PADDING };
  // RFC 7518 §3.5: a verifier may insist on a salt of 32 bytes.
  const input = Buffer.from(`${header}.${payload}`);
  expect(verify('sha256', input, { ...key, saltLength: 32 }, bytes)).to.equal(true);
}
