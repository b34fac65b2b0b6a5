import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Fault } from '../errors.js';
import { didYouMean } from './nearest-name.js';
import type { RemoteReferences } from './remote-references.js';
import { environmentName, isSettingName, SETTING_NAMES, type SettingName, settingOf } from './settings.js';
import type { RawValue } from './value-kinds.js';
import { readYamlFile } from './yaml-file.js';

export interface LoadInput {
  /** By setting name: `{ 'http.port': '4400' }`. */
  readonly flags?: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** From `--config`; must then exist. */
  readonly file?: string;
  readonly cwd: string;
  /** What other machines keep; without it their references are refused. */
  readonly remote?: RemoteReferences;
}

export type Source = 'flag' | 'env' | 'file' | 'default';

/** A value as someone wrote it, not yet read. */
export interface Given {
  readonly source: Exclude<Source, 'default'>;
  /** The flag, variable or file that said so. */
  readonly from: string;
  readonly raw: RawValue;
  /** Set by `…_FILE`: the raw value is the path of the file that holds it. */
  readonly isPath: boolean;
  /** Against which a relative path counts. */
  readonly folder: string;
}

const CONFIG_VARIABLE = 'CLAVIGER_CONFIG';
const DEFAULT_FILE = 'claviger.yaml';

function fromFlags(input: LoadInput, given: Map<SettingName, Given>): Fault[] {
  const faults: Fault[] = [];
  for (const [name, raw] of Object.entries(input.flags ?? {})) {
    const from = `--${name}`;
    if (isSettingName(name)) given.set(name, { source: 'flag', from, raw, isPath: false, folder: input.cwd });
    else faults.push({ at: from, problem: `${name} is not a setting.${didYouMean(name, SETTING_NAMES)}` });
  }
  return faults;
}

/**
 * Kubernetes writes `X_SERVICE_HOST`, `X_PORT=tcp://…`, `X_PORT_4400_TCP_ADDR` … into every container of a namespace
 * that has a Service x. A Service named claviger must not stop the server.
 */
function isServiceLink(name: string, value: string): boolean {
  if (/_SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)$/.test(name)) return true;
  if (/_PORT_\d{1,5}_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?$/.test(name)) return true;
  return /_PORT$/.test(name) && /^(?:tcp|udp|sctp):\/\//.test(value);
}

function fromEnvironment(input: LoadInput, given: Map<SettingName, Given>): Fault[] {
  const faults: Fault[] = [];
  const known = new Map<string, { name: SettingName; isPath: boolean }>();
  for (const name of SETTING_NAMES) {
    known.set(environmentName(name), { name, isPath: false });
    if (settingOf(name).isSecret !== undefined)
      known.set(`${environmentName(name)}_FILE`, { name, isPath: true });
  }
  for (const [variable, raw] of Object.entries(input.env)) {
    // An empty variable counts as absent: compose files and shells cannot unset one.
    if (!variable.startsWith('CLAVIGER_') || variable === CONFIG_VARIABLE || raw === undefined || raw === '')
      continue;
    const target = known.get(variable);
    if (isServiceLink(variable, raw)) continue;
    if (target === undefined) {
      const hint = didYouMean(variable, [...known.keys(), CONFIG_VARIABLE]);
      faults.push({ at: variable, problem: `This variable is not a setting.${hint}` });
      continue;
    }
    const { name, isPath } = target;
    const other = given.get(name);
    if (other?.source === 'env') {
      faults.push({ at: name, problem: `is given by both ${other.from} and ${variable}; keep one.` });
    } else if (other === undefined) {
      given.set(name, { source: 'env', from: variable, raw, isPath, folder: input.cwd });
    }
  }
  if (!given.has('environment') && input.env.NODE_ENV === 'production') {
    given.set('environment', {
      source: 'env',
      from: 'NODE_ENV',
      raw: 'production',
      isPath: false,
      folder: input.cwd,
    });
  }
  return faults;
}

function chosenFile({ file, env, cwd }: LoadInput): string | undefined {
  const named = file ?? (env[CONFIG_VARIABLE] === '' ? undefined : env[CONFIG_VARIABLE]);
  if (named !== undefined) return resolve(cwd, named);
  const fallback = resolve(cwd, DEFAULT_FILE);
  return existsSync(fallback) ? fallback : undefined;
}

function fromFile(input: LoadInput, given: Map<SettingName, Given>): Fault[] {
  const path = chosenFile(input);
  if (path === undefined) return [];
  const { values, faults } = readYamlFile(path);
  for (const [name, raw] of values) {
    const other = given.get(name);
    // NODE_ENV is a hint for those who say nothing; the file says something.
    if (other !== undefined && other.from !== 'NODE_ENV') continue;
    given.set(name, { source: 'file', from: path, raw, isPath: false, folder: dirname(path) });
  }
  return [...faults];
}

/** What was written for each setting, the strongest source only: flag, environment, file. */
export function gatherGiven(input: LoadInput): { given: ReadonlyMap<SettingName, Given>; faults: Fault[] } {
  const given = new Map<SettingName, Given>();
  const faults = [...fromFlags(input, given), ...fromEnvironment(input, given), ...fromFile(input, given)];
  return { given, faults };
}
