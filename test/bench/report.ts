import type { BoundResult, CaseResult, SideResult } from './results.js';

const HEADINGS = [
  'case',
  'side',
  'req/s',
  'CPU us/req',
  'p50 ms',
  'p99 ms',
  'RSS MB',
  'core',
  'CPU ratio',
  'req/s ratio',
];

function withInterval(value: number | undefined, range: readonly [number, number] | undefined): string {
  if (value === undefined || range === undefined) return '';
  return `${value.toFixed(2)} (${range[0].toFixed(2)}-${range[1].toFixed(2)})`;
}

function row(result: CaseResult, side: string, measured: SideResult, ratios: readonly string[]): string[] {
  return [
    result.name,
    side,
    measured.rps.toFixed(0),
    measured.cpu_us.toFixed(0),
    measured.p50_ms.toFixed(1),
    measured.p99_ms.toFixed(1),
    measured.rss_mb.toFixed(0),
    `${Math.round(measured.server_load * 100)} %`,
    ...ratios,
  ];
}

function rowsOf(result: CaseResult): string[][] {
  return [
    ...(result.claviger ? [row(result, 'claviger', result.claviger, ['', ''])] : []),
    ...(result.claviger_plain
      ? [
          row(result, 'claviger-plain', result.claviger_plain, [
            withInterval(result.cpu_ratio_plain, result.cpu_ratio_plain_interval),
            '',
          ]),
        ]
      : []),
    ...(result.bare
      ? [
          row(result, 'bare', result.bare, [
            withInterval(result.cpu_ratio, result.cpu_ratio_interval),
            withInterval(result.rps_ratio, result.rps_ratio_interval),
          ]),
        ]
      : []),
    ...(result.bare_sqlite
      ? [
          row(result, 'bare-sqlite', result.bare_sqlite, [
            withInterval(result.cpu_ratio_sqlite, result.cpu_ratio_sqlite_interval),
            '',
          ]),
        ]
      : []),
  ];
}

export function table(results: readonly CaseResult[]): string {
  const rows = [HEADINGS, ...results.flatMap(rowsOf)];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map(cells => (cells[column] ?? '').length)));
  const lines = rows.map(cells =>
    cells
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  return lines.join('\n');
}

/** A server that waited for its load, or shared its core, shows fewer requests per second than it can answer. */
export function loadWarnings(results: readonly CaseResult[]): readonly string[] {
  return results.flatMap(result =>
    (['claviger', 'claviger_plain', 'bare', 'bare_sqlite'] as const).flatMap(side => {
      const measured = result[side];
      return measured && measured.server_load < 0.9
        ? [
            `${result.name}, ${side}: the server had only ${Math.round(measured.server_load * 100)} % of its core (load generator ${Math.round(measured.generator_load * 100)} %); the rest went to waiting or to other programs. Its req/s are a lower limit.`,
          ]
        : [];
    }),
  );
}

export function boundLines(bounds: readonly BoundResult[]): string {
  return bounds
    .map(
      ({ bound, median, interval, passed }) =>
        `${passed ? 'ok    ' : 'FAILED'}  ${bound}: ${median} (${interval[0]} to ${interval[1]})`,
    )
    .join('\n');
}
