import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export interface SigningKeyAge {
  readonly kid: string;
  readonly alg: string;
  readonly state: string;
  readonly ageFor: number;
  /** Since it began to sign; undefined while it does not. */
  readonly activeFor?: number | undefined;
}

/** What the ring will do next. */
export interface KeyForecast {
  readonly kind: string;
  readonly alg: string;
  /** Seconds; negative when it is late. */
  readonly inFor: number;
  readonly waitsForNodes: number;
}

interface Observer {
  observe(value: number): void;
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const MOST_ROUTES = 200;
const MOST_OUTCOMES = 500;
const OTHER = 'other';
const NANOSECONDS = 1e9;

/**
 * What Prometheus reads from the operations listener. One instance a server with a registry of its own, so that two
 * servers in one program do not mix. The number of series is bounded whatever requests contain.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #loopDelay: IntervalHistogram = monitorEventLoopDelay({ resolution: 20 });
  /** method → route → status: children resolved once, so that a request creates no label object. */
  readonly #requests = new Map<string, Map<string, Map<number, Observer>>>();
  readonly #routes = new Set<string>();
  /** Counted here and handed over when someone asks: counting costs a map look-up. */
  readonly #tokenRequests = new Map<string, Map<string, Map<string, number>>>();
  #tokenSeries = 0;
  readonly #jwksRequests = new Map<number, number>();
  readonly #grantTypes: ReadonlySet<string>;

  readonly #requestDuration: Histogram<'method' | 'route' | 'status'>;
  readonly #keyAge: Gauge<'kid' | 'alg' | 'state'>;
  readonly #keyOverdue: Gauge<'alg'>;
  readonly #keyActive: Gauge<'alg'>;
  readonly #keyCount: Gauge<'alg' | 'state'>;
  readonly #keyNext: Gauge<'alg' | 'kind'>;
  readonly #keyBarrier: Gauge<'alg'>;
  readonly #keysDamaged: Gauge;
  readonly #ringAge: Gauge;
  readonly #ringVersion: Gauge;
  readonly #commitSize: Histogram;
  readonly #commitDuration: Histogram;

