import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { ISSUER } from './nodes.js';

type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

/** A client's key and the proofs that it makes with it (RFC 9449 §4.2). */
export class ProofKey {
  readonly thumbprint: string;
  readonly #privateKey: PrivateKey;
  readonly #publicJwk: JWK;

  private constructor(privateKey: PrivateKey, publicJwk: JWK, thumbprint: string) {
    this.#privateKey = privateKey;
    this.#publicJwk = publicJwk;
    this.thumbprint = thumbprint;
  }

  static async generate(): Promise<ProofKey> {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const jwk = await exportJWK(publicKey);
    return new ProofKey(privateKey, jwk, await calculateJwkThumbprint(jwk));
  }

  async proof(claims: Readonly<Record<string, unknown>> = {}): Promise<string> {
    return new SignJWT({ htm: 'POST', htu: `${ISSUER}/oauth2/token`, jti: randomUUID(), ...claims })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: this.#publicJwk })
      .setIssuedAt()
      .sign(this.#privateKey);
  }
}
