import type { ServedRing } from '../keys/key-ring.js';
import { canReplaceKeys, replaceKeys, setSigningAlgorithms } from './internals.js';
import { type BuiltProvider, buildProvider, type ProviderParts } from './provider.js';
import { coreJwks, signingAlgorithms } from './signing-keys.js';

/**
 * The Provider that answers now. A new ring is put into the live one, which costs nothing to requests under way
 * and keeps its built clients; if the library's inside has another shape than the one we know, a whole new
 * Provider takes over and the old one ends with its last request.
 */
export class CurrentProvider {
  readonly #parts: ProviderParts;
  readonly #mode: 'replace' | 'swap';
  #built: BuiltProvider;
  #algorithms: string;

  constructor(parts: ProviderParts, served: ServedRing, mode: 'replace' | 'swap' = 'replace') {
    this.#parts = parts;
    this.#built = this.#build(served);
    this.#algorithms = signingAlgorithms(served).join(' ');
    this.#mode = canReplaceKeys(this.#built.provider) ? mode : 'swap';
  }

  get built(): BuiltProvider {
    return this.#built;
  }

  /** Everything that can throw happens before the first assignment. */
  takeRing(served: ServedRing): void {
    const algorithms = signingAlgorithms(served).join(' ');
    // Built clients have been checked against the algorithms of their time.
    if (this.#mode === 'swap' || algorithms !== this.#algorithms) {
      this.#built = this.#build(served);
      this.#algorithms = algorithms;
      return;
    }
    const scratch = buildProvider(this.#parts, coreJwks(served));
    replaceKeys(this.#built.provider, scratch.provider, signingAlgorithms(served));
  }

  #build(served: ServedRing): BuiltProvider {
    const built = buildProvider(this.#parts, coreJwks(served));
    setSigningAlgorithms(built.provider, signingAlgorithms(served));
    return built;
  }
}
