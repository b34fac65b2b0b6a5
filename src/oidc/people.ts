import type { Config } from '../config/config.js';
import type { Database } from '../database/connect.js';
import type { DataKeys } from '../database/installation.js';
import type { RecordCache } from '../database/record-cache.js';
import { Outbox } from '../delivery/outbox.js';
import type { ResourceServer } from '../resources/resource-server.js';
import type { User } from '../users/user.js';
import { identityScopes, supportedClaims } from './accounts.js';
import { ArtifactStore } from './artifact-store.js';
import { BackchannelAuthentication } from './backchannel-authentication.js';
import { Consents } from './consents.js';
import type { CurrentProvider } from './current-provider.js';
import { AccessEnding } from './end-access.js';
import { Interactions } from './interactions.js';
import { PairwiseSubjects } from './pairwise-subjects.js';
import { SessionList, Sessions } from './sessions.js';

/** What hangs on accounts, as far as no server has to run: the command line works with it, too. */
export interface Access {
  readonly artifacts: ArtifactStore;
  readonly outbox: Outbox;
  readonly subjects: PairwiseSubjects;
  readonly ending: AccessEnding;
  readonly sessions: SessionList;
  readonly consents: Consents;
}

export function openAccess(parts: {
  readonly database: Database;
  readonly nodeId: string;
  readonly keys: DataKeys;
}): Access {
  const { database, nodeId, keys } = parts;
  const artifacts = new ArtifactStore({ hasher: keys.hasher, envelope: keys.artifactEnvelope });
  const outbox = new Outbox(keys.accountEnvelope);
  const subjects = new PairwiseSubjects(keys.hasher);
  const ending = new AccessEnding({ database, nodeId, artifacts, outbox, subjects });
  const shared = { database, nodeId, artifacts, ending };
  return {
    artifacts,
    outbox,
    subjects,
    ending,
    sessions: new SessionList(shared),
    consents: new Consents(shared),
  };
}

/** What the pages of a running server work with. */
export interface People {
  readonly interactions: Interactions;
  readonly sessions: Sessions;
  readonly backchannel: BackchannelAuthentication;
}

export function openPeople(
  parts: {
    readonly config: Config;
    readonly database: Database;
    readonly nodeId: string;
    readonly access: Access;
    readonly users: RecordCache<User>;
    readonly resources: RecordCache<ResourceServer>;
    readonly mayMail: (userId: string) => Promise<boolean>;
  },
  current: () => CurrentProvider,
): People {
  const { config, database, nodeId, access, users, resources, mayMail } = parts;
  const { artifacts, ending, outbox } = access;
  const { issuer } = config;
  const scopes = identityScopes(config);
  return {
    interactions: new Interactions({
      database,
      nodeId,
      artifacts,
      resources,
      identityScopes: scopes,
      claims: supportedClaims(config),
      current,
    }),
    sessions: new Sessions({ config, database, nodeId, artifacts, users, ending }, current),
    backchannel: new BackchannelAuthentication(
      { issuer, database, nodeId, artifacts, outbox, identityScopes: scopes, mayMail },
      current,
    ),
  };
}
