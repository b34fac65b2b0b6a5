import type { Actor } from '../audit/events.js';
import { clientSecret as newClientSecret } from '../crypto/random-id.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import type { Fault } from '../errors.js';
import { nameProblem, refuseFaults } from '../resources/text-checks.js';
import { type ClientSecretId, type ClientSecretRecord, clientSecretId } from './client-secret.js';

export interface SecretInput {
  /** For the people who rotate it: who holds it, or where. */
  readonly name: string;
  /** Seconds; default: it does not expire. */
  readonly expiresIn?: number | undefined;
}

/** The one moment in which the secret can be read. */
export interface NewClientSecret {
  readonly id: ClientSecretId;
  readonly clientSecret: string;
  readonly expiresAt?: number | undefined;
}

export interface MadeSecret {
  readonly clientSecret: string;
  readonly record: (input: SecretInput, now: number) => ClientSecretRecord;
}

const SHORTEST_SECRET_FOR = 60;
/** Ten years: a typing error should not look like a plan. */
const LONGEST_SECRET_FOR = 10 * 366 * 24 * 3600;

/** What is wrong with a length of time that ends a secret, or undefined. */
export function lifeProblem(value: unknown, shortest: number): string | undefined {
  const isGood =
    Number.isSafeInteger(value) && Number(value) >= shortest && Number(value) <= LONGEST_SECRET_FOR;
  return isGood ? undefined : `Choose from ${shortest} to ${LONGEST_SECRET_FOR} whole seconds (ten years).`;
}

/** @throws AppError `invalid_request` with every fault found. */
export function checkSecret(input: SecretInput & { readonly retireOthersIn?: number | undefined }): void {
  const faults: Fault[] = [];
  const wrongName = nameProblem(input.name);
  if (wrongName !== undefined) faults.push({ at: 'name', problem: wrongName });
  const lives = [
    ['expires_in', input.expiresIn, SHORTEST_SECRET_FOR],
    ['retire_others_in', input.retireOthersIn, 0],
  ] as const;
  for (const [at, value, shortest] of lives) {
    const problem = value === undefined ? undefined : lifeProblem(value, shortest);
    if (problem !== undefined) faults.push({ at, problem });
  }
  refuseFaults('client secret', faults);
}

/** Made before the transaction, which may run more than once; dated inside it. */
export function makeSecret(hasher: SecretHasher, clientId: string, actor: Actor): MadeSecret {
  const clientSecret = newClientSecret();
  const id = clientSecretId();
  const hash = hasher.hash(clientSecret);
  return {
    clientSecret,
    record: ({ name, expiresIn }, now) => ({
      id,
      clientId,
      name,
      hash,
      pepperId: hasher.pepperId,
      createdBy: actor,
      createdAt: now,
      expiresAt: expiresIn === undefined ? undefined : now + expiresIn * 1000,
      revokedAt: undefined,
      lastUsedAt: undefined,
    }),
  };
}
