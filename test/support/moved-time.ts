import type { Clock } from '../../src/clock.js';
import { installShiftedClock } from './shifted-clock.js';

/** Everybody's time at once: this process's Date, the nodes' clocks and the database's. */
export interface MovedTime {
  readonly clock: Clock;
  /** Milliseconds, for the database. */
  readonly databaseClockOffset: () => number;
  moveBy(seconds: number): void;
  /** Milliseconds by which time has been moved. */
  readonly offset: number;
  restore(): void;
}

/** @param skewFor seconds by which this process is ahead of the database's clock */
export function installMovedTime({ offset = 0, skewFor = 0 } = {}): MovedTime {
  const date = installShiftedClock(offset + skewFor * 1000);
  let moved = offset;
  return {
    clock: { now: () => Date.now(), monotonic: () => performance.now() + moved },
    databaseClockOffset: () => moved,
    moveBy(seconds) {
      moved += seconds * 1000;
      date.shiftTo(moved + skewFor * 1000);
    },
    get offset() {
      return moved;
    },
    restore: () => date.restore(),
  };
}
