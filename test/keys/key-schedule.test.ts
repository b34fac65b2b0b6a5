import { expect } from 'chai';
import type { NodeLease } from '../../src/database/node-leases.js';
import { nextEvents, nextTransition, planRotation } from '../../src/keys/key-schedule.js';
import { activeOf, successorOf } from '../../src/keys/key-state.js';
import { publishJwks } from '../../src/keys/published-jwks.js';

import { DrivenRing, EMPTY, policy, seconds, T0 } from './rings.js';

const DUE = T0 + seconds(policy.rotateEvery);
const ANNOUNCED = T0 + seconds(policy.announceFor);

function settledRing(): DrivenRing {
  const driven = new DrivenRing();
  driven.settle(T0);
  return driven;
}

function lease(nodeId: string, servedVersion: number, leaseUntil: number): NodeLease {
  return { nodeId, servedVersion, leaseUntil };
}

describe('key schedule, invariant 2: a key signs only after every verifier could learn it', () => {
  it('rotates when rotateEvery has passed, not a millisecond earlier', () => {
    const driven = settledRing();
    expect(nextTransition(driven.ring, policy, [], DUE - 1)).to.equal(undefined);
    expect(nextTransition(driven.ring, policy, [], DUE)).to.include({ kind: 'activate', alg: 'ES256' });
  });

  it('waits for announceFor even when rotateEvery has long passed', () => {
    const driven = new DrivenRing({ ...policy, rotateEvery: 1 });
    driven.settle(T0);
    expect(nextTransition(driven.ring, driven.policy, [], ANNOUNCED - 1)).to.equal(undefined);
    expect(nextTransition(driven.ring, driven.policy, [], ANNOUNCED)?.kind).to.equal('activate');
  });

  it('waits for each live node to serve the key; without the leases that node is left behind (control)', () => {
    const driven = settledRing();
    driven.settle(DUE);
    const stale = driven.ring;
    const successor = successorOf(stale, 'ES256');
    if (!successor) throw new Error('no successor');
    const due = DUE + seconds(policy.rotateEvery);
    const behind = { version: 1, keys: stale.keys.filter(key => key.announcedVersion <= 1) };
    const leases = [lease('quick', stale.version, due + 1), lease('slow', behind.version, due + 1)];
    expect(nextTransition(stale, policy, leases, due)?.kind).to.not.equal('activate');
    expect(publishJwks(behind).body.toString(), 'what the slow node tells verifiers').to.not.include(
      `"${successor.kid}"`,
    );
    expect(nextTransition(stale, policy, [], due)).to.include({ kind: 'activate', kid: successor.kid });
  });

  it('does not wait for a lapsed lease, nor for a node that started later', () => {
    const driven = settledRing();
    const lapsed = lease('dead', 0, DUE);
    const fresh = lease('new', driven.ring.version, DUE + 1);
    expect(nextTransition(driven.ring, policy, [lapsed, fresh], DUE)?.kind).to.equal('activate');
    expect(nextTransition(driven.ring, policy, [lease('dead', 0, DUE + 1)], DUE)).to.equal(undefined);
  });

  it('announces an algorithm that is added later and signs with it only after its announcement', () => {
    const driven = new DrivenRing({ ...policy, algorithms: ['ES256'] });
    driven.settle(T0);
    driven.policy = policy;
    const added = T0 + seconds(60);
    driven.settle(added);
    expect(activeOf(driven.ring, 'RS256')).to.equal(undefined);
    expect(successorOf(driven.ring, 'RS256')).to.include({ announcedAt: added });
    driven.settle(added + seconds(policy.announceFor) - 1);
    expect(activeOf(driven.ring, 'RS256')).to.equal(undefined);
    driven.settle(added + seconds(policy.announceFor));
    expect(activeOf(driven.ring, 'RS256')?.activatedAt).to.equal(added + seconds(policy.announceFor));
    expect(successorOf(driven.ring, 'RS256')).to.not.equal(undefined);
  });

  it('leaves the keys of an algorithm that was taken out of the policy, and announces nothing for it', () => {
    const driven = settledRing();
    const kid = activeOf(driven.ring, 'RS256')?.kid;
    driven.policy = { ...policy, algorithms: ['ES256'] };
    const kinds = driven
      .settle(T0 + seconds(50 * policy.rotateEvery))
      .map(step => [step.kind, 'alg' in step && step.alg]);
    expect(kinds.filter(([, alg]) => alg === 'RS256')).to.deep.equal([]);
    expect(activeOf(driven.ring, 'RS256')?.kid).to.equal(kid);
  });
});

