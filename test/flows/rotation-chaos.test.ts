import { expect } from 'chai';
import { figure, isLong, rounds, timeLimit } from '../support/scale.js';
import { Chaos, NODES, ROTATION, STEP_FOR, VERIFIER_CACHE_FOR } from './rotation-chaos.js';
import { type Fault, faults, type Machine } from './rotation-machines.js';

/** Steps that outlast the announcement of a key which the broken node has never seen. */
const LONG_FAULT = 2 * ROTATION + 4;
/** Steps until a verifier of five minutes has certainly looked again. */
const SETTLED = Math.ceil(VERIFIER_CACHE_FOR / STEP_FOR) + 1;
/** Steps from one fault to the next. */
const FAULT_EVERY = 7;

function counted(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${name}: ${count}`).join(', ');
}

describe('key rotation while everything breaks', () => {
  let chaos: Chaos;

  afterEach(() => chaos.close());

  it('leaves no token unverifiable and no key used early, over three nodes on PostgreSQL (requirements 61, 62, 66)', async function () {
    this.timeout(timeLimit(300_000));
    chaos = new Chaos();
    await chaos.open();
    const wanted = rounds({ short: 6, long: 50 });
    const mostSteps = (wanted + 20) * ROTATION * 2;
    const working = chaos.startWork();
    const all = faults(LONG_FAULT);
    // Each fault once, then any of them.
    const planned = [...all];
    const broken: { readonly until: number; readonly fault: Fault; readonly machine: Machine }[] = [];
    let steps = 0;
    for (let calm = 0; calm < SETTLED && steps < mostSteps; steps += 1) {
      for (const due of broken.filter(({ until }) => until <= steps)) {
        broken.splice(broken.indexOf(due), 1);
        await chaos.end(due.fault, due.machine);
      }
      const isEnough = planned.length === 0 && (!isLong || (await chaos.rotations()) >= wanted);
      const machine = isEnough || steps % FAULT_EVERY !== 3 ? undefined : chaos.target();
      if (machine === undefined) await chaos.move();
      else {
        const fault = planned.shift() ?? chaos.pick(all);
        broken.push({ until: steps + fault.steps, fault, machine });
        await chaos.move(() => chaos.begin(fault, machine));
      }
      if (isEnough && broken.length === 0 && (await chaos.rotations()) >= wanted) calm += 1;
    }
    await chaos.recovered();
    const rotations = await chaos.rotations();
    const keys = new Set(chaos.issued.map(({ kid }) => kid)).size;
    figure(
      `chaos: ${rotations} rotations of each algorithm in ${steps} steps of ${STEP_FOR} s, ${NODES} nodes on PostgreSQL, ${chaos.machines.filter(one => one.hasOwnNetwork).length} of them in a network namespace; faults (${counted(chaos.faults)}); ${chaos.asked} requests (${counted(chaos.statuses)}), ${chaos.issued.length} tokens by ${keys} keys, ${chaos.chains?.refreshed} of them by refresh, ${chaos.chains?.lost} refresh tokens lost with an answer; ${chaos.verified} verifications, ${chaos.wrong.length} failed; active keys counted ${chaos.looks} times, never two`,
    );
    expect(chaos.wrong.slice(0, 5)).to.deep.equal([]);
    await chaos.expectNoneEarly();
    expect(rotations).to.be.at.least(wanted);
    expect([...chaos.faults.keys()]).to.have.members(all.map(({ kind }) => kind));
    await chaos.close();
    await working;
  });

  it('meets verifiers with unknown keys when a cut-off node goes on showing what it knew (control)', async function () {
    this.timeout(timeLimit(200_000));
    chaos = new Chaos({ servesForever: true });
    await chaos.open();
    const working = chaos.startWork();
    const fault = faults(LONG_FAULT).find(({ kind }) => kind === 'cut off over a rotation');
    const machine = chaos.machines[0];
    if (fault === undefined || machine === undefined) throw new Error('nothing to break');
    await chaos.begin(fault, machine);
    const isUnknown = () => chaos.wrong.some(told => told.includes('no applicable key found'));
    for (let steps = 0; steps < LONG_FAULT + SETTLED && !isUnknown(); steps += 1) await chaos.move();
    expect(chaos.wrong.join()).to.match(/verifier 1: no applicable key found/);
    await chaos.close();
    await working;
  });
});
