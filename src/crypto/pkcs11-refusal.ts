import type { Pkcs11Fault } from './pkcs11-messages.js';

/** CKR_… by which the token says that the same request can succeed later, after the session was opened again. */
const PASSING: ReadonlySet<number> = new Set([
  0x02, 0x05, 0x06, 0x30, 0x31, 0x32, 0x50, 0x54, 0x60, 0x82, 0xb0, 0xb1, 0xb3, 0xe0, 0xe1, 0x101, 0x190,
]);
/** CKR_PIN_INCORRECT, _INVALID, _LEN_RANGE, _EXPIRED, _LOCKED: one more attempt could lock the token for good. */
const WRONG_PIN: ReadonlySet<number> = new Set([0xa0, 0xa1, 0xa2, 0xa3, 0xa4]);
export const CKR_USER_ALREADY_LOGGED_IN = 0x100;
export const CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191;

/** CKR_VENDOR_DEFINED: what lies above is the vendor's own, mostly a connection or a device that was lost. */
const CKR_VENDOR_DEFINED = 0x8000_0000;

export class Pkcs11Refusal extends Error {
  readonly fault: Pkcs11Fault;

  constructor(fault: Pkcs11Fault, detail: string) {
    super(detail);
    this.fault = fault;
  }
}

/** True when the same request may succeed once the session has been opened again. */
export function isPassing(error: unknown): boolean {
  const code = codeOf(error);
  return PASSING.has(code) || code >= CKR_VENDOR_DEFINED;
}

export function isWrongPin(error: unknown): boolean {
  return WRONG_PIN.has(codeOf(error));
}

export function refusalOf(error: unknown): Pkcs11Refusal {
  const fault = isPassing(error) ? 'unavailable' : 'misconfigured';
  return new Pkcs11Refusal(fault, nameOf(error));
}

export function codeOf(error: unknown): number {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'number' ? code : -1;
}

export function nameOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 200) : 'unknown error';
}
