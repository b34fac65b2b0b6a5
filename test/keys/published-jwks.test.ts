import { expect } from 'chai';
import { createLocalJWKSet, importJWK, type JSONWebKeySet, jwtVerify, SignJWT } from 'jose';
import { type GeneratedSigningKey, generateSigningKey } from '../../src/keys/generate-signing-key.js';
import { applyTransition } from '../../src/keys/key-state.js';
import { publishJwks } from '../../src/keys/published-jwks.js';
import type { NewSigningKey, Ring, SigningKey } from '../../src/keys/signing-key.js';
import type { SigningAlgorithm } from '../../src/protocol.js';
import { EMPTY, T0 } from './rings.js';

const PRIVATE_PARAMETERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth'];
const ALGORITHMS: readonly SigningAlgorithm[] = ['ES256', 'RS256'];

function sealed(pair: GeneratedSigningKey): NewSigningKey {
  return { kid: pair.kid, alg: pair.alg, publicJwk: pair.publicJwk, sealedPrivate: 'sealed' };
}

function parsed(ring: Ring): JSONWebKeySet & { keys: { kid: string }[] } {
  return JSON.parse(publishJwks(ring).body.toString());
}

describe('published JWKS', () => {
  let pairs: GeneratedSigningKey[];
  let ring: Ring;

  before(async () => {
    pairs = await Promise.all(ALGORITHMS.flatMap(alg => [generateSigningKey(alg), generateSigningKey(alg)]));
    ring = applyTransition(EMPTY, { kind: 'create', algorithms: ALGORITHMS }, T0, pairs.map(sealed));
  });

  it('shows unique kids, use and alg of every key, and public parameters only (requirement 60)', () => {
    // A careless store that leaves the private half in the public JWK must not be what gives it away.
    const careless = ring.keys.map((key): SigningKey => {
      return { ...key, publicJwk: pairs.find(pair => pair.kid === key.kid)?.privateJwk ?? {} };
    });
    const { keys } = parsed({ ...ring, keys: careless });
    expect(new Set(keys.map(key => key.kid)).size).to.equal(4);
    for (const key of keys) {
      expect(key).to.not.have.any.keys(...PRIVATE_PARAMETERS);
      expect(key).to.have.all.keys(
        key.kty === 'EC'
          ? ['kty', 'crv', 'x', 'y', 'kid', 'alg', 'use']
          : ['kty', 'n', 'e', 'kid', 'alg', 'use'],
      );
      expect(key.use).to.equal('sig');
    }
    // Control: the parameters were there to be shown.
    expect(careless[0]?.publicJwk).to.have.property('d');
  });

  it('has P-256 keys and RSA keys of 3072 bits (requirement 60)', () => {
    for (const key of parsed(ring).keys) {
      if (key.alg === 'ES256') expect(key.crv).to.equal('P-256');
      else expect(Buffer.from(String(key.n), 'base64url')).to.have.length(384);
    }
  });

  it('verifies what the generated private halves sign, in a third-party library', async () => {
    const keySet = createLocalJWKSet(parsed(ring));
    for (const { alg, kid, privateJwk } of pairs) {
      const key = await importJWK(privateJwk, alg);
      const token = await new SignJWT({ sub: 's' }).setProtectedHeader({ alg, kid }).sign(key);
      const { payload } = await jwtVerify(token, keySet, { algorithms: [alg] });
      expect(payload.sub).to.equal('s');
    }
  });

  it('shows announced, active and retained keys; neither retired nor revoked ones', () => {
    const [first, ...rest] = ring.keys;
    if (!first) throw new Error('empty ring');
    const shown = (state: SigningKey['state']) =>
      parsed({ version: 2, keys: [{ ...first, state }, ...rest] }).keys.some(key => key.kid === first.kid);
    const states = ['announced', 'active', 'retained', 'retired', 'revoked'] as const;
    expect(states.map(shown)).to.deep.equal([true, true, true, false, false]);
  });

  it('gives the same bytes and strong ETag whatever order the rows come in, and another when a key changes', () => {
    const { body, etag, version } = publishJwks(ring);
    const reversed = publishJwks({ ...ring, keys: [...ring.keys].reverse() });
    expect(reversed.body.equals(body)).to.equal(true);
    expect(reversed.etag).to.equal(etag);
    expect(etag).to.match(/^"[A-Za-z0-9_-]{27}"$/);
    expect(version).to.equal(1);
    expect(publishJwks({ ...ring, keys: ring.keys.slice(1) }).etag).to.not.equal(etag);
  });

  it('never publishes an empty set, nor a key without a public part', () => {
    expect(() => publishJwks(EMPTY)).to.throw(TypeError, /empty/);
    const blank = ring.keys.map(key => ({ ...key, publicJwk: {} }));
    expect(() => publishJwks({ ...ring, keys: blank })).to.throw(TypeError, /no public key/);
    const symmetric = ring.keys.map(key => ({ ...key, publicJwk: { kty: 'oct', k: 'c2VjcmV0' } }));
    expect(() => publishJwks({ ...ring, keys: symmetric })).to.throw(TypeError, /no public key/);
  });
});
