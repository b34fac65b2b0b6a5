import { expect } from 'chai';
import type { Ring } from '../../src/keys/signing-key.js';

/**
 * Milliseconds. A node reads the database's clock at each heartbeat; time that moves by a whole step within that one
 * round trip leaves it half a step off. (By five seconds at most where time flows: rotation-clock.test.ts.)
 */
export const DATED_WITHIN = 5_000 + 10_000;

export interface Issued {
  readonly jwt: string;
  readonly resource: string;
  readonly kid: string;
  /** Seconds. */
  readonly iat: number;
  /** Milliseconds, by the database's clock. */
  readonly askedAt: number;
  readonly receivedAt: number;
}

/** By the database's clock, for every token that ever came. */
export function expectNoneEarly(issued: readonly Issued[], { keys }: Ring, announceFor: number): void {
  const known = new Map(keys.map(key => [key.kid, key]));
  for (const { kid, iat, askedAt, receivedAt } of issued) {
    const key = known.get(kid);
    if (key?.activatedAt === undefined) throw new Error(`${kid} never became active`);
    if (key.announcedVersion > 1) {
      expect(key.activatedAt - key.announcedAt).to.be.at.least(announceFor * 1000);
      expect(receivedAt - key.announcedAt, 'used before its time').to.be.at.least(announceFor * 1000);
    }
    expect(iat * 1000 - key.activatedAt, 'dated before its key was active').to.be.at.least(-DATED_WITHIN);
    expect(iat * 1000 - receivedAt, 'dated in the future').to.be.at.most(DATED_WITHIN);
    expect(iat * 1000 - askedAt, 'dated in the past').to.be.at.least(-DATED_WITHIN);
  }
}
