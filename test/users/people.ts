import { randomBytes } from 'node:crypto';
import type { Actor } from '../../src/audit/events.js';
import { Envelope } from '../../src/crypto/envelope.js';
import { PasswordHasher } from '../../src/crypto/password-hash.js';
import type { MailDelivery } from '../../src/delivery/outbox.js';
import { Outbox } from '../../src/delivery/outbox.js';
import { ArtifactStore } from '../../src/oidc/artifact-store.js';
import { AccessEnding } from '../../src/oidc/end-access.js';
import { PairwiseSubjects } from '../../src/oidc/pairwise-subjects.js';
import { SessionStore } from '../../src/oidc/session-store.js';
import { createUser } from '../../src/users/change-user.js';
import type { Acting, PeopleContext } from '../../src/users/people-context.js';
import { FieldsRefused } from '../../src/users/refused-fields.js';
import type { User } from '../../src/users/user.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import type { FreshDatabase } from '../support/postgres.js';

export const ISSUER = 'https://id.example.org';
export const PASSWORD = 'ferret lamp under bridge';
export const NEXT_PASSWORD = 'eleven quiet radishes sang';
export const operator: Acting = { actor: 'os:ada@example' };
export const visitor: Acting = {
  actor: 'anonymous',
  facts: { requestId: 'rq-1', ip: '192.0.2.7', userAgent: 'Test/1' },
};

export function actingAs(user: User, sessionId?: string): Acting {
  return { ...visitor, actor: `user:${user.id}` as Actor, sessionId };
}

/** An installation with people in it: real hashes, a real outbox, and access that really ends. */
export interface People {
  readonly opened: Opened;
  readonly context: PeopleContext;
  /** The same on another node. */
  another(): PeopleContext;
  /** With other settings. */
  having(users: Partial<PeopleContext['config']['users']>): PeopleContext;
  /** What has been mailed since the last call. */
  mails(): Promise<MailDelivery[]>;
  /** Signs somebody in: a live session. */
  session(user: User): Promise<string>;
  /** Sessions of a person that are alive. */
  liveSessions(user: User): Promise<string[]>;
  person(email?: string, password?: string): Promise<User>;
}

export async function openedPeople(fresh: () => Promise<FreshDatabase>): Promise<People> {
  const opened = await openedDatabase(fresh);
  const envelope = new Envelope({ id: 'account-1', key: randomBytes(32) });
  const outbox = new Outbox(envelope);
  const passwords = new PasswordHasher({ concurrency: 2, queueLimit: 1000 });
  const sessions = new SessionStore();
  let count = 0;
  const contextOf = ({ database, hasher, nodeId }: Opened): PeopleContext => {
    const artifacts = new ArtifactStore({ hasher, envelope });
    const subjects = new PairwiseSubjects(hasher);
    const { endAccess } = new AccessEnding({ database, nodeId, artifacts, outbox, subjects });
    return {
      config: {
        issuer: ISSUER,
        environment: 'test',
        rateLimits: 'production',
        users: {
          signUp: true,
          requireSecondFactor: false,
          claimScopes: [],
          trustDeviceFor: 0,
          emailLinkFor: 900,
          invitationFor: 7 * 86_400,
        },
        branding: {
          name: 'Claviger',
          logoFile: '',
          lightAccents: [],
          darkAccents: [],
          supportEmail: '',
          privacyUrl: '',
          helpUrl: '',
          locale: 'en',
        },
      },
      database,
      nodeId,
      hasher,
      envelope,
      passwords,
      outbox,
      endAccess,
    };
  };
  const context = contextOf(opened);
  const { database } = opened;
  return {
    opened,
    context,
    another: () => contextOf(opened.another()),
    having: users => ({
      ...context,
      config: { ...context.config, users: { ...context.config.users, ...users } },
    }),
    async mails() {
      const mails: MailDelivery[] = [];
      for (const claimed of await outbox.take(database, 'mail', 100)) {
        const delivery = outbox.open(claimed);
        if (delivery.kind === 'mail') mails.push(delivery);
        await database.transaction(trx => outbox.done(trx, claimed));
      }
      return mails;
    },
    async session(user) {
      count += 1;
      const sessionId = `session-${count}`;
      await database.transaction(async trx => {
        const now = await database.now(trx);
        const use = { sessionId, userId: user.id, amr: ['pwd'], ip: undefined, userAgent: undefined };
        await sessions.noteUse(trx, { ...use, expiresAt: now + 3_600_000 }, now);
      });
      return sessionId;
    },
    async liveSessions(user) {
      const now = await database.now();
      const live = await sessions.listLive(database.reader, user.id, now);
      return live.map(({ sessionId }) => sessionId).sort();
    },
    async person(email, password = PASSWORD) {
      count += 1;
      const given = email ?? `person-${count}@example.org`;
      return createUser(context, { email: given, password, isEmailVerified: true }, operator);
    },
  };
}

/** The token of the link in a mail. */
export function tokenIn(mail: MailDelivery | undefined): string {
  const url = mail !== undefined && 'url' in mail.values ? mail.values.url : '';
  const token = new URL(url).searchParams.get('token');
  if (token === null) throw new Error('the mail has no link');
  return token;
}

/** The catalogue keys of a refusal; fails when the work succeeds or breaks. */
export async function refusedKeys(work: Promise<unknown>): Promise<string[]> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FieldsRefused) return error.fields.map(({ message }) => message);
    throw error;
  }
  throw new Error('it was not refused');
}
