import { expect } from 'chai';
import { isPassing, isWrongPin, refusalOf } from '../../src/crypto/pkcs11-refusal.js';

/** As the binding throws: a CKR_… number beside the text. */
function thrown(code: number): Error {
  return Object.assign(new Error('CKR'), { code });
}

describe('a refusal by a PKCS#11 module', () => {
  it('by a number of the vendor’s own is taken for a lost device, so that the session is opened again', () => {
    expect(isPassing(thrown(0x8000_0383))).to.equal(true);
    expect(refusalOf(thrown(0x8000_0383)).fault).to.equal('unavailable');
  });

  it('by a wrong PIN, a bad template or an error of our own is final', () => {
    for (const error of [thrown(0xa0), thrown(0xd0), new TypeError('ours')]) {
      expect(refusalOf(error).fault).to.equal('misconfigured');
    }
    expect([isWrongPin(thrown(0xa0)), isWrongPin(thrown(0x8000_00a0))]).to.deep.equal([true, false]);
  });
});
