import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider';
import type { Operation } from '../audit/group-commit.js';
import type { Database } from '../database/connect.js';
import type { ArtifactPayload, ArtifactStore } from './artifact-store.js';
import { UnitOfWork } from './unit-of-work.js';

export interface AdapterOptions {
  readonly database: Database;
  readonly artifacts: ArtifactStore;
}

/** The unit of the request under way; undefined outside one (a job, a test). */
export function currentUnit(): UnitOfWork | undefined {
  const unit: unknown = Provider.ctx?.state.unit;
  return unit instanceof UnitOfWork ? unit : undefined;
}

/**
 * oidc-provider's view of the artifact store. Inside a request nothing is written here: writes are collected in
 * the request's unit of work and committed together with its audit events before the answer leaves, so that a
 * crash in between consumes nothing.
 */
export class ArtifactAdapter implements Adapter {
  readonly #model: string;
  readonly #database: Database;
  readonly #artifacts: ArtifactStore;

  constructor(model: string, { database, artifacts }: AdapterOptions) {
    this.#model = model;
    this.#database = database;
    this.#artifacts = artifacts;
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    const stored = structuredClone(payload) as ArtifactPayload;
    await this.#write(id, stored, (trx, now) =>
      this.#artifacts.upsert(trx, this.#model, id, stored, expiresIn, now),
    );
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const key = this.#artifacts.rowId(this.#model, id);
    const unit = currentUnit();
    if (unit?.artifacts.has(key)) return unit.artifacts.get(key);
    return this.#database.read(on => this.#artifacts.find(on, this.#model, id));
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#database.read(on => this.#artifacts.findByUid(on, this.#model, uid));
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    return this.#database.read(on => this.#artifacts.findByUserCode(on, this.#model, userCode));
  }

  /** Decided at the commit: of parallel uses one commits, the others are judged again and find it consumed. */
  async consume(id: string): Promise<void> {
    const found = await this.find(id);
    await this.#write(id, found && { ...found, consumed: true }, (trx, now) =>
      this.#artifacts.consume(trx, this.#model, id, now),
    );
  }

  async destroy(id: string): Promise<void> {
    await this.#write(id, undefined, trx => this.#artifacts.destroy(trx, this.#model, id));
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    await this.#operate((trx, now) => this.#artifacts.revokeByGrantId(trx, grantId, now));
  }

  async #write(id: string, seen: ArtifactPayload | undefined, operation: Operation): Promise<void> {
    currentUnit()?.artifacts.set(this.#artifacts.rowId(this.#model, id), seen);
    await this.#operate(operation);
  }

  async #operate(operation: Operation): Promise<void> {
    const unit = currentUnit();
    if (unit === undefined) {
      await this.#database.transaction(async trx => operation(trx, await this.#database.now(trx)));
    } else {
      unit.operations.push(operation);
    }
  }
}
