import type { Locale } from '../config/config.js';
import { Markup } from './markup.js';
import type { Messages, MessageValues } from './messages.js';

/** Day before month, 24 hours: English as it is written outside one country. */
const FORMAT_LOCALES: Readonly<Record<Locale, string>> = { en: 'en-GB', de: 'de-DE' };

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['year', 365 * 86_400_000],
  ['month', 30 * 86_400_000],
  ['week', 7 * 86_400_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
];

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) !== undefined;
  } catch {
    return false;
  }
}

/** Words, instants and durations of one page, in one language. */
export class ViewWords {
  readonly #messages: Messages;
  readonly #locale: Locale;
  readonly #now: number;
  readonly #zone: string;

  /** @param zone the person's time zone, if it is known; else times are in UTC and say so. */
  constructor(messages: Messages, locale: Locale, now: number, zone?: string) {
    this.#messages = messages;
    this.#locale = locale;
    this.#now = now;
    this.#zone = zone !== undefined && isTimeZone(zone) ? zone : 'UTC';
  }

  t(key: string, values?: MessageValues): string {
    return this.#messages.say(this.#locale, key, values);
  }

  rich(key: string, values?: MessageValues, links?: Readonly<Record<string, string>>): Markup {
    return this.#messages.rich(this.#locale, key, values, links);
  }

  has(key: string): boolean {
    return this.#messages.has(key);
  }

  /** 24 November 2026, 14:20 UTC */
  date(instant: number): Markup {
    const time = new Intl.DateTimeFormat(FORMAT_LOCALES[this.#locale], {
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
      timeZone: this.#zone,
    }).format(instant);
    const said = `${this.#day(instant)}, ${time}${this.#zone === 'UTC' ? ' UTC' : ''}`;
    return this.#element(instant, said, 'instant');
  }

  /** 24 November 2026 */
  day(instant: number): Markup {
    return this.#element(instant, this.#day(instant), 'day');
  }

  /** 2 minutes ago */
  ago(instant: number): Markup {
    return this.#element(instant, this.#ago(instant), undefined);
  }

  /** 30 days, for a lifetime in seconds. */
  lasting(seconds: number): string {
    const [unit, step] = STEPS.slice(3).find(([, size]) => (seconds * 1000) % size === 0) ?? [
      'minute',
      60_000,
    ];
    return new Intl.NumberFormat(FORMAT_LOCALES[this.#locale], {
      style: 'unit',
      unit,
      unitDisplay: 'long',
    }).format(Math.max(1, Math.ceil((seconds * 1000) / step)));
  }

  /** A, B and C */
  list(words: readonly string[]): string {
    return new Intl.ListFormat(FORMAT_LOCALES[this.#locale], { type: 'conjunction' }).format(words);
  }

  #day(instant: number): string {
    return new Intl.DateTimeFormat(FORMAT_LOCALES[this.#locale], {
      day: 'numeric',
      month: 'long',
      year: 'numeric',
      timeZone: this.#zone,
    }).format(instant);
  }

  #ago(instant: number): string {
    const age = instant - this.#now;
    const [unit, step] = STEPS.find(([, size]) => Math.abs(age) >= size) ?? ['minute', 60_000];
    if (Math.abs(age) < 60_000) return this.t('shared.just_now');
    return new Intl.RelativeTimeFormat(FORMAT_LOCALES[this.#locale], { numeric: 'auto' }).format(
      Math.round(age / step),
      unit,
    );
  }

  /** `form` tells a script how to say it again in the browser's own time zone. */
  #element(instant: number, said: string, form: 'instant' | 'day' | undefined): Markup {
    const hint = form === undefined || this.#zone !== 'UTC' ? '' : ` data-local="${form}"`;
    return new Markup(`<time datetime="${new Date(instant).toISOString()}"${hint}>${said}</time>`);
  }
}
