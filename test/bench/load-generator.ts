/**
 * The load generator: a program of its own, so that it never shares a core or an event loop with what it measures.
 * Every round is a fixed number of requests, not a fixed time: no request is cut off at the end, so the CPU
 * that the server spends divides exactly by the requests it answered.
 */
import autocannon from 'autocannon';
import { Journeys } from './journeys.js';
import { EACH_CLIENT, type LoadMessage, type LoadResult, type RunMessage } from './load-job.js';
import { percentile } from './statistics.js';

class LoadGenerator {
  readonly #authorizations = new Map<string, readonly string[]>();
  readonly #journeys = new Map<string, Journeys>();

  async receive(message: LoadMessage): Promise<LoadResult | undefined> {
    if (message.kind === 'clients') {
      this.#authorizations.set(message.side, message.authorizations);
      this.#journeys.set(message.side, new Journeys(message.site));
      return undefined;
    }
    if (message.kind === 'run') return this.#run(message);
    const journeys = this.#journeys.get(message.side);
    return message.kind === 'prepare' ? journeys?.prepare(message) : journeys?.run(message);
  }

  /** Connections walk disjoint stretches of the clients, so no client returns before all others have had their turn. */
  #requestsOf(connection: number, job: RunMessage): autocannon.Request[] {
    const { method, path, body, authorization } = job.request;
    const stretch = Math.ceil(job.amount / job.connections);
    const clients = authorization === EACH_CLIENT ? (this.#authorizations.get(job.side) ?? []) : [];
    const length = clients.length > 1 ? stretch : 1;
    return Array.from({ length }, (_, step) => {
      const client = clients[(job.firstClient + connection * stretch + step) % clients.length];
      const credential = client ?? authorization;
      return {
        method,
        path,
        body,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          ...(credential === undefined ? {} : { authorization: credential }),
        },
      };
    });
  }

  #run(job: RunMessage): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      const connections = { made: 0 };
      const latencies: number[] = [];
      const failed = { count: 0, first: undefined as string | undefined };
      const fail = (reason: string) => {
        failed.count += 1;
        failed.first ??= reason;
      };
      const time = { from: 0, until: 0 };
      let cpu = process.cpuUsage();
      const instance = autocannon(
        {
          url: job.url,
          connections: job.connections,
          amount: job.amount,
          // The answer is awaited until the next sample: keep the dead time short.
          sampleInt: 20,
          // A dead server must not be asked for ever.
          bailout: job.connections,
          setupClient: client => {
            client.setRequests(this.#requestsOf(connections.made, job));
            connections.made += 1;
          },
        },
        error => {
          if (error) return reject(error);
          const used = process.cpuUsage(cpu);
          latencies.sort((a, b) => a - b);
          resolve({
            answers: latencies.length,
            failures: failed.count + Math.max(0, job.amount - latencies.length - failed.count),
            firstFailure: failed.first,
            seconds: (time.until - time.from) / 1000,
            p50: percentile(latencies, 50),
            p99: percentile(latencies, 99),
            generatorCpuSeconds: (used.user + used.system) / 1e6,
          });
        },
      );
      instance.on('start', () => {
        time.from = performance.now();
        cpu = process.cpuUsage();
      });
      instance.on('response', (_client, status, _bytes, milliseconds) => {
        time.until = performance.now();
        latencies.push(milliseconds);
        if (status !== 200) fail(`status ${status}`);
      });
      instance.on('reqError', error => fail(String(error)));
    });
  }
}

const generator = new LoadGenerator();
process.on('message', (message: LoadMessage) => {
  generator.receive(message).then(
    result => result && process.send?.(result),
    error => {
      process.stderr.write(`load generator: ${error}\n`);
      process.exit(1);
    },
  );
});
// Never outlive the benchmark, however it ended.
process.on('disconnect', () => process.exit(0));
