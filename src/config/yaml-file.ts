import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import type { Fault } from '../errors.js';
import { didYouMean } from './nearest-name.js';
import { isSettingName, SETTING_NAMES, type SettingName } from './settings.js';
import type { RawValue } from './value-kinds.js';

export interface YamlSettings {
  readonly values: ReadonlyMap<SettingName, RawValue>;
  readonly faults: readonly Fault[];
}

const SECTIONS: ReadonlySet<string> = new Set(
  SETTING_NAMES.filter(name => name.includes('.')).map(name => name.slice(0, name.indexOf('.'))),
);

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asScalar(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

function asRaw(value: unknown): RawValue | undefined {
  if (!Array.isArray(value)) return asScalar(value);
  const items = value.map(asScalar);
  return items.every(item => item !== undefined) ? items : undefined;
}

function unknownKey(path: string, at: string): Fault {
  const dot = path.indexOf('.');
  // A key right in itself but written in the wrong section is found by its last word.
  const lastWord = path.slice(dot + 1);
  const elsewhere = SETTING_NAMES.find(name => name === lastWord || name.endsWith(`.${lastWord}`));
  const candidates =
    dot === -1 ? [...SECTIONS, ...SETTING_NAMES.filter(name => !name.includes('.'))] : SETTING_NAMES;
  const nearest = didYouMean(path, candidates);
  const hint = nearest !== '' || elsewhere === undefined ? nearest : ` Did you mean ${elsewhere}?`;
  return { at, problem: `${path} is not a setting.${hint}` };
}

/** Settings out of YAML text. `shownPath` only names the file in faults. */
export function readYamlSettings(content: string, shownPath: string): YamlSettings {
  const document = parseDocument(content, { version: '1.2', prettyErrors: false });
  if (document.errors.length > 0) {
    // Only the code and the place: the library's text may quote the line, and with it a secret.
    const faults = document.errors.map(({ code, pos }) => {
      const line = content.slice(0, pos[0]).split('\n').length;
      return { at: `${shownPath}:${line}`, problem: `This is not valid YAML (${code.toLowerCase()}).` };
    });
    return { values: new Map(), faults };
  }
  const root: unknown = document.toJS({ maxAliasCount: 20 });
  if (root === null || root === undefined) return { values: new Map(), faults: [] };
  if (!isMapping(root)) {
    return {
      values: new Map(),
      faults: [{ at: shownPath, problem: 'Must be a mapping of settings (`http:`, `keys:` …).' }],
    };
  }

  const values = new Map<SettingName, RawValue>();
  const faults: Fault[] = [];
  const take = (path: string, value: unknown) => {
    if (!isSettingName(path)) {
      faults.push(unknownKey(path, shownPath));
      return;
    }
    const raw = asRaw(value);
    if (raw === undefined) {
      const problem =
        value === null
          ? `is empty in ${shownPath}; give it a value or remove it.`
          : `has the wrong shape in ${shownPath}; write one value or a list of values.`;
      faults.push({ at: path, problem });
    } else values.set(path, raw);
  };
  for (const [key, value] of Object.entries(root)) {
    if (!SECTIONS.has(key)) take(key, value);
    else if (isMapping(value))
      for (const [inner, innerValue] of Object.entries(value)) take(`${key}.${inner}`, innerValue);
    else if (value !== null)
      faults.push({ at: shownPath, problem: `${key} is a section: write its settings indented under it.` });
  }
  return { values, faults };
}

export function readYamlFile(path: string): YamlSettings {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    return {
      values: new Map(),
      faults: [{ at: path, problem: `The configuration file cannot be read (${code}).` }],
    };
  }
  return readYamlSettings(content, path);
}
