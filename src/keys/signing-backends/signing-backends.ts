import { randomBytes } from 'node:crypto';
import type { JWK } from 'jose';
import {
  type ExternalAlgorithm,
  type ExternalPlace,
  isExternalAlgorithm,
  type SigningPlace,
} from '../../config/signing-places.js';
import { AppError, isAppError } from '../../errors.js';
import type { SigningAlgorithm } from '../../protocol.js';
import type { SigningKey } from '../signing-key.js';
import type { SigningBackend } from './signing-backend.js';
import { isSignatureOf } from './verify-signature.js';

/** Milliseconds in which a backend that did not answer is not asked again: requests are refused, not queued up. */
const ASK_AGAIN_AFTER = 1000;
/** Signatures under way at one backend; what comes on top is told to come again. */
const MOST_AT_ONCE = 256;

export interface SigningBackendsOptions {
  readonly placeOf: (alg: SigningAlgorithm) => SigningPlace;
  /** Called with the first use. Throws AppError when the settings for it are missing. */
  readonly open: Readonly<Record<ExternalPlace, () => SigningBackend>>;
  /** Milliseconds, of a clock that is never set. */
  readonly monotonic: () => number;
}

export interface BackendProblem {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly place: ExternalPlace;
  /** For operators. */
  readonly problem: string;
  /** Seconds. */
  readonly failingFor: number;
}

/** Signs for one key; throws AppError `backend_unavailable` and nothing else. */
export type SignElsewhere = (input: Uint8Array) => Promise<Buffer>;

/** Where the next key of each algorithm is made, and the way to those that are not in the database. */
export class SigningBackends {
  readonly #options: SigningBackendsOptions;
  readonly #opened = new Map<ExternalPlace, SigningBackend>();
  readonly #underWay = new Map<ExternalPlace, number>();
  readonly #away = new Map<ExternalPlace, { readonly error: AppError; readonly at: number }>();
  /** Kids of which a signature has been verified here. */
  readonly #proven = new Set<string>();
  readonly #failing = new Map<string, Omit<BackendProblem, 'failingFor'> & { readonly since: number }>();

  constructor(options: SigningBackendsOptions) {
    this.#options = options;
  }

  placeOf(alg: SigningAlgorithm): SigningPlace {
    return this.#options.placeOf(alg);
  }

  /** A new pair that has signed, with the public half only. @throws AppError `backend_…` */
  async generate(
    place: ExternalPlace,
    reference: string,
    alg: ExternalAlgorithm,
    label: string,
  ): Promise<JWK> {
    const backend = this.#backend(place);
    const publicJwk = await backend.generate(reference, alg, label);
    // What cannot sign must not be announced: it would be noticed when it is needed.
    const input = randomBytes(32);
    const signature = await backend.sign(reference, alg, input);
    if (!isSignatureOf(publicJwk, alg, input, signature)) throw wrongSignature(place, alg);
    return publicJwk;
  }

  /** @throws AppError `backend_…` */
  async destroy(place: ExternalPlace, reference: string): Promise<void> {
    await this.#backend(place).destroy(reference);
  }

  signerOf(key: SigningKey): SignElsewhere {
    const { kid, alg, publicJwk, external } = key;
    if (external === undefined || !isExternalAlgorithm(alg)) throw new TypeError(`${kid} signs here`);
    const { place, reference } = external;
    return async input => {
      try {
        const signature = await this.#sign(place, reference, alg, input);
        // Once on each node, before the first token of a key leaves it: a signature nobody can verify is an outage.
        if (!this.#proven.has(kid) && !isSignatureOf(publicJwk, alg, input, signature)) {
          throw wrongSignature(place, alg);
        }
        this.#proven.add(kid);
        this.#failing.delete(kid);
        return signature;
      } catch (error) {
        const problem = error instanceof Error ? error.message : 'it failed';
        const since = this.#failing.get(kid)?.since ?? this.#options.monotonic();
        this.#failing.set(kid, { kid, alg, place, problem, since });
        throw new AppError(
          'backend_unavailable',
          'Signing is not possible at the moment. Try again shortly.',
          {
            detail: `${alg} key ${kid} in ${place}: ${problem}`,
            cause: error,
          },
        );
      }
    };
  }

  /** Signs something meaningless with each, and forgets what is said about others. */
  async probe(keys: readonly SigningKey[]): Promise<readonly BackendProblem[]> {
    const external = keys.filter(key => key.external !== undefined);
    const kids = new Set(external.map(({ kid }) => kid));
    for (const kid of this.#failing.keys()) if (!kids.has(kid)) this.#failing.delete(kid);
    for (const kid of this.#proven) if (!kids.has(kid)) this.#proven.delete(kid);
    await Promise.allSettled(external.map(key => this.signerOf(key)(randomBytes(32))));
    return this.problems;
  }

  /** Keys whose last attempt to sign failed. */
  get problems(): readonly BackendProblem[] {
    const now = this.#options.monotonic();
    return [...this.#failing.values()].map(({ since, ...rest }) => ({
      ...rest,
      failingFor: (now - since) / 1000,
    }));
  }

  close(): void {
    for (const backend of this.#opened.values()) backend.close();
    this.#opened.clear();
  }

  async #sign(
    place: ExternalPlace,
    reference: string,
    alg: ExternalAlgorithm,
    input: Uint8Array,
  ): Promise<Buffer> {
    const { monotonic } = this.#options;
    const away = this.#away.get(place);
    if (away !== undefined && monotonic() - away.at < ASK_AGAIN_AFTER) throw away.error;
    const underWay = this.#underWay.get(place) ?? 0;
    if (underWay >= MOST_AT_ONCE) {
      throw new AppError('backend_unavailable', `Too many signatures wait for ${place}.`);
    }
    this.#underWay.set(place, underWay + 1);
    try {
      const signature = await this.#backend(place).sign(reference, alg, input);
      this.#away.delete(place);
      return signature;
    } catch (error) {
      if (isAppError(error, 'backend_unavailable')) this.#away.set(place, { error, at: monotonic() });
      throw error;
    } finally {
      this.#underWay.set(place, (this.#underWay.get(place) ?? 1) - 1);
    }
  }

  #backend(place: ExternalPlace): SigningBackend {
    const opened = this.#opened.get(place) ?? this.#options.open[place]();
    this.#opened.set(place, opened);
    return opened;
  }
}

/** What keeps a key from being made or used elsewhere, as opposed to every other failure. */
export function isBackendFailure(error: unknown): error is AppError {
  return isAppError(error, 'backend_unavailable') || isAppError(error, 'backend_misconfigured');
}

function wrongSignature(place: ExternalPlace, alg: ExternalAlgorithm): AppError {
  return new AppError(
    'backend_misconfigured',
    `A ${alg} signature made in ${place} does not verify with the key's own public half.`,
  );
}
