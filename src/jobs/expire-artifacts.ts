import { AlertStore } from '../alerts/alert-store.js';
import type { RevokedTokenStore } from '../clients/revoked-token-store.js';
import { SecretStore } from '../clients/secret-store.js';
import { sweepChanges } from '../database/changes.js';
import type { Database } from '../database/connect.js';
import { takeJobLease } from '../database/job-leases.js';
import { sweepNodeLeases } from '../database/node-leases.js';
import { JwksFetchStore } from '../keys/jwks-fetch-store.js';
import { RememberedRingStore } from '../keys/remembered-ring-store.js';
import type { ArtifactStore } from '../oidc/artifact-store.js';
import { SessionStore } from '../oidc/session-store.js';
import type { Limiter } from '../rate-limits/limiter.js';
import { StatusListStore } from '../status-lists/status-list-store.js';
import { EmailLinkStore } from '../users/email-link-store.js';
import { KnownDeviceStore } from '../users/known-device-store.js';

const LEASE_FOR = 120;
/** Rows deleted in one transaction: the token path waits for the same write lock. */
const AT_ONCE = 1000;
/** A node that was away longer than this drops all it holds in memory. */
const KEEP_CHANGES_FOR = 24 * 3600;
const KEEP_LEASES_FOR = 24 * 3600;
/** Until then a secret explains the id that the audit names. */
const KEEP_ENDED_SECRETS_FOR = 400 * 24 * 3600;

/** Until then a session explains the id that the audit names. */
const KEEP_ENDED_SESSIONS_FOR = 30 * 24 * 3600;
/** Whoever opens an old link is told so, instead of "unknown". */
const KEEP_LINKS_FOR = 24 * 3600;

/** Longer than anything lasts that nobody mends. */
const KEEP_ALERTS_FOR = 400 * 24 * 3600;
/** A node renews it with each heartbeat; one that is gone this long has nothing to say any more. */
const KEEP_REMEMBERED_RINGS_FOR = 30 * 24 * 3600;

/** The longest that keys.verifierSeenWithin can ask for. */
const KEEP_JWKS_FETCHES_FOR = 30 * 24 * 3600;

const jwksFetches = new JwksFetchStore();
const alerts = new AlertStore();
const rememberedRings = new RememberedRingStore();
const secrets = new SecretStore();
const sessions = new SessionStore();
const links = new EmailLinkStore();
const devices = new KnownDeviceStore();
const lists = new StatusListStore();

/** Deletes what has ended. Safe on several nodes: a row is deleted once. */
export async function expireArtifacts(parts: {
  readonly database: Database;
  readonly nodeId: string;
  readonly artifacts: ArtifactStore;
  readonly revoked: RevokedTokenStore;
  readonly limiter: Limiter;
}): Promise<void> {
  const { database, nodeId, artifacts, revoked, limiter } = parts;
  if (!(await takeJobLease(database, 'expire-artifacts', nodeId, LEASE_FOR))) return;
  for (;;) {
    const swept = await database.transaction(async trx =>
      artifacts.sweep(trx, await database.now(trx), AT_ONCE),
    );
    if (swept < AT_ONCE) break;
  }
  await database.transaction(async trx => {
    const now = await database.now(trx);
    await revoked.sweep(trx, now);
    await lists.sweep(trx, now);
    await limiter.sweep(trx, now);
    await sessions.sweep(trx, now - KEEP_ENDED_SESSIONS_FOR * 1000);
    await links.sweep(trx, now - KEEP_LINKS_FOR * 1000);
    await devices.sweep(trx, now);
    await secrets.sweep(trx, now - KEEP_ENDED_SECRETS_FOR * 1000);
    await sweepChanges(trx, now - KEEP_CHANGES_FOR * 1000);
    await sweepNodeLeases(trx, now - KEEP_LEASES_FOR * 1000);
    await jwksFetches.sweep(trx, now - KEEP_JWKS_FETCHES_FOR * 1000);
    await alerts.sweep(trx, now - KEEP_ALERTS_FOR * 1000);
    await rememberedRings.sweep(trx, now - KEEP_REMEMBERED_RINGS_FOR * 1000);
  });
}
