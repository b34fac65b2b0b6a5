import { expect } from 'chai';
import { challengeFor } from '../../src/verifier/challenge.js';
import { VerificationError, type VerificationErrorCode } from '../../src/verifier/errors.js';

/** Every code there is: a new one does not compile until it is listed. */
const STATUS: Record<VerificationErrorCode, number> = {
  credential_missing: 401,
  request_malformed: 400,
  algorithm_refused: 401,
  audience_wrong: 401,
  claim_invalid: 401,
  claim_missing: 401,
  expired: 401,
  header_refused: 401,
  inactive: 401,
  issuer_wrong: 401,
  key_unknown: 401,
  key_unsuitable: 401,
  not_yet_valid: 401,
  revoked: 401,
  sender_constrained: 401,
  signature_invalid: 401,
  token_malformed: 401,
  token_too_long: 401,
  type_wrong: 401,
  scope_insufficient: 403,
  introspection_unavailable: 503,
  keys_unavailable: 503,
  revocation_unavailable: 503,
};

describe('challenge', () => {
  for (const [code, status] of Object.entries(STATUS)) {
    it(`${code} is ${status}, is not stored, and tells nothing of message and cause`, () => {
      const error = new VerificationError(code as VerificationErrorCode, 'hidden-message', {
        cause: new Error('hidden-cause'),
      });
      const challenge = challengeFor(error);
      expect(challenge.status).to.equal(status);
      expect(challenge.headers['cache-control']).to.equal('no-store');
      expect(JSON.stringify(challenge)).to.not.include('hidden');
      expect('www-authenticate' in challenge.headers).to.equal(status !== 503);
      expect('retry-after' in challenge.headers).to.equal(status === 503);
    });
  }

  it('rounds Retry-After up to whole seconds (RFC 9110 §10.2.3)', () => {
    const error = new VerificationError('keys_unavailable', '', { retryAfter: 1.2 });
    expect(challengeFor(error).headers['retry-after']).to.equal('2');
  });
});
