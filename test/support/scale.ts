/**
 * How much the heavy tests do. `npm test` runs a few rounds of each; `npm run test:long` (LONG=1) the full counts, and
 * with CI=true a quarter of them, of which a printed seed decides whatever is left to chance.
 */
type Size = 'short' | 'quarter' | 'long';

function sizeOf(env: NodeJS.ProcessEnv): Size {
  if (env.LONG !== '1') return 'short';
  return env.CI === 'true' ? 'quarter' : 'long';
}

const SIZE = sizeOf(process.env);

export const SEED = seedOf(process.env.SEED);

function seedOf(text: string | undefined): number {
  const seed = text === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(text);
  if (!Number.isSafeInteger(seed)) throw new TypeError(`SEED is not a whole number: ${text}`);
  return seed;
}

export const isLong = SIZE !== 'short';

/** How often a test repeats what it does in this run. */
export function rounds(counts: { readonly short: number; readonly long: number }): number {
  if (SIZE === 'long') return counts.long;
  return SIZE === 'quarter' ? Math.max(counts.short, Math.ceil(counts.long / 4)) : counts.short;
}

/** Milliseconds a test may take: mocha's limit is made for the short version. */
export function timeLimit(short: number): number {
  return isLong ? 60 * 60_000 : short;
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seededRandom(seed = SEED): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const FIGURE = 'figure:';

/** What was measured, one line, collected by the long run. */
export function figure(text: string): void {
  process.stdout.write(`        ${FIGURE} ${text}\n`);
}
