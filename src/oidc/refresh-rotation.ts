import { createHmac } from 'node:crypto';
import { errors, type KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { LifetimeConfig } from '../config/config.js';
import type { Database, Transaction } from '../database/connect.js';
import { type ArtifactPayload, type ArtifactStore, lostRace } from './artifact-store.js';
import type { RecordOf } from './client-adapter.js';
import { lostScope } from './token-policy.js';
import type { UnitOfWork } from './unit-of-work.js';

/**
 * A client whose answer was lost sends the same refresh token again. Within this many milliseconds, and while the
 * successor is unused, it gets the same successor; later, or once the successor was used, one of the two holders is
 * a thief and the family dies (RFC 9700 §4.14.2).
 */
const REPEATABLE_FOR = 10_000;

export interface RefreshRotationParts {
  readonly database: Database;
  readonly artifacts: ArtifactStore;
  readonly successorKey: Buffer;
  readonly databaseNow: () => number;
}

/**
 * Rotation with a grace that never makes two families: the successor's value is derived from the token it replaces,
 * so that every node, also after a restart, gives the same one without having stored it readable.
 */
export class RefreshRotation {
  readonly #parts: RefreshRotationParts;

  constructor(parts: RefreshRotationParts) {
    this.#parts = parts;
  }

  successorOf(refreshToken: string): string {
    return createHmac('sha256', this.#parts.successorKey).update(refreshToken).digest('base64url');
  }

  /** What the core is to see of a token that was found: a repeat looks unused. */
  async seen(id: string, found: ArtifactPayload, unit: UnitOfWork | undefined): Promise<ArtifactPayload> {
    if (found.consumed === undefined || unit === undefined || Provider.ctx?.oidc.route !== 'token')
      return found;
    const { database, databaseNow } = this.#parts;
    if (!(await database.read(on => this.#isRepeatable(on, id, databaseNow())))) return found;
    unit.repeatsRotation = true;
    const { consumed: _consumed, ...unused } = found;
    return unused;
  }

  /** Decided once more where it counts. */
  async assertRepeatable(trx: Transaction, id: string, now: number): Promise<void> {
    if (!(await this.#isRepeatable(trx, id, now))) throw lostRace('refresh token already used');
  }

  async #isRepeatable(on: Transaction | Database['reader'], id: string, now: number): Promise<boolean> {
    const { artifacts } = this.#parts;
    const consumedAt = await artifacts.consumedAt(on, 'RefreshToken', id);
    if (typeof consumedAt !== 'number' || now - consumedAt > REPEATABLE_FOR) return false;
    return (await artifacts.consumedAt(on, 'RefreshToken', this.successorOf(id))) === undefined;
  }
}

/** Gives the successor its derived value, and ends a family whose time or scope is over. */
export function installRefreshRotation(provider: Provider, rotation: RefreshRotation): void {
  const prototype = provider.RefreshToken.prototype as unknown as { generateTokenId(): string };
  const random = prototype.generateTokenId;
  prototype.generateTokenId = function (this: unknown): string {
    const rotated = Provider.ctx?.oidc.entities.RotatedRefreshToken;
    return rotated === undefined ? random.call(this) : rotation.successorOf(rotated.jti);
  };
}

/**
 * Asked by the core before it uses up a refresh token.
 *
 * @throws errors.InvalidGrant when the family is over: too old (however often it was used), or for a scope that the
 *   client has lost since.
 */
export function mayRotate(lifetimes: LifetimeConfig, recordOf: RecordOf) {
  return (ctx: KoaContextWithOIDC): boolean => {
    const { RefreshToken: token, Client: client } = ctx.oidc.entities;
    if (token === undefined || client === undefined) throw new TypeError('no refresh token to rotate');
    const record = recordOf(client);
    const endAfter = Math.min(record.refreshTokenEndAfter ?? lifetimes.endAfter, lifetimes.endAfter);
    if (token.totalLifetime() >= endAfter) throw new errors.InvalidGrant('refresh token family has ended');
    const lost = lostScope(record, token.scopes);
    if (lost !== undefined) throw new errors.InvalidGrant(`the client may no longer ask for ${lost}`);
    return true;
  };
}
