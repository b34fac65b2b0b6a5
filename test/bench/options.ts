import { parseArgs } from 'node:util';
import { CASES } from './cases.js';
import type { RoundPlan } from './measure.js';

export const USAGE = `npm run bench -- [--quick] [--case NAME]... [--pairs N] [--json FILE] [--bare-only]
  --quick      all cases in less than 60 s: fewer, shorter rounds, wider intervals
  --case NAME  only this case: ${CASES.map(({ name }) => `"${name}"`).join(', ')}
  --pairs N    rounds of each side (15; with --quick 5)
  --json FILE  writes the figures there too
  --bare-only  measures the sides that Claviger is compared with; judges no bound
`;

export interface BenchOptions {
  readonly isQuick: boolean;
  readonly isBareOnly: boolean;
  readonly caseNames: readonly string[];
  readonly jsonFile: string | undefined;
  readonly plan: RoundPlan;
  /** Starts of Claviger that are timed. */
  readonly starts: number;
}

/** Throws a TypeError whose message says what was wrong with the arguments. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      'bare-only': { type: 'boolean', default: false },
      case: { type: 'string', multiple: true },
      pairs: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const known = CASES.map(({ name }) => name);
  const caseNames = values.case ?? known;
  const unknown = caseNames.find(name => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`There is no case "${unknown}".`);
  const pairs = Number(values.pairs ?? (values.quick ? 5 : 15));
  if (!Number.isInteger(pairs) || pairs < 1)
    throw new TypeError('--pairs takes a whole number of at least 1.');
  return {
    isQuick: values.quick,
    isBareOnly: values['bare-only'],
    caseNames,
    jsonFile: values.json,
    plan: values.quick ? { pairs, roundFor: 0.5, warmFor: 0.4 } : { pairs, roundFor: 1.5, warmFor: 1 },
    starts: values.quick ? 3 : 7,
  };
}
