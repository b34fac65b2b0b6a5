import { expect } from 'chai';
import { nextTransition, revokePlan } from '../../src/keys/key-schedule.js';
import {
  activeOf,
  applyTransition,
  assertInvariants,
  isDone,
  successorOf,
  verifiesOwnTokens,
} from '../../src/keys/key-state.js';
import { publishJwks } from '../../src/keys/published-jwks.js';
import type { Ring, SigningKey } from '../../src/keys/signing-key.js';
import { DrivenRing, EMPTY, policy, seconds, T0 } from './rings.js';

const DUE = T0 + seconds(policy.rotateEvery);

function settledRing(): DrivenRing {
  const driven = new DrivenRing();
  driven.settle(T0);
  return driven;
}

function stateOf(ring: Ring, kid: string | undefined): string | undefined {
  return ring.keys.find(key => key.kid === kid)?.state;
}

function kidsIn(ring: Ring): string[] {
  return JSON.parse(publishJwks(ring).body.toString()).keys.map((key: { kid: string }) => key.kid);
}

describe('key state, invariant 1: one active key and a successor per algorithm', () => {
  it('starts an empty database with an active and an announced key of every algorithm, in one step', () => {
    const driven = settledRing();
    expect(driven.history.map(step => step.kind)).to.deep.equal(['create']);
    expect(driven.ring.version).to.equal(1);
    for (const alg of policy.algorithms) {
      expect(activeOf(driven.ring, alg)).to.include({ activatedAt: T0, announcedVersion: 1 });
      expect(successorOf(driven.ring, alg)).to.include({ announcedAt: T0, announcedVersion: 1 });
    }
  });

  it('refuses to create keys where there ever was one, even if all of them are revoked', () => {
    const { ring } = settledRing();
    const revoked = ring.keys.map(
      (key): SigningKey => ({ ...key, state: 'revoked', revokedAt: T0, sealedPrivate: undefined }),
    );
    const driven = new DrivenRing();
    driven.ring = { version: 9, keys: revoked };
    expect(nextTransition(driven.ring, policy, [], T0)?.kind).to.equal('announce');
    expect(() => driven.apply({ kind: 'create', algorithms: ['ES256'] }, T0)).to.throw(
      TypeError,
      /never had/,
    );
  });

  it('promotes, demotes and announces the next successor in the same step', () => {
    const driven = settledRing();
    const old = activeOf(driven.ring, 'ES256');
    const next = successorOf(driven.ring, 'ES256');
    driven.settle(DUE);
    expect(stateOf(driven.ring, old?.kid)).to.equal('retained');
    expect(activeOf(driven.ring, 'ES256')?.kid).to.equal(next?.kid);
    expect(successorOf(driven.ring, 'ES256')).to.include({ announcedAt: DUE });
    assertInvariants(driven.ring, policy.algorithms);
  });

  it('refuses a promotion that forgets the key which signs now', () => {
    const { ring } = settledRing();
    const kid = successorOf(ring, 'ES256')?.kid ?? '';
    const forgetful = { kind: 'activate', kid, alg: 'ES256', demotes: undefined, announces: false } as const;
    expect(() => applyTransition(ring, forgetful, DUE)).to.throw(TypeError, /not the active ES256 key/);
  });

  it('refuses a promotion without the new key that it announces, and one of another algorithm', () => {
    const driven = settledRing();
    const due = nextTransition(driven.ring, policy, [], DUE);
    expect(due?.kind).to.equal('activate');
    if (due === undefined) return;
    expect(() => applyTransition(driven.ring, due, DUE)).to.throw(TypeError, /needs new keys \[ES256\]/);
    expect(() => applyTransition(driven.ring, due, DUE, [driven.newKey('RS256')])).to.throw(TypeError);
    expect(() => applyTransition(driven.ring, { ...due, alg: 'RS256' } as typeof due, DUE)).to.throw(
      TypeError,
    );
  });

  it('refuses a new key under a kid that the ring already knows', () => {
    const driven = settledRing();
    const twin = { ...driven.newKey('ES256'), kid: driven.ring.keys[0]?.kid ?? '' };
    expect(() => applyTransition(driven.ring, { kind: 'announce', alg: 'ES256' }, T0, [twin])).to.throw(
      TypeError,
      /two keys with the kid/,
    );
  });

  it('names every unsound ring (control: the sound one passes)', () => {
    const { ring } = settledRing();
    const spoil = (change: (key: SigningKey) => SigningKey | undefined): Ring => ({
      ...ring,
      keys: ring.keys.map(change).filter(key => key !== undefined),
    });
    assertInvariants(ring, policy.algorithms);
    const twoActive = spoil(key => ({ ...key, state: 'active', activatedAt: T0 }));
    expect(() => assertInvariants(twoActive)).to.throw(TypeError, /two active ES256/);
    const noSuccessor = spoil(key => (key.state === 'announced' ? undefined : key));
    expect(() => assertInvariants(noSuccessor, policy.algorithms)).to.throw(TypeError, /no announced/);
    const lost = spoil(key => ({ ...key, sealedPrivate: undefined }));
    expect(() => assertInvariants(lost)).to.throw(TypeError, /lost its private half/);
    const early = spoil(key => ({ ...key, announcedVersion: 2 }));
    expect(() => assertInvariants(early)).to.throw(TypeError, /announced after the ring/);
    const undated = spoil(key => ({ ...key, activatedAt: undefined }));
    expect(() => assertInvariants(undated)).to.throw(TypeError, /since when/);
  });

  it('revokes the active key: the announced successor signs at once and a new one is announced', () => {
    const driven = settledRing();
    const stolen = activeOf(driven.ring, 'ES256')?.kid ?? '';
    const known = successorOf(driven.ring, 'ES256')?.kid;
    const plan = revokePlan(driven.ring, policy, stolen);
    expect(plan).to.include({ kind: 'revoke', activates: known, announces: true });
    if (plan) driven.apply(plan, T0 + 1);
    expect(stateOf(driven.ring, stolen)).to.equal('revoked');
    expect(activeOf(driven.ring, 'ES256')?.kid).to.equal(known);
    expect(kidsIn(driven.ring)).to.not.include(stolen);
    assertInvariants(driven.ring, policy.algorithms);
    expect(revokePlan(driven.ring, policy, stolen), 'revoked twice').to.equal(undefined);
  });

  it('refuses to revoke the active key without putting the waiting successor in its place', () => {
    const { ring } = settledRing();
    const kid = activeOf(ring, 'ES256')?.kid ?? '';
    const bare = { kind: 'revoke', kid, alg: 'ES256', activates: undefined, announces: false } as const;
    expect(() => applyTransition(ring, bare, T0)).to.throw(TypeError, /without an active key/);
  });

  it('revokes a successor, a retained and a retired key and leaves the active one alone', () => {
    const driven = settledRing();
    driven.settle(DUE);
    const retained = driven.ring.keys.find(key => key.state === 'retained' && key.alg === 'ES256');
    const active = activeOf(driven.ring, 'ES256');
    for (const key of [successorOf(driven.ring, 'ES256'), retained]) {
      const plan = revokePlan(driven.ring, policy, key?.kid ?? '');
      expect(plan).to.include({ activates: undefined, announces: key?.state === 'announced' });
      if (plan) driven.apply(plan, DUE + 1);
    }
    driven.settle(DUE + seconds(policy.retainFor));
    const retired = driven.ring.keys.find(key => key.state === 'retired');
    const plan = revokePlan(driven.ring, policy, retired?.kid ?? '');
    if (plan) driven.apply(plan, DUE + seconds(policy.retainFor));
    expect(activeOf(driven.ring, 'ES256')?.kid).to.equal(active?.kid);
    expect(driven.ring.keys.filter(key => key.state === 'revoked')).to.have.length(3);
    expect(() => revokePlan(driven.ring, policy, 'unknown')).to.throw(TypeError);
  });
});

