/** How often a race or a crash is tried: a few in `npm test`, many in `npm run test:long`, which sets LONG. */
export function rounds(short: number, long: number): number {
  return isLongRun() ? long : short;
}

export function isLongRun(): boolean {
  return (process.env.LONG ?? '') !== '';
}
