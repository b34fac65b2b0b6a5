import { CROWD_CASE, STATUS_LIST_CASE } from './cases.js';
import type { Round, Rounds } from './measure.js';
import type { SideName } from './sides.js';
import { type Estimate, estimateMedian, estimateRatio, median } from './statistics.js';

/** Written by `--json`: wire names. */
export interface SideResult {
  readonly rps: number;
  readonly cpu_us: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly rss_mb: number;
  readonly server_load: number;
  readonly generator_load: number;
}

export interface CaseResult {
  readonly name: string;
  readonly pairs: number;
  readonly claviger?: SideResult;
  readonly claviger_plain?: SideResult;
  readonly bare?: SideResult;
  readonly bare_sqlite?: SideResult;
  readonly cpu_ratio?: number;
  readonly cpu_ratio_interval?: readonly [number, number];
  readonly cpu_ratio_plain?: number;
  readonly cpu_ratio_plain_interval?: readonly [number, number];
  readonly cpu_ratio_sqlite?: number;
  readonly cpu_ratio_sqlite_interval?: readonly [number, number];
  readonly rps_ratio?: number;
  readonly rps_ratio_interval?: readonly [number, number];
  readonly rss_ratio?: number;
  readonly rss_ratio_interval?: readonly [number, number];
}

export interface BoundResult {
  readonly bound: string;
  readonly limit: number;
  readonly median: number;
  readonly interval: readonly [number, number];
  readonly passed: boolean;
}

const rounded = (value: number, digits: number) => Number(value.toFixed(digits));

const interval = ({ low, high }: Estimate) => [rounded(low, 3), rounded(high, 3)] as const;

function sideResult(rounds: readonly Round[]): SideResult {
  const middle = (pick: (round: Round) => number) => median(rounds.map(pick));
  return {
    rps: rounded(
      middle(round => round.rps),
      1,
    ),
    cpu_us: rounded(
      middle(round => round.cpuMicroseconds),
      1,
    ),
    p50_ms: rounded(
      middle(round => round.p50),
      2,
    ),
    p99_ms: rounded(
      middle(round => round.p99),
      2,
    ),
    rss_mb: rounded(Math.max(...rounds.map(round => round.residentMegabytes)), 1),
    server_load: rounded(
      middle(round => round.serverLoad),
      2,
    ),
    generator_load: rounded(
      middle(round => round.generatorLoad),
      2,
    ),
  };
}

type Quantity = (round: Round) => number;
const cpu: Quantity = round => round.cpuMicroseconds;
const rate: Quantity = round => round.rps;
const tail: Quantity = round => round.p99;
const memory: Quantity = round => round.residentMegabytes;

function ratio(rounds: Rounds, other: SideName, quantity: Quantity): Estimate | undefined {
  const ours = rounds.get('claviger');
  const theirs = rounds.get(other);
  return ours && theirs && estimateRatio(ours.map(quantity), theirs.map(quantity));
}

function own(rounds: Rounds, quantity: Quantity): Estimate | undefined {
  const ours = rounds.get('claviger');
  return ours && estimateMedian(ours.map(quantity));
}

export function caseResult(name: string, rounds: Rounds): CaseResult {
  const side = (key: string, sideName: SideName) => {
    const measured = rounds.get(sideName);
    return measured ? { [key]: sideResult(measured) } : {};
  };
  const ratios = (key: string, other: SideName, quantity: Quantity) => {
    const estimate = ratio(rounds, other, quantity);
    return estimate ? { [key]: rounded(estimate.median, 3), [`${key}_interval`]: interval(estimate) } : {};
  };
  return {
    name,
    pairs: Math.min(...[...rounds.values()].map(list => list.length)),
    ...side('claviger', 'claviger'),
    ...side('claviger_plain', 'claviger-plain'),
    ...side('bare', 'bare'),
    ...side('bare_sqlite', 'bare-sqlite'),
    ...ratios('cpu_ratio', 'bare', cpu),
    ...ratios('cpu_ratio_plain', 'claviger-plain', cpu),
    ...ratios('cpu_ratio_sqlite', 'bare-sqlite', cpu),
    ...ratios('rps_ratio', 'bare', rate),
    ...ratios('rss_ratio', 'bare', memory),
  };
}

const BOUNDS: readonly {
  bound: string;
  caseName: string;
  /** Absent: the figure itself is bounded, not its ratio. */
  other?: SideName;
  quantity: Quantity;
  limit: number;
  isCeiling: boolean;
}[] = [
  {
    bound: 'client_credentials ES256: CPU per request at most 1.35 x bare',
    caseName: 'client_credentials ES256',
    other: 'bare',
    quantity: cpu,
    limit: 1.35,
    isCeiling: true,
  },
  {
    bound: 'client_credentials ES256: CPU per request at most 0.8 x bare-sqlite',
    caseName: 'client_credentials ES256',
    other: 'bare-sqlite',
    quantity: cpu,
    limit: 0.8,
    isCeiling: true,
  },
  {
    bound: 'client_credentials ES256: resident memory at most 1.5 x bare',
    caseName: 'client_credentials ES256',
    other: 'bare',
    quantity: memory,
    limit: 1.5,
    isCeiling: true,
  },
  {
    bound: `${STATUS_LIST_CASE}: CPU per request at most 1.05 x without`,
    caseName: STATUS_LIST_CASE,
    other: 'claviger-plain',
    quantity: cpu,
    limit: 1.05,
    isCeiling: true,
  },
  {
    bound: 'jwks: requests per second at least 1.3 x bare',
    caseName: 'jwks',
    other: 'bare',
    quantity: rate,
    limit: 1.3,
    isCeiling: false,
  },
  {
    bound: `${CROWD_CASE}: p99 at most 250 ms`,
    caseName: CROWD_CASE,
    quantity: tail,
    limit: 250,
    isCeiling: true,
  },
];

/** A bound fails only when the whole 95 % interval lies beyond it: noise alone never fails a run. */
function judge(bound: string, limit: number, isCeiling: boolean, estimate: Estimate): BoundResult {
  return {
    bound,
    limit,
    median: rounded(estimate.median, 3),
    interval: interval(estimate),
    passed: isCeiling ? estimate.low <= limit : estimate.high >= limit,
  };
}

export function judgeBounds(
  measured: ReadonlyMap<string, Rounds>,
  readyMs: readonly number[],
): readonly BoundResult[] {
  const results = BOUNDS.flatMap(({ bound, caseName, other, quantity, limit, isCeiling }) => {
    const rounds = measured.get(caseName);
    const estimate = rounds && (other === undefined ? own(rounds, quantity) : ratio(rounds, other, quantity));
    return estimate ? [judge(bound, limit, isCeiling, estimate)] : [];
  });
  if (readyMs.length === 0) return results;
  return [...results, judge('ready: at most 2000 ms', 2000, true, estimateMedian(readyMs))];
}
