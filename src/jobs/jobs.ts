import type { RevokedTokenStore } from '../clients/revoked-token-store.js';
import type { SecretUses } from '../clients/secret-uses.js';
import type { ChangeFeed } from '../database/change-feed.js';
import type { Database } from '../database/connect.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { RotationContext } from '../keys/rotate.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';
import type { ArtifactStore } from '../oidc/artifact-store.js';
import type { Limiter } from '../rate-limits/limiter.js';
import { type DeliveryParts, deliverOutbox } from './deliver-outbox.js';
import { expireArtifacts } from './expire-artifacts.js';
import { rotateKeys } from './rotate-keys.js';
import { JobRunner } from './runner.js';

export interface JobParts {
  readonly database: Database;
  readonly nodeId: string;
  readonly feed: ChangeFeed;
  readonly ring: KeyRing;
  readonly rotation: RotationContext;
  readonly artifacts: ArtifactStore;
  readonly revoked: RevokedTokenStore;
  readonly secretUses: SecretUses;
  readonly metrics: Metrics;
  readonly limiter: Limiter;
  readonly deliveries: DeliveryParts;
  readonly log: Logger;
}

/** All that happens by itself on a node. */
export function createJobs(parts: JobParts): JobRunner {
  const { feed, ring, secretUses, deliveries } = parts;
  return new JobRunner(
    [
      { name: 'read-changes', every: 0.25, run: () => feed.catchUp() },
      { name: 'heartbeat', every: 5, run: () => ring.heartbeat() },
      { name: 'rotate-keys', every: 10, run: () => rotateKeys(parts) },
      { name: 'record-secret-uses', every: 5, run: () => secretUses.flush() },
      { name: 'deliver-mails', every: 1, run: () => deliverOutbox(deliveries, 'mail') },
      { name: 'deliver-logouts', every: 1, run: () => deliverOutbox(deliveries, 'backchannel_logout') },
      { name: 'expire-artifacts', every: 60, run: () => expireArtifacts(parts) },
    ],
    parts.log,
  );
}
