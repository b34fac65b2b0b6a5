import type { Config } from '../../config/config.js';
import type { RecordCache } from '../../database/record-cache.js';
import type { DevelopmentMailbox } from '../../delivery/mailer.js';
import type { Interactions } from '../../oidc/interactions.js';
import type { Sessions } from '../../oidc/sessions.js';
import type { Limiter } from '../../rate-limits/limiter.js';
import type { Federation } from '../../users/federation.js';
import type { PeopleContext } from '../../users/people-context.js';
import type { SignIn } from '../../users/sign-in.js';
import type { User } from '../../users/user.js';
import type { Renderer } from '../render.js';

/** What the pages of signing in stand on. */
export interface InteractionParts {
  readonly config: Pick<Config, 'issuer' | 'environment' | 'users' | 'refreshTokens' | 'branding'>;
  readonly context: PeopleContext;
  readonly limiter: Limiter;
  readonly renderer: Renderer;
  readonly interactions: Interactions;
  readonly sessions: Pick<Sessions, 'current'>;
  readonly signIn: SignIn;
  readonly federation: Federation;
  readonly users: RecordCache<User>;
  /** The database's clock as this node knows it, milliseconds. */
  readonly databaseNow: () => number;
  /** Only in development without a mail server. */
  readonly mailbox?: DevelopmentMailbox | undefined;
}