describe('key state, invariant 3: published until no token of it can be alive, private half destroyed', () => {
  it('destroys the private half in the step that ends signing', () => {
    const driven = settledRing();
    const old = activeOf(driven.ring, 'ES256');
    expect(old?.sealedPrivate).to.be.a('string');
    driven.settle(DUE);
    expect(JSON.stringify(driven.ring)).to.not.include(`"${old?.sealedPrivate}"`);
  });

  it('goes on publishing a retained key for exactly retainFor, which covers the longest token', () => {
    const driven = settledRing();
    const old = activeOf(driven.ring, 'ES256')?.kid;
    driven.settle(DUE);
    const last = DUE + seconds(policy.retainFor);
    driven.settle(last - 1);
    expect(kidsIn(driven.ring)).to.include(old);
    driven.settle(last);
    expect(kidsIn(driven.ring)).to.not.include(old);
    // 60 s of release + the longest token + clock skew + every second a cache may keep a JWKS
    expect(policy.retainFor).to.equal(60 + 3600 + 60 + (300 + 60 + 750));
  });

  it('drops a key that still verifies live tokens once retainFor is taken away (control)', () => {
    const driven = new DrivenRing({ ...policy, retainFor: 0 });
    driven.settle(T0);
    const old = activeOf(driven.ring, 'ES256')?.kid;
    driven.settle(DUE);
    expect(kidsIn(driven.ring)).to.not.include(old);
  });

  it('keeps a retired public half for id_token_hint for 400 days, and a revoked one not at all', () => {
    const driven = settledRing();
    const kid = activeOf(driven.ring, 'ES256')?.kid;
    driven.settle(DUE);
    const retiredAt = DUE + seconds(policy.retainFor);
    driven.settle(retiredAt);
    const key = driven.ring.keys.find(candidate => candidate.kid === kid);
    if (!key) throw new Error('the key row is gone');
    expect(key.state).to.equal('retired');
    expect(verifiesOwnTokens(key, retiredAt + seconds(400 * 86_400) - 1)).to.equal(true);
    expect(verifiesOwnTokens(key, retiredAt + seconds(400 * 86_400))).to.equal(false);
    expect(verifiesOwnTokens({ ...key, state: 'revoked' }, retiredAt)).to.equal(false);
  });
});

