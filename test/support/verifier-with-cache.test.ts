import { expect } from 'chai';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { StrictVerifier } from './verifier-with-cache.js';

const ISSUER = 'http://localhost:4400';
const AUDIENCE = 'https://api.example.com';

interface Pair {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

async function pair(kid: string): Promise<Pair> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } };
}

function sign({ privateKey, jwk }: Pair, at: number): Promise<string> {
  return new SignJWT({ client_id: 'cl_1' })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: String(jwk.kid) })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setJti('j')
    .setIssuedAt(at / 1000)
    .setExpirationTime(at / 1000 + 600)
    .sign(privateKey);
}

describe('a verifier that caches for five minutes and never looks again for an unknown kid', () => {
  it('refuses a key published after its last fetch until the cache is five minutes old', async () => {
    const [first, second] = [await pair('first'), await pair('second')];
    let now = 1_800_000_000_000;
    const keys = [first.jwk];
    const verifier = new StrictVerifier({
      jwksUri: `${ISSUER}/.well-known/jwks.json`,
      issuer: ISSUER,
      audience: AUDIENCE,
      now: () => now,
      fetchKeySet: async () => ({ keys: [...keys] }),
    });
    const refusal = (token: string): Promise<unknown> =>
      verifier.verify(token).then(
        () => 'accepted',
        error => error.code,
      );

    await Promise.all([verifier.verify(await sign(first, now)), verifier.verify(await sign(first, now))]);
    expect(verifier.fetches).to.equal(1);

    keys.push(second.jwk);
    expect(await refusal(await sign(second, now))).to.equal('ERR_JWKS_NO_MATCHING_KEY');
    now += 299_999;
    expect(await refusal(await sign(second, now))).to.equal('ERR_JWKS_NO_MATCHING_KEY');
    expect(verifier.fetches).to.equal(1);
    now += 1;
    expect((await verifier.verify(await sign(second, now))).client_id).to.equal('cl_1');
    expect(verifier.fetches).to.equal(2);
    expect(await refusal(await sign(second, now - 601_000))).to.equal('ERR_JWT_EXPIRED');
  });
});
