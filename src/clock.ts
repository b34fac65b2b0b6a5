/** Time as the server sees it. Injected everywhere, so that a test moves time instead of waiting for it. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  now(): number;
  /** Milliseconds that only grow: for ages and time limits, immune to a changed wall clock. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** RFC 3339 in UTC, the only form in which an instant leaves the program. */
export function toRfc3339(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
