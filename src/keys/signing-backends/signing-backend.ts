import type { JWK } from 'jose';
import type { ExternalAlgorithm } from '../../config/signing-places.js';

/**
 * Holds private signing keys that never come here. A key is named by a reference that is chosen, and written down,
 * before the key is made: what a crash leaves behind can be found again.
 */
export interface SigningBackend {
  /** @param label for people who look at the backend with its own tools */
  generate(reference: string, alg: ExternalAlgorithm, label: string): Promise<JWK>;
  /** The signature in the form of a JWS (RFC 7518 §3). */
  sign(reference: string, alg: ExternalAlgorithm, input: Uint8Array): Promise<Buffer>;
  /** For good. One that is not there counts as destroyed. */
  destroy(reference: string): Promise<void>;
  close(): void;
}
