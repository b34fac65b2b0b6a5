import type { Logger } from '../log.js';

export interface Job {
  readonly name: string;
  /** Seconds between the end of one run and the beginning of the next. */
  readonly every: number;
  run(): Promise<void>;
}

/**
 * Runs each job over and over, never twice at once. A job that fails is told and tried again: none of them holds
 * state that a failure could lose.
 */
export class JobRunner {
  readonly #jobs: readonly Job[];
  readonly #log: Logger;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #running = new Map<string, Promise<void>>();
  #isStopped = false;

  constructor(jobs: readonly Job[], log: Logger) {
    this.#jobs = jobs;
    this.#log = log;
  }

  start(): void {
    for (const job of this.#jobs) this.#schedule(job);
  }

  /** Each job once, in order. */
  async tick(): Promise<void> {
    for (const job of this.#jobs) await this.#run(job);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all(this.#running.values());
  }

  #schedule(job: Job): void {
    if (this.#isStopped) return;
    const timer = setTimeout(() => {
      const running = this.#run(job).finally(() => {
        this.#running.delete(job.name);
        this.#schedule(job);
      });
      this.#running.set(job.name, running);
    }, job.every * 1000);
    this.#timers.set(job.name, timer);
  }

  async #run(job: Job): Promise<void> {
    try {
      await job.run();
    } catch (error) {
      this.#log.warn(
        { event: 'job.failed', job: job.name, err: error },
        'a job failed and will be tried again',
      );
    }
  }
}
