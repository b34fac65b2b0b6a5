import { randomBytes } from 'node:crypto';
import type { RequestFacts } from '../../src/audit/events.js';
import type { RateLimitProfile, UsersConfig } from '../../src/config/config.js';
import { Envelope } from '../../src/crypto/envelope.js';
import { PasswordHasher } from '../../src/crypto/password-hash.js';
import { Outbox } from '../../src/delivery/outbox.js';
import { Limiter } from '../../src/rate-limits/limiter.js';
import { createUser } from '../../src/users/change-user.js';
import { PasswordChecker } from '../../src/users/check-password.js';
import type { PasskeyContext } from '../../src/users/passkeys.js';
import type { Acting } from '../../src/users/people-context.js';
import { SignIn } from '../../src/users/sign-in.js';
import type { User } from '../../src/users/user.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import type { FreshDatabase } from '../support/postgres.js';

export const PASSWORD = 'correct horse battery staple 7';
export const ORIGIN = 'https://id.example.com';

export interface SigningNode {
  readonly opened: Opened;
  readonly context: PasskeyContext;
  readonly signIn: SignIn;
  /** How many passwords were really compared. */
  readonly compared: () => number;
}

export interface SigningPeople extends SigningNode {
  another(): SigningNode;
  /** The same node under other settings. */
  under(users: Partial<UsersConfig>): SigningNode;
  person(email: string, password?: string | undefined): Promise<User>;
  /** Deliveries that wait, oldest first. */
  mails(): Promise<{ mail: string; to: string; values: Record<string, string> }[]>;
  close(): Promise<void>;
}

const USERS: UsersConfig = {
  signUp: false,
  requireSecondFactor: false,
  claimScopes: [],
  trustDeviceFor: 30 * 24 * 3_600,
  emailLinkFor: 900,
  invitationFor: 604_800,
};

const BRANDING = {
  name: 'Keys: and more',
  logoFile: '',
  lightAccents: [],
  darkAccents: [],
  supportEmail: '',
  privacyUrl: '',
  helpUrl: '',
  locale: 'en',
} as const;

class CountingHasher extends PasswordHasher {
  compared = 0;

  override verify(storedHash: string, password: string): Promise<boolean> {
    this.compared += 1;
    return super.verify(storedHash, password);
  }
}

export function factsFrom(ip: string): RequestFacts {
  return {
    requestId: 'req',
    ip,
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  };
}

export function as(user: Pick<User, 'id'>): Acting {
  return { actor: `user:${user.id}`, facts: factsFrom('192.0.2.9') };
}

export async function signingPeople(
  fresh: () => Promise<FreshDatabase>,
  profile: RateLimitProfile = 'production',
): Promise<SigningPeople> {
  const first = await openedDatabase(fresh);
  const envelope = new Envelope({ id: 'account-1', key: randomBytes(32) });
  const outbox = new Outbox(envelope);

  function nodeOn(opened: Opened, users: Partial<UsersConfig> = {}): SigningNode {
    const { database, hasher, nodeId } = opened;
    const passwords = new CountingHasher({ concurrency: 2, queueLimit: 5_000 });
    const limiter = new Limiter(database, hasher, profile);
    const context: PasskeyContext = {
      config: {
        issuer: `${ORIGIN}/tenant`,
        users: { ...USERS, ...users },
        branding: BRANDING,
        rateLimits: profile,
        environment: 'test',
      },
      ...{ database, nodeId, hasher, envelope, passwords, outbox, limiter },
      endAccess: async () => undefined,
    };
    const signIn = new SignIn({ context, limiter, passwords: new PasswordChecker(context) });
    return { opened, context, signIn, compared: () => passwords.compared };
  }

  const node = nodeOn(first);
  return {
    ...node,
    another: () => nodeOn(first.another()),
    under: users => nodeOn(first, users),
    person: (email, password = PASSWORD) =>
      createUser(node.context, { email, password, isEmailVerified: true }, { actor: 'os:test@here' }),
    mails: async () => {
      const rows = await first.database.reader('outbox').orderBy('created_at').orderBy('id');
      return rows.map(row =>
        JSON.parse(envelope.open(row.sealed_payload, `outbox.payload:${row.id}`).toString('utf8')),
      );
    },
    close: () => first.close(),
  };
}
