import type { SigningAlgorithm } from '../protocol.js';

/** local: sealed in the database, opened in memory · the others keep the private half and sign themselves. */
export const SIGNING_PLACES = ['local', 'pkcs11', 'transit'] as const;
export type SigningPlace = (typeof SIGNING_PLACES)[number];
export type ExternalPlace = Exclude<SigningPlace, 'local'>;

/** What tokens and Transit know. */
export const EXTERNAL_ALGORITHMS = [
  'ES256',
  'ES384',
  'RS256',
  'PS256',
  'EdDSA',
] as const satisfies readonly SigningAlgorithm[];
export type ExternalAlgorithm = (typeof EXTERNAL_ALGORITHMS)[number];

export function isExternalAlgorithm(alg: SigningAlgorithm): alg is ExternalAlgorithm {
  return (EXTERNAL_ALGORITHMS as readonly SigningAlgorithm[]).includes(alg);
}

/** @param signing entries `ALG:PLACE` of the setting `keys.signing` */
export function signingPlaceOf(signing: readonly string[], alg: SigningAlgorithm): SigningPlace {
  const entry = signing.find(each => each.startsWith(`${alg}:`));
  const place = entry?.slice(alg.length + 1);
  return SIGNING_PLACES.find(known => known === place) ?? 'local';
}
