import type { Alerts } from '../alerts/alerts.js';
import type { RevokedTokenStore } from '../clients/revoked-token-store.js';
import type { SecretUses } from '../clients/secret-uses.js';
import type { ChangeFeed } from '../database/change-feed.js';
import type { Database } from '../database/connect.js';
import type { JwksFetches } from '../keys/jwks-fetches.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { RotationContext } from '../keys/rotate.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';
import type { ArtifactStore } from '../oidc/artifact-store.js';
import type { Limiter } from '../rate-limits/limiter.js';
import { continueRevocations } from '../status-lists/revoke-statuses.js';
import { type DeliveryParts, deliverOutbox } from './deliver-outbox.js';
import { destroySpentKeys } from './destroy-external-keys.js';
import { expireArtifacts } from './expire-artifacts.js';
import { probeSigningBackends } from './probe-signing-backends.js';
import { rotateKeys } from './rotate-keys.js';
import { JobRunner } from './runner.js';
import { watchKeys } from './watch-keys.js';

export interface JobParts {
  readonly database: Database;
  readonly nodeId: string;
  readonly feed: ChangeFeed;
  readonly ring: KeyRing;
  readonly rotation: RotationContext;
  readonly artifacts: ArtifactStore;
  readonly revoked: RevokedTokenStore;
  readonly secretUses: SecretUses;
  readonly jwksFetches: JwksFetches;
  readonly metrics: Metrics;
  readonly alerts: Alerts;
  readonly limiter: Limiter;
  readonly deliveries: DeliveryParts;
  readonly log: Logger;
}

/** All that happens by itself on a node. */
export function createJobs(parts: JobParts): JobRunner {
  const { feed, ring, secretUses, jwksFetches, deliveries } = parts;
  return new JobRunner(
    [
      { name: 'read-changes', every: 0.25, run: () => feed.catchUp() },
      { name: 'heartbeat', every: 5, run: () => ring.heartbeat() },
      { name: 'rotate-keys', every: 10, run: () => rotateKeys(parts) },
      { name: 'watch-keys', every: 10, run: () => watchKeys(parts) },
      { name: 'probe-signing-backends', every: 10, run: () => probeSigningBackends(parts) },
      { name: 'destroy-external-keys', every: 60, run: () => destroySpentKeys(parts) },
      { name: 'record-secret-uses', every: 5, run: () => secretUses.flush() },
      { name: 'record-jwks-fetches', every: 5, run: () => jwksFetches.flush() },
      { name: 'revoke-statuses', every: 1, run: async () => void (await continueRevocations(parts)) },
      { name: 'deliver-mails', every: 1, run: () => deliverOutbox(deliveries, 'mail') },
      { name: 'deliver-logouts', every: 1, run: () => deliverOutbox(deliveries, 'backchannel_logout') },
      { name: 'expire-artifacts', every: 60, run: () => expireArtifacts(parts) },
    ],
    parts.log,
  );
}
