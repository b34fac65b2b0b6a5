import { expect } from 'chai';
import { policyFor, unwantedAlgorithms } from '../../src/keys/algorithm-set.js';
import { nextTransition, planRotation, revokePlan } from '../../src/keys/key-schedule.js';
import {
  activeOf,
  applyTransition,
  assertInvariants,
  isDone,
  successorOf,
} from '../../src/keys/key-state.js';
import type { SigningAlgorithm } from '../../src/protocol.js';
import { DrivenRing, policy, seconds, T0 } from './rings.js';

const CLASSICAL = ['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA'] as const;
const WITH_PS256 = { ...policy, algorithms: ['ES256', 'RS256', 'PS256'] as const };

/** A ring whose PS256 signs since its first start. */
function ringWithPs256(): DrivenRing {
  const driven = new DrivenRing(WITH_PS256);
  driven.settle(T0);
  return driven;
}

const demand = (
  configured: readonly SigningAlgorithm[] | undefined,
  inUse: readonly SigningAlgorithm[] | undefined,
) => ({ configured, inUse });

describe('which algorithms have keys', () => {
  it('are those of this node, of every other node and of whatever is registered', () => {
    const { ring } = ringWithPs256();
    const kept = policyFor(ring, policy, demand(['EdDSA'], ['PS256']), CLASSICAL);
    expect(kept.algorithms).to.deep.equal(['ES256', 'RS256', 'PS256', 'EdDSA']);
    expect(kept.withdraws).to.deep.equal([]);
    expect(nextTransition(ring, kept, [], T0)).to.deep.equal({ kind: 'announce', alg: 'EdDSA' });
  });

  it('are given up only when it is known that nobody wants them', () => {
    const { ring } = ringWithPs256();
    const given = (...of: Parameters<typeof demand>) => policyFor(ring, policy, demand(...of)).withdraws;
    expect(given([], [])).to.deep.equal(['PS256']);
    expect(given(undefined, []), 'a node that does not say').to.deep.equal([]);
    expect(given([], undefined), 'registrations that nobody can look at').to.deep.equal([]);
    expect(given(['PS256'], [])).to.deep.equal([]);
    expect(given([], ['PS256'])).to.deep.equal([]);
    expect(unwantedAlgorithms(ring, policy, [])).to.deep.equal(['PS256']);
    expect(unwantedAlgorithms(ring, WITH_PS256, [])).to.deep.equal([]);
  });

  it('never include one that a plain policy does not name: nothing goes by accident', () => {
    const { ring } = ringWithPs256();
    expect(nextTransition(ring, policy, [], T0)).to.equal(undefined);
  });

  it('rotate by hand and in an emergency as long as they are kept', () => {
    const { ring } = ringWithPs256();
    const kept = policyFor(ring, policy, demand([], ['PS256']), CLASSICAL);
    const later = T0 + seconds(policy.announceFor);
    const intent = { alg: 'PS256', now: false, acceptsRisk: false } as const;
    expect(planRotation(ring, kept, [], later, intent)[0]?.outcome).to.equal('rotates');
    expect(planRotation(ring, policy, [], later, intent)[0]?.outcome, 'control').to.equal('not_in_policy');
    const plan = revokePlan(ring, kept, activeOf(ring, 'PS256')?.kid ?? '');
    expect(plan).to.include({ activates: successorOf(ring, 'PS256')?.kid, announces: true });
  });

  it('are left to other nodes where this Node.js cannot make their keys', () => {
    const driven = new DrivenRing({ ...policy, algorithms: ['ES256', 'RS256', 'ML-DSA-44'] });
    driven.settle(T0);
    const seen = policyFor(driven.ring, policy, demand(['ML-DSA-44'], []), CLASSICAL);
    expect(seen.algorithms).to.not.include('ML-DSA-44');
    expect(seen.withdraws).to.deep.equal([]);
    expect(nextTransition(driven.ring, seen, [], T0 + seconds(policy.announceFor - 1))).to.equal(undefined);
  });
});

describe('giving an algorithm up', () => {
  const withdraw = { kind: 'withdraw', alg: 'PS256' } as const;

  it('retains its active key and retires its announced one, both without a private half', () => {
    const { ring } = ringWithPs256();
    const active = activeOf(ring, 'PS256')?.kid;
    const next = applyTransition(ring, withdraw, T0);
    assertInvariants(next, policy.algorithms);
    const keys = next.keys.filter(({ alg }) => alg === 'PS256');
    expect(keys.map(({ kid, state }) => [kid === active, state])).to.have.deep.members([
      [true, 'retained'],
      [false, 'retired'],
    ]);
    expect(keys.some(({ sealedPrivate }) => sealedPrivate !== undefined)).to.equal(false);
    expect([isDone(ring, withdraw), isDone(next, withdraw)]).to.deep.equal([false, true]);
  });

  it('keeps the retained key published until no token of it can be alive', () => {
    const driven = ringWithPs256();
    driven.policy = policyFor(driven.ring, policy, demand([], []));
    expect(driven.settle(T0).map(({ kind }) => kind)).to.deep.equal(['withdraw']);
    driven.policy = policy;
    const kid = driven.ring.keys.find(({ state }) => state === 'retained')?.kid;
    expect(driven.settle(T0 + seconds(policy.retainFor) - 1)).to.not.deep.include({
      kind: 'retire',
      kid,
      alg: 'PS256',
    });
    expect(driven.settle(T0 + seconds(policy.retainFor))).to.deep.include({
      kind: 'retire',
      kid,
      alg: 'PS256',
    });
  });

  it('lets no other algorithm lose its key', () => {
    const { ring } = ringWithPs256();
    const others = (of: typeof ring) => of.keys.filter(({ alg }) => alg !== 'PS256');
    expect(others(applyTransition(ring, withdraw, T0))).to.deep.equal(others(ring));
  });

  it('can be taken back: the algorithm is announced again, and signs when that is over', () => {
    const driven = ringWithPs256();
    driven.apply(withdraw, T0);
    expect(driven.settle(T0)).to.deep.equal([{ kind: 'announce', alg: 'PS256' }]);
    expect(activeOf(driven.ring, 'PS256')).to.equal(undefined);
    driven.settle(T0 + seconds(policy.announceFor));
    expect(activeOf(driven.ring, 'PS256')).to.not.equal(undefined);
  });
});