describe('key state, invariant 4: concurrent steps and interrupted ones', () => {
  it('lets one of two nodes rotate; the other finds its step done (requirement 62)', () => {
    const driven = settledRing();
    const seen = driven.ring;
    const plans = [nextTransition(seen, policy, [], DUE), nextTransition(seen, policy, [], DUE)];
    const [first, second] = plans;
    if (!first || !second) throw new Error('nothing is due');
    const before = driven.ring.keys.length;
    driven.apply(first, DUE);
    expect(driven.ring.version, 'what compare-and-swap looks at').to.equal(seen.version + 1);
    expect(isDone(driven.ring, second)).to.equal(true);
    // Control: a loser that ignores the compare-and-swap still cannot make a second active key.
    expect(() => driven.apply(second, DUE)).to.throw(TypeError, /not the active ES256 key/);
    expect(driven.ring.keys).to.have.length(before + 1);
  });

  it('knows for each kind of step whether it is done', () => {
    const driven = settledRing();
    expect(isDone(EMPTY, { kind: 'create', algorithms: ['ES256'] })).to.equal(false);
    expect(isDone(driven.ring, { kind: 'create', algorithms: ['ES256'] })).to.equal(true);
    expect(isDone(EMPTY, { kind: 'announce', alg: 'ES256' })).to.equal(false);
    expect(isDone(driven.ring, { kind: 'announce', alg: 'ES256' })).to.equal(true);
    const kid = activeOf(driven.ring, 'ES256')?.kid ?? '';
    driven.settle(DUE);
    const retire = { kind: 'retire', kid, alg: 'ES256' } as const;
    const revoke = { kind: 'revoke', kid, alg: 'ES256', activates: undefined, announces: false } as const;
    expect([isDone(driven.ring, retire), isDone(driven.ring, revoke)]).to.deep.equal([false, false]);
    driven.settle(DUE + seconds(policy.retainFor));
    expect([isDone(driven.ring, retire), isDone(driven.ring, revoke)]).to.deep.equal([true, false]);
    driven.apply(revoke, DUE + seconds(policy.retainFor));
    expect([isDone(driven.ring, retire), isDone(driven.ring, revoke)]).to.deep.equal([true, true]);
  });

  it('does not count a successor that was revoked before its promotion as promoted', () => {
    const driven = settledRing();
    const due = nextTransition(driven.ring, policy, [], DUE);
    const plan = revokePlan(driven.ring, policy, successorOf(driven.ring, 'ES256')?.kid ?? '');
    if (!due || !plan) throw new Error('nothing is due');
    driven.apply(plan, DUE);
    expect(isDone(driven.ring, due)).to.equal(false);
  });

  it('leaves a sound ring behind after every single step, wherever the process dies', () => {
    const driven = settledRing();
    for (let now = T0; now < T0 + seconds(86_400); now += seconds(600)) {
      for (;;) {
        const step = nextTransition(driven.ring, policy, [], now);
        // Dying before the write: the same question has the same answer after the restart.
        expect(nextTransition(driven.ring, policy, [], now)).to.deep.equal(step);
        if (step === undefined) break;
        const kids = driven.ring.keys.map(key => key.kid);
        driven.apply(step, now);
        assertInvariants(driven.ring, policy.algorithms);
        expect(
          driven.ring.keys.map(key => key.kid),
          'no key is lost',
        ).to.include.members(kids);
      }
    }
    expect(driven.history.filter(step => step.kind === 'activate')).to.have.length.greaterThan(20);
  });
});
