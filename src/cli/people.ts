import { PasswordHasher } from '../crypto/password-hash.js';
import { Outbox } from '../delivery/outbox.js';
import { ArtifactStore } from '../oidc/artifact-store.js';
import { AccessEnding } from '../oidc/end-access.js';
import { PairwiseSubjects } from '../oidc/pairwise-subjects.js';
import type { Acting, PeopleContext } from '../users/people-context.js';
import type { Opened } from './context.js';

/** What changes of accounts need, as a server makes it for itself. Mails wait in the outbox for a node to send them. */
export function peopleContext(opened: Opened): PeopleContext {
  const { config, database, nodeId, keys, installation } = opened;
  const outbox = new Outbox(keys.accountEnvelope);
  const ending = new AccessEnding({
    database,
    nodeId,
    artifacts: new ArtifactStore({ hasher: keys.hasher, envelope: keys.artifactEnvelope }),
    outbox,
    subjects: new PairwiseSubjects(keys.hasher),
  });
  return {
    // A demo moved by PORT keeps the address that its links lead to.
    config: { ...config, issuer: installation.issuer },
    database,
    nodeId,
    hasher: keys.hasher,
    envelope: keys.accountEnvelope,
    passwords: new PasswordHasher(),
    outbox,
    endAccess: ending.endAccess,
  };
}

export function actingFrom({ actor }: Opened): Acting {
  return { actor };
}
