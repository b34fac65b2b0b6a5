import { performance } from 'node:perf_hooks';
import { expect } from 'chai';
import { readProfileForm } from '../../src/http/account/profile-form.js';
import { composed } from '../../src/users/composed-text.js';
import { renamePasskey } from '../../src/users/passkeys.js';
import { normalizedPassword } from '../../src/users/password-policy.js';
import type { PeopleContext } from '../../src/users/people-context.js';
import { readProfile } from '../../src/users/profile-input.js';

/** Two classes of marks by turns: composing has to order them all. */
const MARKS = `a${'\u0301\u0323'.repeat(50_000)}`;

async function timeOf(work: () => unknown): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

describe('composing what people type', () => {
  it('gives one form to what looks the same', () => {
    expect(composed('Jose\u0301', 10)).to.equal('Jos\u00e9');
  });

  const PLACES: Readonly<Record<string, () => unknown>> = {
    password: () => normalizedPassword(MARKS),
    'profile form': () => {
      const { faults } = readProfileForm({}, () => MARKS);
      expect(faults).to.have.length.above(0);
    },
    'imported profile': () => readProfile({ name: MARKS, address: { locality: MARKS } }),
    'name of a passkey': async () => {
      const input = { userId: 'us_1', credentialId: 'x', name: MARKS };
      const refusal = renamePasskey({} as PeopleContext, input, { actor: 'anonymous' });
      expect(await refusal.catch((error: { fields?: unknown[] }) => error.fields)).to.have.length(1);
    },
  };
  for (const [place, work] of Object.entries(PLACES)) {
    it(`of a ${place} takes less than 50 ms for 100 000 combining marks, which would else stop the process`, async () => {
      const times = [await timeOf(work), await timeOf(work), await timeOf(work)];
      expect(Math.min(...times)).to.be.below(50);
    });
  }
});
