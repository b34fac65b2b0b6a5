/**
 * The one door into oidc-provider's inside; its version is pinned exactly, and the shape of what is touched is
 * asserted before anything is changed, so that an upgrade fails at start and not at a rotation.
 */
import { createRequire } from 'node:module';
import type { Provider } from 'oidc-provider';

interface KeyStoreLike {
  selectForSign(options: { alg: string; use: 'sig' }): unknown[];
}

interface Internals {
  keystore: KeyStoreLike;
  jwks: { keys: unknown[] };
  configuration: Record<AlgorithmList, string[]>;
}

/** What discovery offers, and what the core accepts for a client, comes from these four lists. */
const ALGORITHM_LISTS = [
  'idTokenSigningAlgValues',
  'userinfoSigningAlgValues',
  'introspectionSigningAlgValues',
  'authorizationSigningAlgValues',
] as const;
type AlgorithmList = (typeof ALGORITHM_LISTS)[number];

const require = createRequire(import.meta.url);
type WeakCache = { get(provider: Provider): unknown };

function isInternals(value: unknown): value is Internals {
  if (typeof value !== 'object' || value === null) return false;
  const { keystore, jwks, configuration } = value as Partial<Internals>;
  return (
    keystore?.constructor.name === 'KeyStore' &&
    typeof keystore.selectForSign === 'function' &&
    Array.isArray(jwks?.keys) &&
    ALGORITHM_LISTS.every(list => Array.isArray(configuration?.[list]))
  );
}

function internalsOf(provider: Provider): Internals | undefined {
  const { get } = require('oidc-provider/lib/helpers/weak_cache.js') as WeakCache;
  const internals = get(provider);
  return isInternals(internals) ? internals : undefined;
}

/** Whether the key ring of a live Provider can be replaced; if not, the whole Provider has to be. */
export function canReplaceKeys(provider: Provider): boolean {
  return internalsOf(provider) !== undefined;
}

/**
 * Gives a live Provider the keys of a scratch one that the library itself has built and validated. Nothing is
 * awaited in between, so every request sees either the old keys or the new ones.
 *
 * @param signing algorithms that have an active key. The library also lists those that only have keys to verify
 *   with, and would then promise ID tokens that it cannot sign.
 */
export function replaceKeys(live: Provider, scratch: Provider, signing: readonly string[]): void {
  const to = internalsOf(live);
  const from = internalsOf(scratch);
  if (to === undefined || from === undefined)
    throw new TypeError('oidc-provider has another shape than expected');
  to.keystore = from.keystore;
  to.jwks = from.jwks;
  setSigningAlgorithms(live, signing);
}

export function setSigningAlgorithms(provider: Provider, signing: readonly string[]): void {
  const internals = internalsOf(provider);
  if (internals === undefined) return;
  for (const list of ALGORITHM_LISTS) internals.configuration[list] = [...signing];
}
