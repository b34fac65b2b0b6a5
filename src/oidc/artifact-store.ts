import type { Envelope } from '../crypto/envelope.js';
import type { SecretHasher } from '../crypto/secret-hash.js';
import type { Queryable, Transaction } from '../database/connect.js';
import { AppError } from '../errors.js';
import { revokeStatusesOfGrant } from '../status-lists/revoke-statuses.js';

export type ArtifactPayload = Readonly<Record<string, unknown>>;

export interface ArtifactStoreOptions {
  /** Names of rows: an id is itself a secret (a code, an opaque token), so only its HMAC is stored. */
  readonly hasher: SecretHasher;
  /** Payloads hold live secrets (an interaction holds the session cookie), so they are sealed whole. */
  readonly envelope: Envelope;
}

/** How long a tombstone outlives its grant's artifacts: as long as any of them could, 400 days. */
const TOMBSTONE_FOR = 400 * 86_400;

interface Row {
  readonly id: string;
  readonly payload: string;
  readonly consumed_at: number | null;
  readonly expires_at: number | null;
}

/** Raised inside a commit when another request was first: the request is judged again and sees what is there now. */
export function lostRace(detail: string): AppError {
  return new AppError('stale', 'The request met another one. Try again.', { detail });
}

/**
 * Everything oidc-provider stores. Single use is decided by the database in one conditional statement, because
 * "find, check, consume" lets every parallel request through; and a revoked grant leaves a tombstone that each
 * insert checks, because a revocation can run before the token that it should have caught is stored.
 */
export class ArtifactStore {
  readonly #hasher: SecretHasher;
  readonly #envelope: Envelope;

  constructor(options: ArtifactStoreOptions) {
    this.#hasher = options.hasher;
    this.#envelope = options.envelope;
  }

  rowId(model: string, id: string): string {
    return this.#hasher.hashOf(`artifact:${model}`, id);
  }

