import type { ChildProcess } from 'node:child_process';
import { type BenchCase, basicAuthorization, sendOnce } from './cases.js';
import { type Children, cpuSecondsOf, LOAD_CORE, residentMegabytesOf } from './children.js';
import type { LoadMessage, LoadRequest, LoadResult } from './load-job.js';
import { lastWordsOf, type Side, type SideName } from './sides.js';

export const CONNECTIONS = 32;

export interface Round {
  readonly rps: number;
  readonly cpuMicroseconds: number;
  readonly p50: number;
  readonly p99: number;
  readonly residentMegabytes: number;
  /** Share of the time that the server, and the generator, kept their core busy. */
  readonly serverLoad: number;
  readonly generatorLoad: number;
}

export type Rounds = ReadonlyMap<SideName, readonly Round[]>;

export interface RoundPlan {
  readonly pairs: number;
  readonly roundFor: number;
  readonly warmFor: number;
}

export class Load {
  readonly #generator: ChildProcess;
  readonly #nextClient = new Map<SideName, number>();

  constructor(children: Children, script: string) {
    this.#generator = children.start(LOAD_CORE, [script], {
      env: {},
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  }

  introduce(side: Side): void {
    this.#nextClient.set(side.name, 0);
    this.#send({ kind: 'clients', side: side.name, authorizations: side.clients.map(basicAuthorization) });
  }

  async run(side: Side, request: LoadRequest, amount: number): Promise<LoadResult> {
    const firstClient = this.#nextClient.get(side.name) ?? 0;
    this.#nextClient.set(side.name, (firstClient + amount) % side.clients.length);
    const result = await new Promise<LoadResult>((resolve, reject) => {
      const ended = () => reject(new Error('the load generator ended'));
      this.#generator.once('exit', ended);
      this.#generator.once('message', (message: LoadResult) => {
        this.#generator.off('exit', ended);
        resolve(message);
      });
      this.#send({
        kind: 'run',
        side: side.name,
        url: side.url,
        request,
        connections: CONNECTIONS,
        amount,
        firstClient,
      });
    });
    if (result.failures > 0) {
      throw new Error(
        `${side.name} failed ${result.failures} of ${amount} requests to ${request.path}: ${result.firstFailure}\n${lastWordsOf(side)}`,
      );
    }
    return result;
  }

  /** @returns requests per second once warm. */
  async warm(side: Side, request: LoadRequest, seconds: number, atLeast = 0): Promise<number> {
    let amount = 10 * CONNECTIONS;
    let sent = 0;
    let spent = 0;
    for (;;) {
      const result = await this.run(side, request, amount);
      sent += amount;
      spent += result.seconds;
      const rate = amount / result.seconds;
      if (spent >= seconds && sent >= atLeast) return rate;
      amount = inRounds(Math.max(rate * Math.max(seconds - spent, 0.2), Math.min(atLeast - sent, rate)));
    }
  }

  #send(message: LoadMessage): void {
    this.#generator.send(message);
  }
}

/** Every connection sends the same number: none idles while the last ones finish. */
function inRounds(amount: number): number {
  return Math.max(2, Math.ceil(amount / CONNECTIONS)) * CONNECTIONS;
}

async function measureRound(load: Load, side: Side, request: LoadRequest, amount: number): Promise<Round> {
  const { pid } = side.child;
  let residentMegabytes = residentMegabytesOf(pid);
  const sampling = setInterval(() => {
    residentMegabytes = Math.max(residentMegabytes, residentMegabytesOf(pid));
  }, 50);
  try {
    const before = cpuSecondsOf(pid);
    const result = await load.run(side, request, amount);
    const cpuSeconds = cpuSecondsOf(pid) - before;
    return {
      rps: result.answers / result.seconds,
      cpuMicroseconds: (cpuSeconds * 1e6) / result.answers,
      p50: result.p50,
      p99: result.p99,
      residentMegabytes: Math.max(residentMegabytes, residentMegabytesOf(pid)),
      serverLoad: cpuSeconds / result.seconds,
      generatorLoad: result.generatorCpuSeconds / result.seconds,
    };
  } finally {
    clearInterval(sampling);
  }
}

async function expectRightAnswer(benchCase: BenchCase, side: Side, request: LoadRequest): Promise<void> {
  const fault = benchCase.faultIn(await sendOnce(side, request));
  if (fault !== undefined) throw new Error(`${side.name}, ${benchCase.name}: ${fault}`);
}

/** Short rounds, the sides in turn, so that a slow spell of the machine meets all of them. */
export async function measureCase(
  load: Load,
  benchCase: BenchCase,
  sides: readonly Side[],
  plan: RoundPlan,
): Promise<Rounds> {
  const lanes = [];
  for (const side of sides) {
    const request = await benchCase.prepare(side);
    await expectRightAnswer(benchCase, side, request);
    const rate = await load.warm(side, request, plan.warmFor);
    lanes.push({ side, request, amount: inRounds(rate * plan.roundFor), rounds: [] as Round[] });
  }
  for (let pair = 0; pair < plan.pairs; pair += 1) {
    for (const lane of lanes) {
      lane.rounds.push(await measureRound(load, lane.side, lane.request, lane.amount));
    }
  }
  for (const lane of lanes) await expectRightAnswer(benchCase, lane.side, lane.request);
  return new Map(lanes.map(({ side, rounds }) => [side.name, rounds]));
}
