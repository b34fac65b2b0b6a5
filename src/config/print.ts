import type { Fault } from '../errors.js';
import type { LoadedConfig, SettingSource } from './load.js';
import { environmentName, SETTING_NAMES, settingOf } from './settings.js';

function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => (row[column] ?? '').length)));
  return rows
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A table of every setting for `config print`, secrets redacted. Ends without a newline. */
export function printConfig({ sources }: LoadedConfig): string {
  const rows = sources.map(({ name, shown, source, from, reference }) => [
    name,
    shown === '' ? '-' : shown,
    [
      from === undefined ? source : `${source} (${from})`,
      ...(reference === undefined ? [] : [reference]),
    ].join(': '),
  ]);
  return columns([['NAME', 'VALUE', 'SOURCE'], ...rows]);
}

export interface PrintedSetting {
  readonly name: string;
  readonly value: SettingSource['value'];
  readonly source: SettingSource['source'];
  readonly from: string | null;
  readonly reference: string | null;
}

/** The same for `config print --json`; durations and sizes are plain numbers. */
export function configJson({ sources, warnings }: LoadedConfig): {
  settings: PrintedSetting[];
  warnings: readonly Fault[];
} {
  const settings = sources.map(({ name, value, source, from, reference }) => ({
    name,
    value,
    source,
    from: from ?? null,
    reference: reference ?? null,
  }));
  return { settings, warnings };
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function shownDefault(name: (typeof SETTING_NAMES)[number]): string {
  const { kind, fallback, fallbackSays } = settingOf(name);
  if (fallbackSays !== undefined) return cell(fallbackSays);
  const shown = kind.show(fallback);
  return shown === '' ? 'none' : `\`${shown}\``;
}

/** Markdown table of every setting, for the README. */
export function settingsTable(): string {
  const rows = SETTING_NAMES.map(name => {
    const { kind, says, isSecret } = settingOf(name);
    const variable = `\`${environmentName(name)}\`${isSecret === undefined ? '' : ' or `…_FILE`'}`;
    return `| \`${name}\` | ${variable} | ${cell(kind.type)} | ${shownDefault(name)} | ${cell(says)} |`;
  });
  return [
    '| Setting | Environment variable | Type | Default | What it decides |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

export const TABLE_BEGIN = '<!-- settings:begin -->';
export const TABLE_END = '<!-- settings:end -->';

/** The document with the table between its markers brought up to date. */
export function withSettingsTable(document: string): string {
  const begin = document.indexOf(TABLE_BEGIN);
  const end = document.indexOf(TABLE_END);
  if (begin === -1 || end < begin) throw new TypeError(`the document lacks ${TABLE_BEGIN} … ${TABLE_END}`);
  return `${document.slice(0, begin + TABLE_BEGIN.length)}\n${settingsTable()}\n${document.slice(end)}`;
}
