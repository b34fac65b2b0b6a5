/** The only place that touches `process.env`; everything else is given a copy. */
export function readEnvironment(): Record<string, string | undefined> {
  return { ...process.env };
}
