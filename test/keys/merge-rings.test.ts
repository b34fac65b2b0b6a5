import { expect } from 'chai';
import { activeOf, assertInvariants, isPublished, successorOf } from '../../src/keys/key-state.js';
import { isAnotherHistory, mergeRings } from '../../src/keys/merge-rings.js';
import type { Ring } from '../../src/keys/signing-key.js';
import { DrivenRing, policy, seconds, T0 } from './rings.js';

const STEP = seconds(policy.rotateEvery);

/** A ring that has rotated, and copies of it from before. */
function history(rotations: number): {
  readonly past: readonly Ring[];
  readonly driven: DrivenRing;
  now: number;
} {
  const driven = new DrivenRing();
  let now = T0;
  driven.settle(now);
  const past = [driven.ring];
  for (let count = 0; count < rotations; count += 1) {
    now += STEP;
    driven.settle(now);
    past.push(driven.ring);
  }
  return { past, driven, now };
}

function at(past: readonly Ring[], index: number): Ring {
  const ring = past.at(index);
  if (ring === undefined) throw new Error('no such past');
  return ring;
}

describe('rings of several pasts, merged', () => {
  it('go on with the active keys of the newest past, under a version above all', () => {
    const { past, now } = history(3);
    const [stored, newest] = [at(past, 1), at(past, 3)];
    const merged = mergeRings(stored, [newest, at(past, 2)], now);
    expect(merged.version).to.equal(newest.version + 1);
    for (const alg of policy.algorithms) {
      expect(activeOf(merged, alg)?.kid).to.equal(activeOf(newest, alg)?.kid);
      expect(activeOf(merged, alg)?.sealedPrivate).to.be.a('string');
      expect(successorOf(merged, alg)?.kid).to.equal(successorOf(newest, alg)?.kid);
    }
    assertInvariants(merged, policy.algorithms);
  });

  it('publish every key that any of them has published', () => {
    const { past, now } = history(4);
    const pasts = [at(past, 2), at(past, 4), at(past, 3)] as const;
    const merged = mergeRings(pasts[0], pasts.slice(1), now);
    const kids = merged.keys.filter(isPublished).map(({ kid }) => kid);
    expect(kids).to.include.members(pasts[1].keys.filter(isPublished).map(({ kid }) => kid));
  });

  it('publish again a key that the restored past signs with and the newest had retired', () => {
    const { past, driven } = history(2);
    const later = T0 + 3 * STEP;
    driven.settle(later);
    const old = activeOf(at(past, 0), 'ES256')?.kid;
    expect(driven.ring.keys.find(({ kid }) => kid === old)?.state, 'control').to.equal('retired');
    const merged = mergeRings(at(past, 0), [driven.ring], later);
    expect(merged.keys.find(({ kid }) => kid === old)).to.include({ state: 'retained', retainedAt: later });
  });

  it('keep what only the restored past has made published, and let it sign no more', () => {
    const { past, now } = history(2);
    const fork = new DrivenRing();
    fork.ring = at(past, 0);
    for (let count = 0; count < 8; count += 1) fork.newKey('ES256');
    fork.settle(T0 + STEP);
    const made = fork.ring.keys.filter(({ kid }) => !at(past, 2).keys.some(key => key.kid === kid));
    expect(made, 'control').to.not.have.length(0);
    const merged = mergeRings(fork.ring, [at(past, 2)], now);
    for (const { kid } of made) {
      const key = merged.keys.find(each => each.kid === kid);
      expect(key?.state).to.equal('retained');
      expect(key?.retainedAt).to.equal(now);
      expect(key?.sealedPrivate).to.equal(undefined);
    }
    for (const alg of policy.algorithms) {
      expect(merged.keys.filter(key => key.alg === alg && key.state === 'active')).to.have.length(1);
    }
  });

  it('revoke again what was revoked after the backup, and what was revoked since the restore', () => {
    const { past, driven, now } = history(1);
    const backup = at(past, 1);
    const stolen = activeOf(backup, 'ES256')?.kid ?? '';
    const successor = successorOf(backup, 'ES256')?.kid;
    driven.apply({ kind: 'revoke', kid: stolen, alg: 'ES256', activates: successor, announces: true }, now);
    const forgotten = mergeRings(backup, [driven.ring], now + 1);
    expect(forgotten.keys.find(({ kid }) => kid === stolen)?.state).to.equal('revoked');
    expect(activeOf(forgotten, 'ES256')?.kid).to.equal(successor);
    // The other way round: the running nodes do not know of it.
    const since = mergeRings(driven.ring, [{ ...backup, version: driven.ring.version + 1 }], now + 1);
    expect(since.keys.find(({ kid }) => kid === stolen)).to.include({ state: 'revoked' });
    expect(since.keys.find(({ kid }) => kid === stolen)?.sealedPrivate).to.equal(undefined);
    expect(activeOf(since, 'ES256')?.kid).to.equal(successor);
  });

  it('are refused when nobody remembers another one', () => {
    expect(() => mergeRings(at(history(0).past, 0), [], T0)).to.throw(TypeError);
  });
});

describe('a ring of another past', () => {
  /** What a running node has seen last: the key that was retained is revoked, which announces nothing new. */
  function revokedRetained() {
    const { past, driven, now } = history(1);
    const backup = at(past, 1);
    const stolen = backup.keys.find(({ state }) => state === 'retained');
    if (stolen === undefined) throw new Error('no retained key');
    const { kid, alg } = stolen;
    driven.apply({ kind: 'revoke', kid, alg, activates: undefined, announces: false }, now);
    return { backup, known: driven.ring, kid, now };
  }

  it('is not any later ring of the same past (control)', () => {
    const { past } = history(4);
    for (const [index, known] of past.entries()) {
      for (const found of past.slice(index)) expect(isAnotherHistory(found, known)).to.equal(false);
      for (const found of past.slice(0, index)) expect(isAnotherHistory(found, known)).to.equal(true);
    }
    const { backup, known } = revokedRetained();
    expect(isAnotherHistory(known, backup)).to.equal(false);
  });

  it('is one that trusts again what is known to be revoked, however new its version', () => {
    const { backup, known, kid } = revokedRetained();
    for (const version of [known.version, known.version + 1, known.version + 50]) {
      const found = { ...backup, version };
      const kids = found.keys.map(key => key.kid);
      const isComplete = known.keys.every(key => kids.includes(key.kid));
      expect(isComplete, 'control: no key is missing, so only its state can tell').to.equal(true);
      expect(isAnotherHistory(found, known)).to.equal(true);
    }
    const merged = mergeRings({ ...backup, version: known.version + 50 }, [known], T0 + 10 * STEP);
    expect(merged.keys.find(key => key.kid === kid)?.state).to.equal('revoked');
    expect(isAnotherHistory(merged, known), 'a confirmation ends it').to.equal(false);
  });

  it('is one of the same version in which another key was revoked', () => {
    const { backup, known, now } = revokedRetained();
    const fork = new DrivenRing();
    fork.ring = backup;
    const other = backup.keys.find(({ state, alg }) => state === 'retained' && alg === 'RS256');
    if (other === undefined) throw new Error('no other retained key');
    const { kid, alg } = other;
    fork.apply({ kind: 'revoke', kid, alg, activates: undefined, announces: false }, now);
    expect(fork.ring.version, 'control').to.equal(known.version);
    expect(isAnotherHistory(fork.ring, known)).to.equal(true);
  });
});
