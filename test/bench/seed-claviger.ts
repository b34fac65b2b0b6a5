import type { BenchClient } from './bench-names.js';

export interface SeedTarget {
  /** `sqlite:PATH`; the file does not exist yet. */
  readonly databaseUrl: string;
  /** 32 bytes, base64url: what the server gets as CLAVIGER_ROOT_KEY. */
  readonly rootKey: string;
  readonly issuer: string;
  readonly environment: string;
}

export type Seed = (target: SeedTarget, count: number) => Promise<readonly BenchClient[]>;

/**
 * Migrates a new database and fills it by the real stores: the two resource servers of `BENCH_RESOURCES` that sign
 * (`es256` first and default, `rs256`; scope `BENCH_SCOPE`; access tokens for 600 s) and exactly `count` clients:
 * grant client_credentials, secret by client_secret_basic, `BENCH_SCOPE` at both resource servers.
 * Returns the clients with their readable secrets. Leaves nothing open.
 */
export const seedClaviger: Seed = async (_target, _count) => {
  throw new Error('Claviger cannot be seeded yet: fill in test/bench/seed-claviger.ts, or use --bare-only.');
};
