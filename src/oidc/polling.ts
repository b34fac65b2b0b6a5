import { errors, Provider } from 'oidc-provider';
import type { RequestFacts } from '../audit/events.js';

/** Seconds between two polls of a client (RFC 8628 §3.5, CIBA Core §7.3). */
export const POLL_EVERY = 5;

const POLLED_MODELS: readonly string[] = ['DeviceCode', 'BackchannelAuthenticationRequest'];

/** Counts an attempt for all nodes; false: too soon. */
export type CountPoll = (key: string) => Promise<boolean>;

/** The core sets no pace for clients that wait for a person; without one, each of them is a small flood. */
export class PollLimit {
  readonly #count: CountPoll;
  /** A request that is judged again has polled once. */
  readonly #counted = new WeakSet<RequestFacts>();

  constructor(count: CountPoll) {
    this.#count = count;
  }

  /** @throws errors.SlowDown */
  async note(model: string, key: string): Promise<void> {
    const ctx = Provider.ctx;
    if (!POLLED_MODELS.includes(model) || ctx?.oidc.route !== 'token') return;
    const facts = ctx.state.facts as RequestFacts;
    if (this.#counted.has(facts)) return;
    this.#counted.add(facts);
    if (!(await this.#count(key)))
      throw new errors.SlowDown(`poll every ${POLL_EVERY} seconds, not more often`);
  }
}
