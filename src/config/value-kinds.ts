import { Secret } from './config.js';
import { DURATION_FORM, readDuration, showDuration } from './duration.js';

/** What a flag, an environment variable or a YAML scalar (or list of scalars) holds before it is read. */
export type RawValue = string | readonly string[];

export type Reading<T> =
  | { readonly value: T }
  | {
      readonly problem: string;
      /** What is wanted, without a word of what was given: for values that must not be repeated. */
      readonly demand?: string;
    };

export interface Kind<T> {
  /** For the settings table. */
  readonly type: string;
  /** Several values: each may be a reference. */
  readonly isList?: boolean;
  read(raw: RawValue): Reading<T>;
  show(value: T): string;
}

function wrong(given: string, demand: string): { problem: string; demand: string } {
  return { problem: `is ${given}; ${demand}`, demand };
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function scalar<T>(type: string, read: (raw: string) => Reading<T>, show: (value: T) => string): Kind<T> {
  return {
    type,
    read: raw => (typeof raw === 'string' ? read(raw.trim()) : { problem: 'takes one value, not a list.' }),
    show,
  };
}

function between(
  value: number,
  least: number,
  most: number,
  show: (value: number) => string,
): Reading<number> {
  if (value >= least && value <= most) return { value };
  return wrong(show(value), `it must be between ${show(least)} and ${show(most)}.`);
}

export function integer(least: number, most: number): Kind<number> {
  return scalar(
    'integer',
    raw =>
      /^-?\d{1,15}$/.test(raw)
        ? between(Number(raw), least, most, String)
        : wrong(quoted(raw), 'it must be a whole number.'),
    String,
  );
}

export function duration(least: number, most: number): Kind<number> {
  return scalar(
    'duration',
    raw => {
      const seconds = readDuration(raw);
      if (seconds === undefined) return wrong(quoted(raw), `${DURATION_FORM}.`);
      return between(seconds, least, most, showDuration);
    },
    showDuration,
  );
}

/** Whole seconds that may be negative: an offset, not a length. */
export function offset(furthest: number): Kind<number> {
  return { ...integer(-furthest, furthest), type: 'seconds' };
}

const KIBIBYTE = 1_024;
const MEBIBYTE = KIBIBYTE * KIBIBYTE;

function showSize(bytes: number): string {
  if (bytes > 0 && bytes % MEBIBYTE === 0) return `${bytes / MEBIBYTE}MiB`;
  return bytes > 0 && bytes % KIBIBYTE === 0 ? `${bytes / KIBIBYTE}KiB` : String(bytes);
}

export function size(least: number, most: number): Kind<number> {
  return scalar(
    'size',
    raw => {
      const match = /^(\d{1,12})\s*(KiB|MiB)?$/.exec(raw);
      if (match === null) return wrong(quoted(raw), 'write it as 56KiB, 1MiB or a number of bytes.');
      const unit = match[2] === 'MiB' ? MEBIBYTE : match[2] === 'KiB' ? KIBIBYTE : 1;
      return between(Number(match[1]) * unit, least, most, showSize);
    },
    showSize,
  );
}

export function text(pattern: RegExp, form: string): Kind<string> {
  return scalar(
    'text',
    raw => (pattern.test(raw) ? { value: raw } : wrong(quoted(raw), `it must be ${form}.`)),
    value => value,
  );
}

/** Text whose content is never repeated in a message, because it may carry a password. */
export function sensitiveText(
  type: string,
  pattern: RegExp,
  form: string,
  show: (value: string) => string,
): Kind<string> {
  return scalar(
    type,
    raw => (pattern.test(raw) ? { value: raw } : { problem: `has the wrong form; it must be ${form}.` }),
    show,
  );
}

export const boolean: Kind<boolean> = scalar<boolean>(
  'boolean',
  raw =>
    raw === 'true' || raw === 'false'
      ? { value: raw === 'true' }
      : wrong(quoted(raw), 'it must be true or false.'),
  String,
);

export function choice<T extends string>(choices: readonly T[]): Kind<T> {
  return scalar(
    choices.join(' | '),
    raw => {
      const value = choices.find(candidate => candidate === raw);
      return value === undefined ? wrong(quoted(raw), `it must be one of ${choices.join(', ')}.`) : { value };
    },
    value => value,
  );
}

export function list<T>(item: Kind<T>): Kind<readonly T[]> {
  return {
    type: `list of ${item.type}`,
    isList: true,
    read: raw => {
      const parts = typeof raw === 'string' ? raw.split(',') : raw;
      const value: T[] = [];
      for (const part of parts.map(each => each.trim()).filter(each => each !== '')) {
        const reading = item.read(part);
        if ('problem' in reading) {
          const demand = `each entry: ${reading.demand ?? item.type}`;
          return { problem: `has a wrong entry: it ${reading.problem}`, demand };
        }
        value.push(reading.value);
      }
      return { value };
    },
    show: value => value.map(each => item.show(each)).join(','),
  };
}

export const secret: Kind<Secret | undefined> = scalar<Secret | undefined>(
  'secret',
  raw => ({ value: new Secret(raw) }),
  value => (value === undefined ? '' : '[redacted]'),
);