  constructor(knownGrantTypes: readonly string[]) {
    const registers = [this.#registry];
    this.#grantTypes = new Set(knownGrantTypes);
    this.#requestDuration = new Histogram({
      name: 'claviger_http_request_duration_seconds',
      help: 'Time from the first byte of a request to the end of its response.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
      registers,
    });
    this.#keyAge = new Gauge({
      name: 'claviger_signing_key_age_seconds',
      help: 'Time since a published signing key was created.',
      labelNames: ['kid', 'alg', 'state'],
      registers,
    });
    this.#keyOverdue = new Gauge({
      name: 'claviger_signing_key_overdue_seconds',
      help: 'How long the active signing key has been in use beyond keys.rotateEvery; 0 when in time.',
      labelNames: ['alg'],
      registers,
    });
    this.#keyActive = new Gauge({
      name: 'claviger_signing_key_active_seconds',
      help: 'How long the active signing key has been signing.',
      labelNames: ['alg'],
      registers,
    });
    this.#keyCount = new Gauge({
      name: 'claviger_signing_keys',
      help: 'Published signing keys.',
      labelNames: ['alg', 'state'],
      registers,
    });
    this.#keyNext = new Gauge({
      name: 'claviger_signing_key_next_seconds',
      help: 'Time until the soonest next step of this kind; negative when it is late.',
      labelNames: ['alg', 'kind'],
      registers,
    });
    this.#keyBarrier = new Gauge({
      name: 'claviger_signing_key_barrier_nodes',
      help: 'Live nodes that do not publish the announced successor yet; it cannot sign before they do.',
      labelNames: ['alg'],
      registers,
    });
    this.#keysDamaged = new Gauge({
      name: 'claviger_signing_keys_damaged',
      help: 'Active or announced signing keys whose private half this node cannot open.',
      registers,
    });
    this.#ringAge = new Gauge({
      name: 'claviger_key_ring_age_seconds',
      help: 'Time since this node last confirmed its key ring; beyond 30 it signs nothing.',
      registers,
    });
    this.#ringVersion = new Gauge({
      name: 'claviger_key_ring_version',
      help: 'Version of the key ring this node serves; nodes that differ for long are cut off.',
      registers,
    });
    this.#commitSize = new Histogram({
      name: 'claviger_group_commit_units',
      help: 'Requests whose writes went into one database transaction.',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
      registers,
    });
    this.#commitDuration = new Histogram({
      name: 'claviger_group_commit_duration_seconds',
      help: 'Time one such transaction took.',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
      registers,
    });
    this.#addTokenRequests();
    this.#addJwksRequests();
    this.#addLoopLag();
    this.#loopDelay.enable();
  }

  #addTokenRequests(): void {
    const counts = this.#tokenRequests;
    new Counter({
      name: 'claviger_oauth_token_requests_total',
      help: 'Requests to the token endpoint; error is empty on success.',
      labelNames: ['grant_type', 'outcome', 'error'],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [grantType, outcomes] of counts) {
          for (const [outcome, errors] of outcomes) {
            for (const [error, count] of errors) this.inc({ grant_type: grantType, outcome, error }, count);
          }
        }
      },
    });
  }

  #addJwksRequests(): void {
    const counts = this.#jwksRequests;
    new Counter({
      name: 'claviger_jwks_requests_total',
      help: 'Requests for the JWKS.',
      labelNames: ['status'],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [status, count] of counts) this.inc({ status: String(status) }, count);
      },
    });
  }

  #addLoopLag(): void {
    const delay = this.#loopDelay;
    new Gauge({
      name: 'claviger_event_loop_lag_seconds',
      help: 'Delay of the event loop since the last scrape.',
      labelNames: ['quantile'],
      registers: [this.#registry],
      collect() {
        // Before its first sample the histogram answers with sentinels.
        const seconds = (nanoseconds: number) => (delay.count === 0 ? 0 : nanoseconds / NANOSECONDS);
        this.set({ quantile: '0.5' }, seconds(delay.percentile(50)));
        this.set({ quantile: '0.99' }, seconds(delay.percentile(99)));
        this.set({ quantile: '1' }, seconds(delay.max));
        delay.reset();
      },
    });
  }

  /** @param route the pattern that matched, never the path itself. */
  observeRequest(method: string, route: string, status: number, durationSeconds: number): void {
    const observer =
      this.#requests.get(method)?.get(route)?.get(status) ?? this.#requestObserver(method, route, status);
    observer.observe(durationSeconds);
  }

  #requestObserver(givenMethod: string, givenRoute: string, givenStatus: number): Observer {
    const method = METHODS.has(givenMethod) ? givenMethod : OTHER;
    const route = this.#routes.has(givenRoute) || this.#routes.size < MOST_ROUTES ? givenRoute : OTHER;
    const status = givenStatus >= 100 && givenStatus <= 599 ? Math.trunc(givenStatus) : 0;
    this.#routes.add(route);
    const routes = this.#requests.get(method) ?? new Map<string, Map<number, Observer>>();
    this.#requests.set(method, routes);
    const statuses = routes.get(route) ?? new Map<number, Observer>();
    routes.set(route, statuses);
    const observer = statuses.get(status) ?? this.#requestDuration.labels(method, route, String(status));
    statuses.set(status, observer);
    return observer;
  }

  /** @param error the OAuth error code, or empty on success. */
  countTokenRequest(grantType: string, outcome: 'issued' | 'refused' | 'failed', error = ''): void {
    // The grant type is whatever the caller wrote: only known ones get a series.
    const grant = this.#grantTypes.has(grantType) ? grantType : OTHER;
    const errors = this.#tokenRequests.get(grant)?.get(outcome);
    const count = errors?.get(error);
    if (errors !== undefined && count !== undefined) errors.set(error, count + 1);
    else this.#startCounting(grant, outcome, error);
  }

  #startCounting(grant: string, outcome: string, givenError: string): void {
    const isCountable = /^[a-z_]{0,64}$/.test(givenError) && this.#tokenSeries < MOST_OUTCOMES;
    const error = givenError === '' || isCountable ? givenError : OTHER;
    const outcomes = this.#tokenRequests.get(grant) ?? new Map<string, Map<string, number>>();
    this.#tokenRequests.set(grant, outcomes);
    const errors = outcomes.get(outcome) ?? new Map<string, number>();
    outcomes.set(outcome, errors);
    const count = errors.get(error);
    if (count === undefined) this.#tokenSeries += 1;
    errors.set(error, (count ?? 0) + 1);
  }

  countJwksRequest(status: number): void {
    this.#jwksRequests.set(status, (this.#jwksRequests.get(status) ?? 0) + 1);
  }

  observeCommit(units: number, durationSeconds: number): void {
    this.#commitSize.observe(units);
    this.#commitDuration.observe(durationSeconds);
  }

  /** The whole ring each time: keys that left it leave the metric. */
  setSigningKeys(version: number, keys: readonly SigningKeyAge[]): void {
    this.#ringVersion.set(version);
    this.#keyAge.reset();
    this.#keyActive.reset();
    this.#keyCount.reset();
    for (const { kid, alg, state, ageFor, activeFor } of keys) {
      this.#keyAge.set({ kid, alg, state }, ageFor);
      this.#keyCount.inc({ alg, state });
      if (activeFor !== undefined) this.#keyActive.set({ alg }, activeFor);
    }
  }

  setKeyRingHealth(ageFor: number, damaged: number): void {
    this.#ringAge.set(ageFor);
    this.#keysDamaged.set(damaged);
  }

  /** Soonest first. */
  setKeyForecast(events: readonly KeyForecast[]): void {
    this.#keyNext.reset();
    this.#keyBarrier.reset();
    for (const { kind, alg, inFor, waitsForNodes } of [...events].reverse()) {
      this.#keyNext.set({ alg, kind }, inFor);
      if (kind === 'activate') this.#keyBarrier.set({ alg }, waitsForNodes);
    }
  }

  setRotationOverdue(alg: string, overdueFor: number): void {
    this.#keyOverdue.set({ alg }, Math.max(0, overdueFor));
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Prometheus text format. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  close(): void {
    this.#loopDelay.disable();
  }
}