describe('key schedule: a rotation that somebody asks for', () => {
  const plan = (driven: DrivenRing, now: number, asked: object = {}, leases: readonly NodeLease[] = []) =>
    planRotation(driven.ring, policy, leases, now, {
      alg: 'ES256',
      now: false,
      acceptsRisk: false,
      ...asked,
    })[0];

  it('promotes once the announcement is complete and until then says when it will be', () => {
    const driven = settledRing();
    expect(plan(driven, ANNOUNCED - 1)).to.include({
      outcome: 'waits_for_announcement',
      until: ANNOUNCED,
      nowFrom: T0 + seconds(360),
    });
    expect(plan(driven, ANNOUNCED)).to.have.property('outcome', 'rotates');
  });

  it('with --now promotes after max-age and stale-while-revalidate; before, the risk must be accepted', () => {
    const driven = settledRing();
    const safeAt = T0 + seconds(policy.jwksMaxAgeFor + policy.staleWhileRevalidateFor);
    expect(plan(driven, safeAt - 1, { now: true })).to.include({ outcome: 'needs_acceptance', safeAt });
    expect(plan(driven, safeAt, { now: true })).to.have.property('outcome', 'rotates');
    expect(plan(driven, T0, { now: true, acceptsRisk: true })).to.have.property('outcome', 'rotates');
  });

  it('never skips the barrier, whatever risk is accepted, and names the nodes it waits for', () => {
    const driven = settledRing();
    const leases = [lease('slow', 0, DUE + 1), lease('quick', 1, DUE + 1)];
    for (const asked of [{}, { now: true }, { now: true, acceptsRisk: true }]) {
      expect(plan(driven, DUE, asked, leases)).to.deep.include({
        outcome: 'waits_for_nodes',
        nodeIds: ['slow'],
      });
    }
  });

  it('does not rotate a second time when it is asked again at once', () => {
    const driven = settledRing();
    const decision = plan(driven, ANNOUNCED);
    if (decision?.outcome !== 'rotates') throw new Error('not due');
    driven.apply(decision.transition, ANNOUNCED);
    expect(plan(driven, ANNOUNCED)).to.have.property('outcome', 'waits_for_announcement');
  });

  it('decides for each algorithm of the policy when none is named, and refuses one outside it', () => {
    const driven = settledRing();
    const asked = { now: false, acceptsRisk: false };
    const decisions = planRotation(driven.ring, policy, [], ANNOUNCED, asked);
    expect(decisions.map(decision => [decision.alg, decision.outcome])).to.deep.equal([
      ['ES256', 'rotates'],
      ['RS256', 'rotates'],
    ]);
    const narrow = { ...policy, algorithms: ['ES256'] as const };
    const [refused] = planRotation(driven.ring, narrow, [], ANNOUNCED, { ...asked, alg: 'RS256' });
    expect(refused).to.deep.equal({ alg: 'RS256', outcome: 'not_in_policy' });
    const [none] = planRotation(EMPTY, policy, [], T0, { ...asked, alg: 'RS256' });
    expect(none).to.deep.equal({ alg: 'RS256', outcome: 'no_successor' });
  });
});

describe('key schedule: what is told in advance', () => {
  it('names instants at which the schedule then really acts', () => {
    const driven = settledRing();
    for (let round = 0; round < 20; round += 1) {
      const [next] = nextEvents(driven.ring, policy, [], T0);
      if (!next) throw new Error('nothing is coming');
      expect(driven.settle(next.at - 1), 'one millisecond early').to.deep.equal([]);
      const steps = driven.settle(next.at).map(step => ({ alg: undefined, kid: undefined, ...step }));
      expect(steps.map(({ kind, kid, alg }) => ({ kind, kid, alg }))).to.deep.include({
        kind: next.kind,
        kid: next.kid,
        alg: next.alg,
      });
    }
  });

  it('names the first keys, and the nodes a promotion waits for', () => {
    expect(nextEvents(EMPTY, policy, [], T0).map(event => [event.kind, event.alg, event.at])).to.deep.equal([
      ['create', 'ES256', T0],
      ['create', 'RS256', T0],
    ]);
    const driven = settledRing();
    const [event] = nextEvents(driven.ring, policy, [lease('slow', 0, T0 + 1)], T0);
    expect(event).to.deep.include({ kind: 'activate', at: DUE, waitsForNodeIds: ['slow'] });
  });
});
