export interface Estimate {
  readonly median: number;
  /** 95 % bootstrap interval of the median. */
  readonly low: number;
  readonly high: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? Number.NaN) + (sorted[sorted.length >> 1] ?? Number.NaN)) / 2;
}

/** @param sorted ascending. Nearest rank. */
export function percentile(sorted: readonly number[], percent: number): number {
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** Fixed seed: the same measurements always give the same verdict. */
function* pseudoRandom(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    yield ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

export function estimateMedian(values: readonly number[], resamples = 4000): Estimate {
  const random = pseudoRandom(1);
  const medians = Array.from({ length: resamples }, () =>
    median(values.map(() => values[Math.floor(random.next().value * values.length)] ?? Number.NaN)),
  ).sort((a, b) => a - b);
  return { median: median(values), low: percentile(medians, 2.5), high: percentile(medians, 97.5) };
}

/** Rounds of one pair ran side by side, so a slow spell of the machine cancels out of their ratio. */
export function estimateRatio(over: readonly number[], under: readonly number[]): Estimate {
  return estimateMedian(over.map((value, pair) => value / (under[pair] ?? Number.NaN)));
}
