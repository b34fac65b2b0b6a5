import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IntlMessageFormat } from 'intl-messageformat';
import { LOCALES, type Locale } from '../config/config.js';
import { escapeHtml, Markup, webAddress, withoutControls } from './markup.js';
import { viewsFolder } from './views-folder.js';

export type MessageValue = string | number | Markup;
export type MessageValues = Readonly<Record<string, MessageValue>>;

/** What a message's tags become. A message is ours; its values never become tags. */
const TAGS: Readonly<Record<string, readonly [string, string]>> = {
  b: ['<strong dir="auto">', '</strong>'],
  em: ['<em>', '</em>'],
  code: ['<code>', '</code>'],
  mono: ['<span class="mono">', '</span>'],
  soft: ['<span class="soft">', '</span>'],
};

type Chunk = string | Markup;
type Wrap = (chunks: Chunk[]) => Markup;

function html(chunks: readonly Chunk[]): string {
  return chunks.map(escapeHtml).join('');
}

function wraps(links: Readonly<Record<string, string>>): Record<string, Wrap> {
  const tags = Object.entries(TAGS).map(([tag, [open, close]]): [string, Wrap] => [
    tag,
    chunks => new Markup(`${open}${html(chunks)}${close}`),
  ]);
  const anchors = Object.entries(links).map(([tag, url]): [string, Wrap] => [
    tag,
    chunks => new Markup(`<a href="${escapeHtml(webAddress(url) ?? '#')}">${html(chunks)}</a>`),
  ]);
  return Object.fromEntries([...tags, ...anchors]);
}

function cleaned(values: MessageValues): Record<string, MessageValue> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'string' ? withoutControls(value) : value,
    ]),
  );
}

/** The catalogues: every sentence that people read, by key (ICU MessageFormat). */
export class Messages {
  readonly #texts: ReadonlyMap<Locale, ReadonlyMap<string, string>>;
  /** Parsing a message costs more than saying it. */
  readonly #parsed = new Map<string, IntlMessageFormat>();

  constructor(folder: string = viewsFolder()) {
    this.#texts = new Map(
      LOCALES.map(locale => {
        const file = readFileSync(join(folder, 'messages', `${locale}.json`), 'utf8');
        return [locale, new Map(Object.entries(JSON.parse(file) as Record<string, string>))];
      }),
    );
  }

  keys(locale: Locale): readonly string[] {
    return [...(this.#texts.get(locale)?.keys() ?? [])];
  }

  has(key: string): boolean {
    return this.#texts.get('en')?.has(key) ?? false;
  }

  /** Plain text, to be escaped by whoever prints it. */
  say(locale: Locale, key: string, values: MessageValues = {}): string {
    const said: unknown = this.#message(locale, key, false).format(cleaned(values));
    return Array.isArray(said) ? said.join('') : String(said);
  }

  /** HTML: values are escaped, the message's own tags are not. `links` names the addresses of tags that link. */
  rich(
    locale: Locale,
    key: string,
    values: MessageValues = {},
    links: Readonly<Record<string, string>> = {},
  ): Markup {
    const said: unknown = this.#message(locale, key, true).format<Markup>({
      ...cleaned(values),
      ...wraps(links),
    });
    return new Markup(html((Array.isArray(said) ? said : [said]) as Chunk[]));
  }

  #message(locale: Locale, key: string, hasTags: boolean): IntlMessageFormat {
    const id = `${locale} ${hasTags} ${key}`;
    const known = this.#parsed.get(id);
    if (known !== undefined) return known;
    const text = this.#texts.get(locale)?.get(key);
    if (text === undefined) throw new TypeError(`no message ${key} in ${locale}`);
    const message = new IntlMessageFormat(text, locale, undefined, { ignoreTag: !hasTags });
    this.#parsed.set(id, message);
    return message;
  }
}
