import type { ChildProcess } from 'node:child_process';
import { type BenchCase, isJourneyCase, type JourneyCase, type RequestCase, sendOnce } from './cases.js';
import { type Children, cpuSecondsOf, LOAD_CORE, residentMegabytesOf } from './children.js';
import { basicAuthorization, type LoadMessage, type LoadRequest, type LoadResult } from './load-job.js';
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
    const { name, url, paths, webClient: client } = side;
    const authorizations = side.clients.map(basicAuthorization);
    this.#send({ kind: 'clients', side: name, authorizations, site: { url, paths, client } });
  }

  async run(side: Side, request: LoadRequest, amount: number): Promise<LoadResult> {
    const firstClient = this.#nextClient.get(side.name) ?? 0;
    this.#nextClient.set(side.name, (firstClient + amount) % side.clients.length);
    const result = await this.#ask({
      kind: 'run',
      side: side.name,
      url: side.url,
      request,
      connections: CONNECTIONS,
      amount,
      firstClient,
    });
    refuseFailures(side, result, `${amount} requests to ${request.path}`);
    return result;
  }

  /** `prepare`: what the journeys of a round begin with; it is not measured. */
  async journey(
    side: Side,
    kind: 'prepare' | 'journey',
    { journey, connections, name }: JourneyCase,
    amount: number,
  ): Promise<LoadResult> {
    const result = await this.#ask({ kind, side: side.name, journey, connections, amount });
    refuseFailures(side, result, `${amount} journeys of "${name}"`);
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

  #ask(message: LoadMessage): Promise<LoadResult> {
    return new Promise<LoadResult>((resolve, reject) => {
      const ended = () => reject(new Error('the load generator ended'));
      this.#generator.once('exit', ended);
      this.#generator.once('message', (result: LoadResult) => {
        this.#generator.off('exit', ended);
        resolve(result);
      });
      this.#send(message);
    });
  }

  #send(message: LoadMessage): void {
    this.#generator.send(message);
  }
}

function refuseFailures(side: Side, { failures, firstFailure }: LoadResult, what: string): void {
  if (failures === 0) return;
  throw new Error(`${side.name} failed ${failures} of ${what}: ${firstFailure}\n${lastWordsOf(side)}`);
}

/** Every connection sends the same number: none idles while the last ones finish. */
function inRounds(amount: number, connections = CONNECTIONS): number {
  return Math.max(2, Math.ceil(amount / connections)) * connections;
}

/** One side in one case. */
interface Lane {
  readonly side: Side;
  readonly rounds: Round[];
  /** Before each round, unmeasured. */
  ready(): Promise<void>;
  run(): Promise<LoadResult>;
  /** After the last one. */
  end(): Promise<void>;
}

async function requestLane(load: Load, benchCase: RequestCase, side: Side, plan: RoundPlan): Promise<Lane> {
  const request = await benchCase.prepare(side);
  await expectRightAnswer(benchCase, side, request);
  const amount = inRounds((await load.warm(side, request, plan.warmFor)) * plan.roundFor);
  return {
    side,
    rounds: [],
    ready: async () => undefined,
    run: () => load.run(side, request, amount),
    end: () => expectRightAnswer(benchCase, side, request),
  };
}

async function journeyLane(load: Load, benchCase: JourneyCase, side: Side, plan: RoundPlan): Promise<Lane> {
  const { connections, most = Number.POSITIVE_INFINITY, isFixed = false } = benchCase;
  let amount = isFixed ? most : inRounds(0, connections);
  const ready = async () => {
    await load.journey(side, 'prepare', benchCase, amount);
  };
  const run = () => load.journey(side, 'journey', benchCase, amount);
  // Everybody signs in once before the first round, and the code is warm from that.
  await ready();
  if (!isFixed) {
    const { answers, seconds } = await run();
    amount = Math.min(most, inRounds((answers / seconds) * plan.roundFor, connections));
  }
  return { side, rounds: [], ready, run, end: async () => undefined };
}

async function measureRound({ side, ready, run }: Lane): Promise<Round> {
  await ready();
  const { pid } = side.child;
  let residentMegabytes = residentMegabytesOf(pid);
  const sampling = setInterval(() => {
    residentMegabytes = Math.max(residentMegabytes, residentMegabytesOf(pid));
  }, 50);
  try {
    const before = cpuSecondsOf(pid);
    const result = await run();
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

async function expectRightAnswer(benchCase: RequestCase, side: Side, request: LoadRequest): Promise<void> {
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
  const lanes: Lane[] = [];
  for (const side of sides) {
    lanes.push(
      isJourneyCase(benchCase)
        ? await journeyLane(load, benchCase, side, plan)
        : await requestLane(load, benchCase, side, plan),
    );
  }
  for (let pair = 0; pair < plan.pairs; pair += 1) {
    for (const lane of lanes) lane.rounds.push(await measureRound(lane));
  }
  for (const lane of lanes) await lane.end();
  return new Map(lanes.map(({ side, rounds }) => [side.name, rounds]));
}
