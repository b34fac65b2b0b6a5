import { expect } from 'chai';
import { type Line, timeline } from '../../src/cli/key-timeline.js';
import { DAY, HOUR } from '../../src/config/duration.js';
import { nextEvents } from '../../src/keys/key-schedule.js';
import { activeOf, successorOf } from '../../src/keys/key-state.js';
import { DrivenRing, seconds, policy as shortPolicy } from '../keys/rings.js';

/** 2027-01-01. */
const START = Date.UTC(2027, 0, 1);

const policy = {
  ...shortPolicy,
  ...{ announceFor: DAY, rotateEvery: 30 * DAY, retainFor: 13 * HOUR, algorithms: ['ES256'] as const },
};

function drawn(driven: DrivenRing, now: number, width?: number): string[] {
  const events = nextEvents(driven.ring, driven.policy, [], now);
  const lines = timeline(driven.ring, driven.policy, events, now, width);
  return lines.map((line: Line) =>
    line
      .map(({ text }) => text)
      .join('')
      .trimEnd(),
  );
}

const NEW_RING: readonly string[] = [
  `                    '2026-12-30         '2027-01-10         '2027-01-21`,
  `                          v now 2027-01-03 00:00Z`,
  `ES256     k1           ###|##################################################-`,
  `ES256     k2           ...|..................................................###`,
  `. announced  # active  - retained  x revoked  | now`,
];
const AFTER_REVOCATION: readonly string[] = [
  `                    '2027-01-31         '2027-02-13         '2027-02-27`,
  `                                     v now 2027-02-12 00:00Z`,
  `ES256     k1        -                |`,
  `ES256     k2        #############x   |`,
  `ES256     k3        .............####|#######################################-`,
  `ES256     k4                     ....|.......................................###`,
  `. announced  # active  - retained  x revoked  | now`,
];
const HOURS: readonly string[] = [
  `                    '01-01 00:00        '01-01 01:49        '01-01 03:39`,
  `                                           v now 2027-01-01 02:10Z`,
  `ES256     k1        #####################--|------------`,
  `ES256     k2        .....................##|###################---------------`,
  `ES256     k3                             ..|...................#################`,
  `. announced  # active  - retained  x revoked  | now`,
];

describe('the time line of signing keys', () => {
  it('shows a new ring: one key signs, the other waits, and when they change', () => {
    const driven = new DrivenRing(policy);
    driven.settle(START);
    expect(drawn(driven, START + seconds(2 * DAY))).to.deep.equal(NEW_RING);
  });

  it('shows a ring after a rotation, a revocation and a while, with everything that is still published', () => {
    const driven = new DrivenRing(policy);
    driven.settle(START);
    let now = START + seconds(30 * DAY);
    driven.settle(now);
    for (let day = 0; day < 9; day += 1) {
      now += seconds(DAY);
      driven.settle(now);
    }
    const kid = activeOf(driven.ring, 'ES256')?.kid ?? '';
    const activates = successorOf(driven.ring, 'ES256')?.kid;
    driven.apply({ kind: 'revoke', kid, alg: 'ES256', activates, announces: true }, now);
    now += seconds(3 * DAY);
    driven.settle(now);
    expect(drawn(driven, now)).to.deep.equal(AFTER_REVOCATION);
  });

  it('writes hours where days would say nothing', () => {
    const driven = new DrivenRing({ ...shortPolicy, algorithms: ['ES256'] });
    driven.settle(START);
    driven.settle(START + seconds(shortPolicy.rotateEvery));
    expect(drawn(driven, START + seconds(shortPolicy.rotateEvery + 600))).to.deep.equal(HOURS);
  });

  it('never is wider than the terminal, whatever the ring holds', () => {
    const driven = new DrivenRing({ ...policy, algorithms: ['ES256', 'RS256'] });
    driven.settle(START);
    for (let day = 0; day < 400; day += 7) {
      const now = START + seconds(day * DAY);
      driven.settle(now);
      for (const width of [60, 80, 132]) {
        for (const line of drawn(driven, now, width)) expect(line.length, line).to.be.at.most(width);
      }
    }
  });

  it('is readable without colours: each state has a mark of its own, and the present one, too', () => {
    const driven = new DrivenRing(policy);
    driven.settle(START);
    const legend = drawn(driven, START).at(-1) ?? '';
    const marks = [...legend.matchAll(/(\S) (?:announced|active|retained|revoked|now)/g)].map(
      ([, mark]) => mark,
    );
    expect(new Set(marks).size).to.equal(5);
  });

  it('shows at most 30 keys and counts the rest', () => {
    const driven = new DrivenRing({ ...shortPolicy, algorithms: ['ES256'] });
    driven.settle(START);
    for (let count = 0; count < 40; count += 1) {
      const kid = activeOf(driven.ring, 'ES256')?.kid ?? '';
      const activates = successorOf(driven.ring, 'ES256')?.kid;
      driven.apply({ kind: 'revoke', kid, alg: 'ES256', activates, announces: true }, START);
    }
    const lines = drawn(driven, START + seconds(3000));
    expect(lines.filter(line => line.startsWith('ES256'))).to.have.length(30);
    expect(lines.at(-2)).to.match(/^and \d+ more$/);
  });
});
