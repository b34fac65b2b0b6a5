import { createClient, enableClient, updateClient } from '../clients/change-client.js';
import { ClientStore } from '../clients/client-store.js';
import { randomBase62 } from '../crypto/random-id.js';
import { emailKey } from '../users/account-input.js';
import { createUser, enableUser, unlockUser } from '../users/change-user.js';
import { verifyPassword } from '../users/imported-hash.js';
import { setPassword } from '../users/set-password.js';
import { UserStore } from '../users/user-store.js';
import type { Opened } from './context.js';
import { actingFrom, peopleContext } from './people.js';

/** Where the demo's program may be sent back to: any port of the first, and a page under development. */
const DEMO_REDIRECT_URIS = ['http://127.0.0.1/callback', 'http://localhost:3000/callback'] as const;
const DEMO_PROGRAM = 'Demo program';
const DEMO_EMAIL = 'ada@example.test';
const PASSWORD_LENGTH = 20;

export interface DemoUser {
  readonly email: string;
  readonly password: string;
}

export interface DemoProgram {
  readonly client_id: string;
  readonly redirect_uris: readonly string[];
}

/** The same person at each start, and the same password as long as the file from last time is there and is right. */
export async function seedUser(opened: Opened, remembered: DemoUser | undefined): Promise<DemoUser> {
  const context = peopleContext(opened);
  const acting = actingFrom(opened);
  const store = new UserStore();
  const { database } = opened;
  const email = remembered?.email ?? DEMO_EMAIL;
  const password = remembered?.password ?? randomBase62(PASSWORD_LENGTH);
  const user = await database.read(on => store.findByEmailKey(on, emailKey(email)));
  if (user === undefined) {
    const profile = { name: 'Ada Example', given_name: 'Ada', family_name: 'Example' };
    await createUser(context, { email, password, isEmailVerified: true, profile }, acting);
    return { email, password };
  }
  const { id: userId } = user;
  if (user.disabledAt !== undefined) await enableUser(context, { userId }, acting);
  if (user.lockedAt !== undefined) await unlockUser(context, { userId }, acting);
  const hash = await database.read(on => store.passwordHashOf(on, userId));
  const isRight = hash !== undefined && (await verifyPassword(context.passwords, hash, password)).matches;
  // What the file says must be true, also for somebody who tried out how to change it.
  if (!isRight) {
    await setPassword(context, { userId, password }, acting);
  }
  return { email, password };
}

/** A program on the person's own machine, which sends them here to sign in and can keep no secret. */
export async function seedProgram(
  opened: Opened,
  resource: { readonly identifier: string; readonly scopes: readonly string[] },
): Promise<DemoProgram> {
  const { database, actor } = opened;
  const clients = await database.read(on => new ClientStore().list(on, { limit: 1000 }));
  const known = clients.find(({ name }) => name === DEMO_PROGRAM);
  const redirectUris = DEMO_REDIRECT_URIS;
  if (known === undefined) {
    const { client } = await createClient(
      opened,
      {
        name: DEMO_PROGRAM,
        authMethod: 'none',
        applicationType: 'native',
        grantTypes: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        redirectUris,
        postLogoutRedirectUris: redirectUris,
        resources: [resource],
      },
      actor,
    );
    return { client_id: client.clientId, redirect_uris: redirectUris };
  }
  const { clientId } = known;
  if (known.disabledAt !== undefined) await enableClient(opened, { clientId }, actor);
  const { redirectUris: now } = await updateClient(opened, { clientId, redirectUris }, actor);
  return { client_id: clientId, redirect_uris: now };
}
