import { lockChanges } from '../database/changes.js';
import { KnownDeviceStore } from './known-device-store.js';
import type { Acting, PeopleContext } from './people-context.js';
import { tellOfUser, userEvent } from './user-events.js';

const store = new KnownDeviceStore();

/** Browsers in which this person is spared the second factor. */
export async function countTrustedDevices(
  { database }: Pick<PeopleContext, 'database'>,
  userId: string,
): Promise<number> {
  return database.read(async on => store.countTrusted(on, userId, await database.now(on)));
}

/**
 * From now on the second factor is asked for in each of them again. They stay known: that somebody has signed in
 * there before is no less true.
 *
 * @returns how many were trusted.
 */
export async function forgetTrustedDevices(
  context: Pick<PeopleContext, 'database' | 'nodeId'>,
  userId: string,
  acting: Acting,
): Promise<number> {
  const { database } = context;
  return database.transaction(async trx => {
    await lockChanges(trx);
    const now = await database.now(trx);
    const devices = await store.countTrusted(trx, userId, now);
    if (devices === 0) return 0;
    await store.distrustAll(trx, userId);
    const event = userEvent('user.devices_forgotten', userId, acting, { devices });
    await tellOfUser(context, trx, now, userId, [event]);
    return devices;
  });
}
