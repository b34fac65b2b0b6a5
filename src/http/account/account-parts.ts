import type { ClientRecord } from '../../clients/client.js';
import type { RecordCache } from '../../database/record-cache.js';
import type { BackchannelAuthentication } from '../../oidc/backchannel-authentication.js';
import type { Consents } from '../../oidc/consents.js';
import type { Sessions } from '../../oidc/sessions.js';
import type { Limiter } from '../../rate-limits/limiter.js';
import type { ResourceServer } from '../../resources/resource-server.js';
import type { Federation } from '../../users/federation.js';
import type { PeopleContext } from '../../users/people-context.js';
import type { SignIn } from '../../users/sign-in.js';
import type { Renderer } from '../render.js';

/** What the account pages stand on. */
export interface AccountParts {
  readonly context: PeopleContext;
  readonly renderer: Renderer;
  readonly sessions: Sessions;
  readonly consents: Consents;
  readonly backchannel: Pick<BackchannelAuthentication, 'list' | 'answer'>;
  readonly signIn: SignIn;
  readonly limiter: Limiter;
  readonly federation: Federation;
  readonly clients: RecordCache<ClientRecord>;
  readonly resources: RecordCache<ResourceServer>;
  /** The database's clock as this node knows it, milliseconds. */
  readonly databaseNow: () => number;
}
