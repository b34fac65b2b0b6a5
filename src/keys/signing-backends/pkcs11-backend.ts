import type { JWK } from 'jose';
import type { Pkcs11Token } from '../../crypto/pkcs11.js';
import type { SigningBackend } from './signing-backend.js';

type Token = Pick<Pkcs11Token, 'generateKeyPair' | 'sign' | 'destroyPrivateKey' | 'close'>;

/** The reference is the object's CKA_ID. */
export function pkcs11Backend(token: Token): SigningBackend {
  return {
    generate: async (reference, alg, label): Promise<JWK> => {
      const { publicJwk } = await token.generateKeyPair(alg, label, reference);
      return { ...publicJwk };
    },
    sign: (reference, alg, input) => token.sign(reference, alg, input),
    destroy: reference => token.destroyPrivateKey(reference),
    close: () => token.close(),
  };
}
