import type { Context } from 'koa';
import { LOCALES, type Locale } from '../config/config.js';

/** Remembers what the person chose on a page. */
export const LOCALE_COOKIE = 'locale';

const LONGEST = 200;
const MOST = 10;

/** How a language calls itself. */
export const LOCALE_NAMES: Readonly<Record<Locale, string>> = { en: 'English', de: 'Deutsch' };

/** Languages in which text runs from right to left, for whoever adds a catalogue. */
const RIGHT_TO_LEFT: readonly string[] = ['ar', 'dv', 'fa', 'he', 'ku', 'ps', 'sd', 'ug', 'ur', 'yi'];

export function directionOf(locale: string): 'ltr' | 'rtl' {
  return RIGHT_TO_LEFT.includes(locale.split('-', 1)[0] ?? '') ? 'rtl' : 'ltr';
}

export function isLocale(value: unknown): value is Locale {
  return LOCALES.some(locale => locale === value);
}

/** `de-AT` is served by `de` (RFC 4647 §3.4). */
function matching(tag: string): Locale | undefined {
  const language = tag.trim().toLowerCase().split('-', 1)[0];
  return LOCALES.find(locale => locale === language);
}

/** OpenID Connect Core §3.1.2.1: tags, separated by spaces, in order of preference. */
function fromUiLocales(value: unknown): Locale | undefined {
  if (typeof value !== 'string') return undefined;
  return firstMatch(value.slice(0, LONGEST).split(' ', MOST));
}

function firstMatch(tags: readonly string[]): Locale | undefined {
  return tags.map(matching).find(locale => locale !== undefined);
}

/** RFC 9110 §12.5.4. Anyone can send the header: no more of it is read than a person's languages need. */
export function fromAcceptLanguage(header: string | undefined): Locale | undefined {
  const ranges = (header ?? '').slice(0, LONGEST).split(',', MOST).map(weighted);
  return firstMatch(
    ranges
      .filter(({ quality }) => quality > 0)
      .sort((one, other) => other.quality - one.quality)
      .map(({ tag }) => tag),
  );
}

function weighted(range: string): { readonly tag: string; readonly quality: number } {
  const [tag = '', ...parameters] = range.split(';');
  const quality = parameters.map(parameter => /^\s*q=([01](?:\.\d{0,3})?)\s*$/i.exec(parameter)?.[1]);
  return { tag, quality: Number(quality.find(value => value !== undefined) ?? 1) };
}

/**
 * The language of the page: what its address says, what the person chose here before, what the client asks for
 * (`ctx.state.uiLocales`), what the browser prefers, what the operator set. The person's own choice comes before
 * the client's, or the language switch would do nothing on a page that a client asked for in another language.
 */
export function localeOf(ctx: Context, fallback: Locale): Locale {
  const chosen = ctx.cookies.get(LOCALE_COOKIE, { signed: false });
  return (
    fromUiLocales(ctx.query.ui_locales) ??
    (isLocale(chosen) ? chosen : undefined) ??
    fromUiLocales(ctx.state.uiLocales) ??
    fromAcceptLanguage(ctx.get('Accept-Language')) ??
    fallback
  );
}
