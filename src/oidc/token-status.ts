import { type AccessToken, type ClientCredentials, ExternalSigningKey } from 'oidc-provider';
import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import type { Database } from '../database/connect.js';
import type { KeyRing, ServedRing } from '../keys/key-ring.js';
import type { Logger } from '../log.js';
import type { SigningAlgorithm } from '../protocol.js';
import { PublishedLists, type SignStatusList } from '../status-lists/published-lists.js';
import { StatusIndices } from '../status-lists/status-indices.js';
import { LIST_TYPE, listUri, type StatusPlace } from '../status-lists/status-list.js';
import { type ArtifactStore, lostRace } from './artifact-store.js';
import { coreJwks } from './signing-keys.js';
import { currentUnit } from './unit-of-work.js';

export interface StatusLists {
  readonly indices: StatusIndices;
  readonly published: PublishedLists;
}

export interface StatusListParts {
  readonly database: Database;
  readonly config: Pick<Config, 'issuer'>;
  readonly ring: KeyRing;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Lists of a node: where its new tokens get their bits, and what it publishes. */
export function openStatusLists({ database, config, ring, clock, log }: StatusListParts): StatusLists {
  const { monotonic } = clock;
  return {
    indices: new StatusIndices({ database, log, monotonic }),
    published: new PublishedLists({
      database,
      issuer: config.issuer,
      sign: listSigner(ring),
      mayPublish: () => ring.canServeJwks,
      databaseNow: () => ring.databaseNow,
      monotonic,
    }),
  };
}

/** With the active key of the algorithm, wherever its private half lives. */
function listSigner(ring: KeyRing): SignStatusList {
  let read: { readonly of: ServedRing; readonly keys: readonly unknown[] } | undefined;
  return async (alg, claims) => {
    const { served } = ring;
    if (read?.of !== served) read = { of: served, keys: coreJwks(served).keys };
    const kid = served.signing.get(alg)?.kid;
    const key = read.keys.find(
      (candidate): candidate is ExternalSigningKey =>
        candidate instanceof ExternalSigningKey && kid !== undefined && candidate.kid === kid,
    );
    if (key === undefined) throw new TypeError(`nothing signs with ${alg}`);
    const input = [{ alg, kid, typ: LIST_TYPE }, claims].map(encoded).join('.');
    return `${input}.${Buffer.from(await key.sign(Buffer.from(input))).toString('base64url')}`;
  };
}

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** As `getResourceServerInfo` tells the core, which keeps it beside each token. */
export interface JwtOptions {
  readonly sign: { readonly alg: SigningAlgorithm };
  /** Its tokens can be revoked in a status list. */
  readonly hasStatus: boolean;
}

export interface TokenStatusParts {
  readonly ring: KeyRing;
  readonly config: Pick<Config, 'issuer'>;
  readonly artifacts: ArtifactStore;
  readonly statusLists: Pick<StatusLists, 'indices'>;
}

type Payload = Record<string, unknown>;

/**
 * Gives a token its place in a status list (draft-ietf-oauth-status-list §6), and notes it in the request's unit: the
 * audit event is how a later revocation finds the bit.
 *
 * @returns a promise only when this node had no index left.
 */
export function stampStatus({ ring, config, artifacts, statusLists }: TokenStatusParts) {
  const note = (token: AccessToken | ClientCredentials, payload: Payload, place: StatusPlace): void => {
    const { listId, index } = place;
    payload.status = { status_list: { idx: index, uri: listUri(config.issuer, listId) } };
    const unit = currentUnit();
    if (unit === undefined) throw new TypeError('a token is issued outside a request');
    const grantId = 'grantId' in token && typeof token.grantId === 'string' ? token.grantId : undefined;
    unit.status = { ...place, grantKey: grantId && artifacts.grantHandle(grantId) };
    if (grantId === undefined) return;
    // A grant that is being revoked meanwhile looks for its tokens' bits before this one is in the record.
    unit.operations.push(async trx => {
      if (!(await artifacts.holdsGrant(trx, grantId))) throw lostRace('grant revoked');
    });
  };
  return (token: AccessToken | ClientCredentials, payload: Payload): undefined | Promise<void> => {
    const { sign, hasStatus } = (token.resourceServer?.jwt ?? {}) as Partial<JwtOptions>;
    if (hasStatus !== true || sign === undefined) return undefined;
    const kid = ring.served.signing.get(sign.alg)?.kid;
    // Without a key the core refuses by itself.
    if (kid === undefined) return undefined;
    const place = statusLists.indices.take({ alg: sign.alg, kid }, Number(payload.exp));
    if (!(place instanceof Promise)) return void note(token, payload, place);
    return place.then(late => note(token, payload, late));
  };
}
