import type { Adapter, AdapterPayload } from 'oidc-provider';
import type { Operation } from '../audit/group-commit.js';
import { RevokedTokenStore } from '../clients/revoked-token-store.js';
import type { Database } from '../database/connect.js';
import type { ArtifactPayload, ArtifactStore } from './artifact-store.js';
import type { PollLimit } from './polling.js';
import type { RefreshRotation } from './refresh-rotation.js';
import { SessionStore } from './session-store.js';
import { currentUnit } from './unit-of-work.js';

export interface AdapterOptions {
  readonly database: Database;
  readonly artifacts: ArtifactStore;
  readonly rotation: RefreshRotation;
  readonly polls: PollLimit;
}

/** A used code is remembered for longer than it lived: used again later it still gives its grant away (RFC 6749 §4.1.2). */
const USED_CODE_KEPT_FOR = 600;

const sessions = new SessionStore();
const revoked = new RevokedTokenStore();

/**
 * oidc-provider's view of the artifact store. Inside a request nothing is written here: writes are collected in
 * the request's unit of work and committed together with its audit events before the answer leaves, so that a
 * crash in between consumes nothing.
 */
export class ArtifactAdapter implements Adapter {
  readonly #model: string;
  readonly #options: AdapterOptions;

  constructor(model: string, options: AdapterOptions) {
    this.#model = model;
    this.#options = options;
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    const { artifacts } = this.#options;
    const unit = currentUnit();
    const stored = structuredClone(payload) as ArtifactPayload;
    // The same successor as before: it stands already, and the commit has checked that it is still unused.
    if (this.#model === 'RefreshToken' && unit?.repeatsRotation === true) return;
    const keptFor = this.#model === 'AuthorizationCode' ? expiresIn + USED_CODE_KEPT_FOR : expiresIn;
    const facts = unit?.facts;
    await this.#write(id, stored, async (trx, now) => {
      if (this.#model === 'Session' && typeof stored.accountId === 'string') {
        const use = {
          sessionId: artifacts.sessionHandle(String(stored.uid)),
          userId: stored.accountId,
          amr: (stored.amr ?? []) as string[],
          ip: facts?.ip,
          userAgent: facts?.userAgent,
          expiresAt: now + expiresIn * 1000,
        };
        await sessions.noteUse(trx, use, now);
      }
      if (this.#model === 'DeviceCode' && isClaim(stored)) {
        await artifacts.insertOnce(trx, 'DeviceCodeClaim', id, now + expiresIn * 1000, now);
      }
      await artifacts.upsert(trx, this.#model, id, stored, keptFor, now);
    });
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const { artifacts, database, rotation, polls } = this.#options;
    const key = artifacts.rowId(this.#model, id);
    const unit = currentUnit();
    if (unit?.artifacts.has(key)) return unit.artifacts.get(key);
    const found = await database.read(on => artifacts.find(on, this.#model, id));
    if (found === undefined) return undefined;
    // Of a client that was disabled since: enabled again, it begins anew.
    if (this.#model === 'Grant' && (await this.#isOutdated(found))) return undefined;
    if (this.#model === 'RefreshToken') return rotation.seen(id, found, unit);
    if (this.#model === 'AuthorizationCode') return asReplayable(found);
    await polls.note(this.#model, key);
    return found;
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    const { artifacts, database } = this.#options;
    return database.read(on => artifacts.findByUid(on, this.#model, uid));
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    const { artifacts, database } = this.#options;
    return database.read(on => artifacts.findByUserCode(on, this.#model, userCode));
  }

  /** Decided at the commit: of parallel uses one commits, the others are judged again and find it consumed. */
  async consume(id: string): Promise<void> {
    const { artifacts, rotation } = this.#options;
    const found = await this.find(id);
    const isRepeat = this.#model === 'RefreshToken' && currentUnit()?.repeatsRotation === true;
    await this.#write(id, found && { ...found, consumed: true }, (trx, now) =>
      isRepeat ? rotation.assertRepeatable(trx, id, now) : artifacts.consume(trx, this.#model, id, now),
    );
  }

  async destroy(id: string): Promise<void> {
    const { artifacts } = this.#options;
    // An interaction is resumed once: two answers to one consent page must not become two codes.
    const isTaken = this.#model === 'Interaction';
    await this.#write(id, undefined, trx =>
      isTaken ? artifacts.take(trx, this.#model, id) : artifacts.destroy(trx, this.#model, id),
    );
  }

  /** The core asks once for each kind of token; one tombstone ends them all. */
  async revokeByGrantId(grantId: string): Promise<void> {
    const { artifacts } = this.#options;
    const unit = currentUnit();
    const handle = artifacts.grantHandle(grantId);
    if (unit?.revokedGrants.has(handle) === true) return;
    unit?.revokedGrants.add(handle);
    await this.#operate((trx, now) => artifacts.revokeByGrantId(trx, grantId, now));
  }

  async #isOutdated({ clientId, iat }: ArtifactPayload): Promise<boolean> {
    const facts = { jti: '', clientId: String(clientId), iat: Number(iat) };
    return this.#options.database.read(on => revoked.isRevoked(on, facts));
  }

  async #write(id: string, seen: ArtifactPayload | undefined, operation: Operation): Promise<void> {
    currentUnit()?.artifacts.set(this.#options.artifacts.rowId(this.#model, id), seen);
    await this.#operate(operation);
  }

  async #operate(operation: Operation): Promise<void> {
    const unit = currentUnit();
    if (unit === undefined) {
      const { database } = this.#options;
      await database.transaction(async trx => operation(trx, await database.now(trx)));
    } else {
      unit.operations.push(operation);
    }
  }
}

/**
 * A browser has confirmed a user code. The core looks whether another one has, and then saves: of several at once each
 * would go on, and the last to sign in would own the device (RFC 8628 §5.4).
 */
function isClaim({ inFlight, accountId, error }: ArtifactPayload): boolean {
  return inFlight === true && accountId === undefined && error === undefined;
}

/** The core looks at the age of a code before it looks whether it was used, and would let a late replay pass unpunished. */
function asReplayable(code: ArtifactPayload): ArtifactPayload {
  return code.consumed === undefined ? code : { ...code, exp: Number.MAX_SAFE_INTEGER };
}
