import { expect } from 'chai';
import { VerificationError, type VerificationErrorCode } from '../../src/verifier/errors.js';

/** The code with which the promise is refused. Any other kind of error, and acceptance, fail the test. */
export async function refusal(verification: Promise<unknown>): Promise<VerificationError> {
  const error = await verification.then(
    () => 'accepted',
    (reason: unknown) => reason,
  );
  expect(error, String(error)).to.be.instanceOf(VerificationError);
  return error as VerificationError;
}

export async function expectRefusal(
  verification: Promise<unknown>,
  code: VerificationErrorCode,
): Promise<void> {
  expect((await refusal(verification)).code).to.equal(code);
}
