import { expect } from 'chai';
import fc from 'fast-check';
import { holdable, nextEvents, nextTransition, planRotation } from '../../src/keys/key-schedule.js';
import { requireKey, successorOf } from '../../src/keys/key-state.js';
import { DrivenRing, policy, seconds, T0 } from './rings.js';

/** Rotates as soon as the announcement allows it, so that the announcement is what counts. */
const EAGER = { ...policy, rotateEvery: 1 };
const ANNOUNCED = T0 + seconds(policy.announceFor);
const LATEST = T0 + seconds(policy.announceFor * 1.5);

function ringOf(): { driven: DrivenRing; kid: string } {
  const driven = new DrivenRing(EAGER);
  driven.settle(T0);
  const kid = successorOf(driven.ring, 'ES256')?.kid;
  if (kid === undefined) throw new Error('no successor');
  return { driven, kid };
}

describe('key schedule: a promotion that waits for verifiers', () => {
  it('waits for them, and goes on the moment that none is missing', () => {
    const { driven, kid } = ringOf();
    const held = new Map([[kid, ['cl_a']]]);
    const next = (now: number, holds = held) => nextTransition(driven.ring, EAGER, [], now, holds);
    expect(next(ANNOUNCED)).to.include({ kind: 'activate', alg: 'RS256' });
    expect(next(ANNOUNCED, new Map())).to.include({ kind: 'activate', kid });
    // Control: without what is held, it does not wait.
    expect(nextTransition(driven.ring, EAGER, [], ANNOUNCED)).to.include({ kind: 'activate', kid });
  });

  it('waits for half of announceFor at most, whoever is missing', () => {
    const { driven, kid } = ringOf();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000 }), fc.array(fc.string()), (later, names) => {
        const now = ANNOUNCED + later;
        const held = new Map([[kid, ['cl_a', ...names]]]);
        const next = nextTransition(driven.ring, EAGER, [], now, held);
        const isHeld = !(next?.kind === 'activate' && next.kid === kid);
        expect(isHeld).to.equal(now < LATEST);
      }),
    );
  });

  it('counts from when the key would sign, however long it has been announced by then', () => {
    const driven = new DrivenRing(policy);
    driven.settle(T0);
    const kid = successorOf(driven.ring, 'ES256')?.kid ?? '';
    const due = T0 + seconds(policy.rotateEvery);
    const held = new Map([[kid, ['cl_a']]]);
    const signs = (now: number) => {
      const next = nextTransition(driven.ring, policy, [], now, held);
      return next?.kind === 'activate' && next.kid === kid;
    };
    expect(policy.rotateEvery).to.be.greaterThan(policy.announceFor * 2);
    expect(signs(due)).to.equal(false);
    expect(signs(due + seconds(policy.announceFor / 2) - 1)).to.equal(false);
    expect(signs(due + seconds(policy.announceFor / 2))).to.equal(true);
  });

  it('never makes a key sign earlier than without it', () => {
    const { driven, kid } = ringOf();
    for (const held of [new Map(), new Map([[kid, ['cl_a']]])]) {
      expect(nextTransition(driven.ring, EAGER, [], ANNOUNCED - 1, held)).to.equal(undefined);
    }
  });

  it('asks about a key only while it could be held', () => {
    const { driven, kid } = ringOf();
    const asked = (now: number) => holdable(driven.ring, EAGER, now).map(key => key.kid);
    expect(asked(ANNOUNCED - 1)).to.deep.equal([]);
    expect(asked(ANNOUNCED)).to.include(kid);
    expect(asked(LATEST)).to.deep.equal([]);
    expect(requireKey(driven.ring, kid).state).to.equal('announced');
  });

  it('is told to who asks for a rotation, with its names and its end; --now does not wait', () => {
    const { driven, kid } = ringOf();
    const held = new Map([[kid, ['cl_a (jose/v6, 192.0.2.0/24)']]]);
    const ask = (now: boolean) =>
      planRotation(driven.ring, EAGER, [], ANNOUNCED, { alg: 'ES256', now, acceptsRisk: false }, held)[0];
    expect(ask(false)).to.deep.equal({
      alg: 'ES256',
      outcome: 'waits_for_verifiers',
      kid,
      verifiers: ['cl_a (jose/v6, 192.0.2.0/24)'],
      until: LATEST,
    });
    expect(ask(true)).to.include({ outcome: 'rotates' });
    const event = nextEvents(driven.ring, EAGER, [], ANNOUNCED, held).find(each => each.kid === kid);
    expect(event).to.deep.include({
      waitsForVerifiers: ['cl_a (jose/v6, 192.0.2.0/24)'],
      waitsUntil: LATEST,
    });
  });
});