  async upsert(
    trx: Transaction,
    model: string,
    id: string,
    payload: ArtifactPayload,
    expiresIn: number | undefined,
    now: number,
  ): Promise<void> {
    const grantId = model === 'Grant' ? id : payload.grantId;
    const grantKey = this.#key('grant', grantId);
    if (grantKey !== null && (await this.#isTombstoned(trx, grantKey))) throw lostRace('grant revoked');
    const row = {
      id: this.rowId(model, id),
      model,
      grant_key: grantKey,
      uid_key: this.#key('uid', payload.uid),
      user_code_key: this.#key('user_code', payload.userCode),
      account_id: accountOf(model, payload) ?? null,
      client_id: typeof payload.clientId === 'string' ? payload.clientId : null,
      payload: this.#seal(model, id, payload),
      created_at: now,
      expires_at: expiresIn === undefined ? null : now + expiresIn * 1000,
    };
    const { id: _id, created_at: _createdAt, ...changed } = row;
    await trx('artifacts').insert(row).onConflict('id').merge(changed);
  }

  /** For ids that may be seen once (DPoP proofs, assertions). */
  async insertOnce(
    trx: Transaction,
    model: string,
    id: string,
    expiresAt: number,
    now: number,
  ): Promise<void> {
    const inserted = await trx('artifacts')
      .insert({
        id: this.rowId(model, id),
        model,
        payload: this.#seal(model, id, {}),
        created_at: now,
        expires_at: expiresAt,
      })
      .onConflict('id')
      .ignore()
      .returning('id');
    if (inserted.length !== 1) throw lostRace(`${model} seen before`);
  }

  async exists(on: Queryable, model: string, id: string): Promise<boolean> {
    return (
      (await on('artifacts')
        .where({ id: this.rowId(model, id) })
        .first('id')) !== undefined
    );
  }

  /** Whether it is there, and stays until this transaction ends. */
  async holds(trx: Transaction, model: string, id: string): Promise<boolean> {
    const row = trx('artifacts').where({ id: this.rowId(model, id) });
    return (await row.forUpdate().first('id')) !== undefined;
  }

  async find(on: Queryable, model: string, id: string): Promise<ArtifactPayload | undefined> {
    return this.#findBy(on, model, { id: this.rowId(model, id) });
  }

  async findByUid(on: Queryable, model: string, uid: string): Promise<ArtifactPayload | undefined> {
    return this.#findBy(on, model, { uid_key: this.#key('uid', uid) });
  }

  async findByUserCode(on: Queryable, model: string, userCode: string): Promise<ArtifactPayload | undefined> {
    return this.#findBy(on, model, { user_code_key: this.#key('user_code', userCode) });
  }

  async consume(trx: Transaction, model: string, id: string, now: number): Promise<void> {
    const consumed = await trx('artifacts')
      .where({ id: this.rowId(model, id), consumed_at: null })
      .update({ consumed_at: now });
    if (consumed !== 1) throw lostRace(`${model} already consumed`);
  }

  async destroy(trx: Transaction, model: string, id: string): Promise<void> {
    await this.#delete(trx, model, id);
  }

  /** For what may be taken up once: of two requests that remove it one goes on. */
  async take(trx: Transaction, model: string, id: string): Promise<void> {
    if ((await this.#delete(trx, model, id)) !== 1) throw lostRace(`${model} taken before`);
  }

  /** @throws TypeError for an empty id: it would end every artifact that belongs to no grant. */
  async revokeByGrantId(trx: Transaction, grantId: string, now: number): Promise<void> {
    const grantKey = this.#key('grant', grantId);
    if (grantKey === null) throw new TypeError('a grant id is needed');
    await trx('grant_tombstones')
      .insert({ grant_key: grantKey, revoked_at: now, expires_at: now + TOMBSTONE_FOR * 1000 })
      .onConflict('grant_key')
      .ignore();
    await trx('artifacts').where({ grant_key: grantKey }).delete();
    // After the deletion, which has waited for whoever was issuing a token of this grant.
    await revokeStatusesOfGrant(trx, grantKey, now);
  }

  /** Whether it stands, and stays until this transaction ends: whoever revokes it waits. */
  async holdsGrant(trx: Transaction, grantId: string): Promise<boolean> {
    const row = trx('artifacts').where({ id: this.rowId('Grant', grantId) });
    return (await row.forShare().first('id')) !== undefined;
  }

  /** What a token may say of its grant: enough to find it here, useless to everybody else. */
  grantHandle(grantId: string): string {
    const handle = this.#key('grant', grantId);
    if (handle === null) throw new TypeError('a grant id is needed');
    return handle;
  }

  /** The name of a session that may be shown: its cookie and its uid open it, this does not. */
  sessionHandle(uid: string): string {
    const handle = this.#key('uid', uid);
    if (handle === null) throw new TypeError('a session uid is needed');
    return handle;
  }

  async findGrant(on: Queryable, grantHandle: string): Promise<ArtifactPayload | undefined> {
    return this.#findBy(on, 'Grant', { grant_key: grantHandle });
  }

  async findSession(on: Queryable, sessionHandle: string): Promise<ArtifactPayload | undefined> {
    return this.#findBy(on, 'Session', { uid_key: sessionHandle });
  }

  /** Everything unexpired of a model that belongs to an account, a client or both. */
  async list(
    on: Queryable,
    model: string,
    of: { readonly accountId?: string | undefined; readonly clientId?: string | undefined },
    now: number,
  ): Promise<ArtifactPayload[]> {
    const query = on('artifacts').where({ model }).where('expires_at', '>', now).orderBy('created_at');
    if (of.accountId !== undefined) query.where({ account_id: of.accountId });
    if (of.clientId !== undefined) query.where({ client_id: of.clientId });
    const rows: Row[] = await query;
    return rows.map(row => this.#open(row));
  }

  async destroySession(trx: Transaction, sessionHandle: string): Promise<void> {
    await trx('artifacts').where({ model: 'Session', uid_key: sessionHandle }).delete();
  }

  async destroyOf(trx: Transaction, models: readonly string[], accountId: string): Promise<void> {
    await trx('artifacts').whereIn('model', models).where({ account_id: accountId }).delete();
  }

  /** When it was used up; undefined: unused; null: there is no such artifact. */
  async consumedAt(on: Queryable, model: string, id: string): Promise<number | undefined | null> {
    const row = await on('artifacts')
      .where({ id: this.rowId(model, id) })
      .first('consumed_at');
    if (row === undefined) return null;
    return row.consumed_at === null ? undefined : Number(row.consumed_at);
  }

  async isGrantRevoked(on: Queryable, grantId: string): Promise<boolean> {
    const grantKey = this.#key('grant', grantId);
    return grantKey !== null && this.#isTombstoned(on, grantKey);
  }

  async sweep(trx: Transaction, now: number, limit: number): Promise<number> {
    await trx('grant_tombstones').where('expires_at', '<=', now).delete();
    const expired = trx('artifacts').select('id').where('expires_at', '<=', now).limit(limit);
    return trx('artifacts').whereIn('id', expired).delete();
  }

  async #delete(trx: Transaction, model: string, id: string): Promise<number> {
    return trx('artifacts')
      .where({ id: this.rowId(model, id) })
      .delete();
  }

  async #findBy(
    on: Queryable,
    model: string,
    where: Record<string, string | null>,
  ): Promise<ArtifactPayload | undefined> {
    if (Object.values(where).includes(null)) return undefined;
    // The tombstones have a column of the same name as one of ours.
    const qualified = Object.fromEntries(
      Object.entries(where).map(([column, value]) => [`artifacts.${column}`, value]),
    );
    const row: Row | undefined = await on('artifacts')
      .leftJoin('grant_tombstones', 'grant_tombstones.grant_key', 'artifacts.grant_key')
      .where({ 'artifacts.model': model, ...qualified })
      // A token stored in the same instant as its grant's revocation is dead too.
      .whereNull('grant_tombstones.grant_key')
      .select('artifacts.*')
      // A session's id changes at sign-in while its uid stays: the newest row is the session.
      .orderBy('created_at', 'desc')
      .first();
    return row === undefined ? undefined : this.#open(row);
  }

  #open(row: Row): ArtifactPayload {
    const payload = JSON.parse(
      this.#envelope.open(row.payload, `artifacts.payload:${row.id}`).toString('utf8'),
    );
    if (row.consumed_at === null) return payload;
    return { ...payload, consumed: Math.floor(Number(row.consumed_at) / 1000) };
  }

  #seal(model: string, id: string, payload: ArtifactPayload): string {
    return this.#envelope.seal(JSON.stringify(payload), `artifacts.payload:${this.rowId(model, id)}`);
  }

  #key(kind: string, value: unknown): string | null {
    return typeof value === 'string' && value !== '' ? this.#hasher.hashOf(`artifact.${kind}`, value) : null;
  }

  async #isTombstoned(on: Queryable, grantKey: string): Promise<boolean> {
    return (await on('grant_tombstones').where({ grant_key: grantKey }).first('grant_key')) !== undefined;
  }
}

/** An interaction belongs to an account only once somebody has signed in there. */
function accountOf(model: string, payload: ArtifactPayload): string | undefined {
  if (model === 'Interaction') {
    const { login } = (payload.result ?? {}) as { login?: { accountId?: unknown } };
    return typeof login?.accountId === 'string' ? login.accountId : undefined;
  }
  return typeof payload.accountId === 'string' ? payload.accountId : undefined;
}
