import { setTimeout as pause } from 'node:timers/promises';
import { BENCH_PEOPLE } from './bench-names.js';
import type { JourneyMessage, LoadResult, Site } from './load-job.js';
import { type Code, obtainCode, redeem, rotate } from './sign-in.js';
import { percentile } from './statistics.js';
import { Visitor } from './visitor.js';

/** Sign-ins at a time while nothing is measured. */
const PREPARING = 8;
/** While a crowd signs in, so many verifiers fetch the key set, each again after so many milliseconds. */
const VERIFIERS = 4;
const FETCH_AFTER = 5;

class Timing {
  readonly #from = performance.now();
  readonly #cpu = process.cpuUsage();
  readonly #latencies: number[] = [];
  readonly #failures: string[] = [];

  async time(work: () => Promise<void>): Promise<void> {
    const from = performance.now();
    await work().then(
      () => this.#latencies.push(performance.now() - from),
      error => this.#failures.push(error instanceof Error ? error.message : String(error)),
    );
  }

  get hasFailed(): boolean {
    return this.#failures.length > 0;
  }

  fail(error: unknown): void {
    this.#failures.push(error instanceof Error ? error.message : String(error));
  }

  end(): LoadResult {
    const seconds = (performance.now() - this.#from) / 1000;
    const { user, system } = process.cpuUsage(this.#cpu);
    this.#latencies.sort((a, b) => a - b);
    return {
      answers: this.#latencies.length,
      failures: this.#failures.length,
      firstFailure: this.#failures[0],
      seconds,
      p50: percentile(this.#latencies, 50),
      p99: percentile(this.#latencies, 99),
      generatorCpuSeconds: (user + system) / 1e6,
    };
  }
}

/** People and their client on one side: who is signed in, which codes and refresh tokens are at hand. */
export class Journeys {
  readonly #site: Site;
  /** One browser for each person. */
  readonly #people: readonly Visitor[];
  /** The client's own connections. */
  readonly #calls: readonly Visitor[];
  /** One refresh token for each person, the newest of its family. */
  readonly #refreshTokens: string[] = [];
  #codes: Code[] = [];
  #turn = 0;

  constructor(site: Site) {
    this.#site = site;
    this.#people = Array.from({ length: BENCH_PEOPLE }, () => new Visitor(site.url));
    this.#calls = Array.from({ length: BENCH_PEOPLE }, () => new Visitor(site.url));
  }

  async prepare({ journey, connections, amount }: JourneyMessage): Promise<LoadResult> {
    if (this.#refreshTokens.length === 0) {
      const met = await this.#drive(PREPARING, BENCH_PEOPLE, async (_connection, person) => {
        this.#refreshTokens[person] = await this.#signIn(person, true);
      });
      if (met.failures > 0) return met;
    }
    this.#codes = [];
    return this.#drive(connections, journey === 'code' ? amount : 0, async connection => {
      // Still signed in, and nothing is asked.
      this.#codes.push(await obtainCode(this.#person(connection), this.#site, {}));
    });
  }

  run({ journey, connections, amount }: JourneyMessage): Promise<LoadResult> {
    if (journey === 'crowd') return this.#crowd(amount);
    return this.#drive(connections, amount, async connection => {
      if (journey === 'code') {
        const code = this.#codes.pop();
        if (code === undefined) throw new Error('no code is left');
        await redeem(this.#call(connection), this.#site, code);
      } else if (journey === 'refresh') {
        const token = this.#refreshTokens[connection] ?? '';
        this.#refreshTokens[connection] = await rotate(this.#call(connection), this.#site, token);
      } else {
        // Never the same person on two connections: there are more people than connections.
        this.#turn = (this.#turn + 1) % BENCH_PEOPLE;
        await this.#signIn(this.#turn, false);
      }
    });
  }

  /** How fast the key set is answered while so many people sign in at once. */
  async #crowd(amount: number): Promise<LoadResult> {
    const timing = new Timing();
    let hasEnded = false;
    const verifiers = Array.from({ length: VERIFIERS }, async () => {
      const verifier = new Visitor(this.#site.url);
      while (!hasEnded) {
        await timing.time(async () => {
          const { status, text } = await verifier.get(this.#site.paths.jwks);
          if (status !== 200 || JSON.parse(text).keys.length < 2) throw new Error(`${status} ${text}`);
        });
        await pause(FETCH_AFTER);
      }
    });
    const signIns = Array.from({ length: amount }, (_, person) => this.#signIn(person, false));
    for (const { status, ...rest } of await Promise.allSettled(signIns)) {
      if (status === 'rejected' && 'reason' in rest) timing.fail(rest.reason);
    }
    hasEnded = true;
    await Promise.all(verifiers);
    return timing.end();
  }

  /** @returns the refresh token that the client got */
  async #signIn(person: number, mayConsent: boolean): Promise<string> {
    const browser = this.#person(person);
    browser.forgetSession();
    const code = await obtainCode(browser, this.#site, { person, mayConsent });
    return redeem(this.#call(person), this.#site, code);
  }

  #person(index: number): Visitor {
    return visitorOf(this.#people, index);
  }

  #call(index: number): Visitor {
    return visitorOf(this.#calls, index);
  }

  /** Each connection begins its next journey when the last one has ended. */
  async #drive(
    connections: number,
    amount: number,
    journey: (connection: number, count: number) => Promise<void>,
  ): Promise<LoadResult> {
    const timing = new Timing();
    let begun = 0;
    const lanes = Array.from({ length: connections }, async (_, connection) => {
      // A server that fails must not be asked for ever.
      while (begun < amount && !timing.hasFailed) {
        const count = begun;
        begun += 1;
        await timing.time(() => journey(connection, count));
      }
    });
    await Promise.all(lanes);
    return timing.end();
  }
}

function visitorOf(visitors: readonly Visitor[], index: number): Visitor {
  const visitor = visitors[index];
  if (visitor === undefined) throw new Error(`there is no person ${index}`);
  return visitor;
}
