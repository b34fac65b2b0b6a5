import type { JWK } from 'jose';
import type { ExternalPlace } from '../config/signing-places.js';
import type { SigningAlgorithm } from '../protocol.js';

/**
 * announced: published, does not sign yet · active: signs · retained: published, signs no more · retired: only its
 * public half is kept, privately · revoked: trusted by nobody from now on.
 */
export const KEY_STATES = ['announced', 'active', 'retained', 'retired', 'revoked'] as const;
export type KeyState = (typeof KEY_STATES)[number];

/** Every instant is the database's clock: nodes disagree about time, the database does not disagree with itself. */
export interface SigningKey {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly state: KeyState;
  /** The ring version from which this key is published; a node that serves at least it serves this key. */
  readonly announcedVersion: number;
  readonly createdAt: number;
  readonly announcedAt: number;
  readonly activatedAt?: number | undefined;
  readonly retainedAt?: number | undefined;
  readonly retiredAt?: number | undefined;
  readonly revokedAt?: number | undefined;
  readonly publicJwk: JWK;
  /** Present exactly while the key is announced or active; destroyed when it leaves active for good. */
  readonly sealedPrivate?: string | undefined;
  /** Where the private half is, or was, if it never was here; such a key has nothing sealed. */
  readonly external?: ExternalPrivateKey | undefined;
}

/** Names a private half that stays elsewhere, and tells nothing about it. */
export interface ExternalPrivateKey {
  readonly place: ExternalPlace;
  readonly reference: string;
}

/** A generated pair whose private half is sealed, or elsewhere: what a transition that announces needs. */
export interface NewSigningKey {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly publicJwk: JWK;
  readonly sealedPrivate?: string | undefined;
  readonly external?: ExternalPrivateKey | undefined;
}

/** Every key there ever was, in every state: an empty ring means that no key was ever made. */
export interface Ring {
  /** 0 before the first key; each transition adds 1. Writers compare and swap on it. */
  readonly version: number;
  readonly keys: readonly SigningKey[];
}
