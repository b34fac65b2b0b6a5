import { inflateSync } from 'node:zlib';
import { StatusList } from '@sd-jwt/jwt-status-list';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  emptyBits,
  LIST_SIZE,
  listExpiryOf,
  listUri,
  nextListIn,
  readListId,
  setBit,
  statusListClaim,
  statusPlaceOf,
} from '../../src/status-lists/status-list.js';
import { inflateBounded, isSupportedWidth, statusAt } from '../../src/verifier/status-bits.js';
import { figure } from '../support/scale.js';

const LIMIT = 1024 * 1024;

function marked(indices: readonly number[]): Uint8Array {
  const bits = emptyBits();
  for (const index of indices) setBit(bits, index);
  return bits;
}

describe('a status list', () => {
  it('says of a bit whether it was 0, and sets none beyond its end', () => {
    const bits = emptyBits();
    expect([setBit(bits, 9), setBit(bits, 9), setBit(bits, LIST_SIZE)]).to.deep.equal([true, false, false]);
    expect(bits[1]).to.equal(2);
  });

  it('is read by another implementation as it was meant (draft-ietf-oauth-status-list §4)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat({ max: 4095 }), { minLength: 1, maxLength: 200 }),
        async revoked => {
          // As short as the other one can take it: it makes an array of numbers.
          const { bits, lst } = await statusListClaim(marked(revoked).slice(0, 512));
          const theirs = StatusList.decompressStatusList(lst, bits);
          for (const index of [...revoked, 0, 4095]) {
            expect(theirs.getStatus(index)).to.equal(revoked.includes(index) ? 1 : 0);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  for (const width of [1, 2, 4, 8] as const) {
    it(`of another implementation with ${width} bits an entry is read by the verifier`, async () => {
      const statuses = Array.from({ length: 512 }, (_, index) => (index * 7) % 2 ** width);
      const read = await inflateBounded(new StatusList(statuses, width).compressStatusList(), LIMIT);
      expect(statuses.map((_, index) => statusAt(read, width, index))).to.deep.equal(statuses);
      expect(statusAt(read, width, 513)).to.equal(undefined);
    });
  }

  it('has 1, 2, 4 or 8 bits an entry and nothing else', () => {
    expect([1, 2, 3, 4, 8, 16, '1', undefined].filter(isSupportedWidth)).to.deep.equal([1, 2, 4, 8]);
  });

  it('of a million tokens, of which one in a thousand is revoked, is some kilobytes and milliseconds', async () => {
    const revoked = Array.from({ length: 1000 }, (_, count) => (count * 7_919 * 131) % 1_000_000);
    const startedAt = performance.now();
    const { lst } = await statusListClaim(marked(revoked));
    const took = performance.now() - startedAt;
    const size = Buffer.byteLength(lst, 'base64url');
    figure(`status list, 1 000 000 tokens, 0.1 % revoked: ${size} bytes, ${took.toFixed(1)} ms to pack`);
    expect(inflateSync(Buffer.from(lst, 'base64url'))).to.have.length(LIST_SIZE / 8);
    expect(size).to.be.below(8 * 1024);
    expect(took).to.be.below(500);
  });

  it('that unpacks to more than the limit is refused while it is being unpacked', async () => {
    // 64 MiB of zeros in 64 KiB.
    const { lst } = await statusListClaim(new Uint8Array(64 * 1024 * 1024));
    expect(lst.length).to.be.below(100 * 1024);
    const before = process.memoryUsage().arrayBuffers;
    const error = await inflateBounded(lst, LIMIT).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(TypeError);
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(32 * 1024 * 1024);
  }).timeout(10_000);

  it('that is no ZLIB is refused', async () => {
    for (const packed of ['AAAA', 'eNr', '####', '']) {
      const error = await inflateBounded(packed, LIMIT).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error, packed).to.be.instanceOf(Error);
    }
  });

  it('holds tokens of one hour and goes five minutes after it', () => {
    const hour = Date.UTC(2026, 10, 25, 13) / 1000;
    expect(listExpiryOf(hour)).to.equal((hour + 3600 + 300) * 1000);
    expect(listExpiryOf(hour + 3599)).to.equal(listExpiryOf(hour));
    expect(listExpiryOf(hour + 3599 + nextListIn(hour + 3599))).to.equal((hour + 7200 + 300) * 1000);
  });

  it('is found again in the claim of its tokens, and nothing else is', () => {
    const issuer = 'https://as.example/tenant';
    const uri = listUri(issuer, 17);
    expect(uri).to.equal('https://as.example/tenant/status-lists/17');
    expect(statusPlaceOf(issuer, { status_list: { idx: 3, uri } })).to.deep.equal({ listId: 17, index: 3 });
    for (const status of [
      undefined,
      null,
      {},
      { status_list: { idx: 3 } },
      { status_list: { idx: -1, uri } },
      { status_list: { idx: LIST_SIZE, uri } },
      { status_list: { idx: '3', uri } },
      { status_list: { idx: 3, uri: 'https://other.example/status-lists/17' } },
      { status_list: { idx: 3, uri: `${uri}/../18` } },
    ]) {
      expect(statusPlaceOf(issuer, status), JSON.stringify(status)).to.equal(undefined);
    }
  });

  it('is called by a number and by nothing else', () => {
    for (const text of ['0', '01', '-1', '1e3', ' 1', '1.0', '', '9'.repeat(16), '../1', '%31']) {
      expect(readListId(text), text).to.equal(undefined);
    }
  });
});
