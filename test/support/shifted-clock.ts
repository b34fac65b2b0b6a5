/**
 * Moves this process's wall clock. For what cannot be given a clock, above all oidc-provider, which stamps tokens with
 * `Date.now()`. Timers and the monotonic clock stay as they are.
 */
export interface ShiftedClock {
  /** Milliseconds added to the real time from now on; may be negative. */
  shiftTo(offset: number): void;
  shiftBy(milliseconds: number): void;
  readonly offset: number;
  /** The real wall clock. */
  realNow(): number;
  restore(): void;
}

/** @param initial milliseconds, or what is asked for them at every look at the clock */
export function installShiftedClock(initial: number | (() => number) = 0): ShiftedClock {
  const RealDate = globalThis.Date;
  let offset = typeof initial === 'number' ? initial : 0;
  const moved = typeof initial === 'number' ? () => offset : () => offset + initial();

  const Shifted = new Proxy(RealDate, {
    // Date() without new: the present as a string.
    apply: () => new RealDate(RealDate.now() + moved()).toString(),
    construct: (_target, args: unknown[], newTarget) =>
      Reflect.construct(RealDate, args.length === 0 ? [RealDate.now() + moved()] : args, newTarget),
    get: (target, name) =>
      name === 'now' ? () => RealDate.now() + moved() : Reflect.get(target, name, target),
  });
  globalThis.Date = Shifted;

  return {
    shiftTo: milliseconds => {
      offset = milliseconds;
    },
    shiftBy: milliseconds => {
      offset += milliseconds;
    },
    get offset() {
      return moved();
    },
    realNow: () => RealDate.now(),
    restore: () => {
      // Clocks installed one over the other are taken off in the reverse order.
      if (globalThis.Date !== Shifted)
        throw new TypeError('another shifted clock was installed over this one');
      globalThis.Date = RealDate;
    },
  };
}
