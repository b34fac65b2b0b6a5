import type { ExternalAlgorithm } from '../config/signing-places.js';

/** What the program talks about with the process that holds the PKCS#11 module. Plain values only. */

export interface OpenToken {
  readonly modulePath: string;
  readonly tokenLabel: string;
  readonly pin: string;
}

/** An object of the token, named by its CKA_ID (hexadecimal) and its CKA_LABEL. */
export interface TokenObject {
  readonly id: string;
  readonly label: string;
}

export interface PublicParameters {
  readonly kty: 'EC' | 'OKP' | 'RSA';
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
  readonly n?: string;
  readonly e?: string;
}

export type Pkcs11Request =
  | { readonly ask: 'open'; readonly token: OpenToken }
  | { readonly ask: 'ping' }
  | { readonly ask: 'generate-pair'; readonly alg: ExternalAlgorithm; readonly object: TokenObject }
  | { readonly ask: 'generate-aes'; readonly object: TokenObject }
  | {
      readonly ask: 'sign';
      readonly id: string;
      readonly alg: ExternalAlgorithm;
      readonly input: Uint8Array;
    }
  | {
      readonly ask: 'encrypt' | 'decrypt';
      readonly label: string;
      readonly input: Uint8Array;
      readonly additional: Uint8Array;
    }
  | { readonly ask: 'list'; readonly labelPrefix: string; readonly kind: 'private' | 'aes' }
  | { readonly ask: 'destroy'; readonly id: string };

export type Pkcs11Answer =
  | { readonly kind: 'done' }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'public'; readonly parameters: PublicParameters }
  | { readonly kind: 'objects'; readonly objects: readonly TokenObject[] };

/**
 * unavailable: the same request may succeed later · misconfigured: somebody has to change a setting or the token ·
 * not_found: the token holds no such key · refused: what was given does not open.
 */
export type Pkcs11Fault = 'unavailable' | 'misconfigured' | 'not_found' | 'refused';

export interface NumberedRequest {
  readonly number: number;
  readonly request: Pkcs11Request;
}

export type NumberedAnswer =
  | { readonly number: number; readonly answer: Pkcs11Answer }
  | { readonly number: number; readonly fault: Pkcs11Fault; readonly detail: string };
