import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { IntlMessageFormat } from 'intl-messageformat';
import { LOCALES } from '../../src/config/config.js';
import { ACTIVITY_EVENTS } from '../../src/http/activity-events.js';
import { Messages } from '../../src/http/messages.js';

const ROOT = join(import.meta.dirname, '../..');

function texts(locale: string): Record<string, string> {
  return JSON.parse(readFileSync(join(ROOT, 'views/messages', `${locale}.json`), 'utf8')) as Record<
    string,
    string
  >;
}

/** As much of a parsed message as is looked at: numbers stand for kinds (0 text, 7 the number in a plural, 8 a tag). */
interface Element {
  readonly type: number;
  readonly value?: string;
  readonly options?: Readonly<Record<string, { readonly value: readonly Element[] }>>;
  readonly children?: readonly Element[];
}

/** Values and tags that a message needs. */
function needs(text: string): string[] {
  const found = new Set<string>();
  const walk = (elements: readonly Element[]): void => {
    for (const { type, value = '', options = {}, children = [] } of elements) {
      if (type !== 0 && type !== 7) found.add(type === 8 ? `<${value}>` : value);
      walk(children);
      for (const option of Object.values(options)) walk(option.value);
    }
  };
  walk(new IntlMessageFormat(text, 'en').getAst() as readonly Element[]);
  return [...found].sort();
}

function sources(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith(ending))
    .map(entry => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
}

/** Keys written out whole in templates; what is put together ends in a dot. */
function keysInTemplates(): string[] {
  return sources('views', '.eta').flatMap(text =>
    [...text.matchAll(/\b(?:t|rich|has)\(\s*'([^']+)'/g)].map(([, key = '']) => key),
  );
}

const FAMILIES =
  /'((?:notice|message|next|error|sign_up|password|email|name|code|device|confirm|profile|link|csrf|way|mail)\.[a-z_]+(?:\.(?:title|text))?)'/g;

describe('message catalogues', () => {
  const english = texts('en');
  const german = texts('de');

  it('have the same keys in the same order', () => {
    expect(Object.keys(german)).to.deep.equal(Object.keys(english));
  });

  it('are valid ICU messages that need the same values in every language', () => {
    for (const [key, text] of Object.entries(english)) {
      expect(needs(german[key] ?? ''), key).to.deep.equal(needs(text));
    }
  });

  it('use only the tags that pages know', () => {
    for (const [key, text] of Object.entries(english)) {
      for (const tag of needs(text).filter(name => name.startsWith('<'))) {
        expect(['<b>', '<em>', '<code>', '<mono>', '<soft>', '<link>'], key).to.include(tag);
      }
    }
  });

  it('have every key that a template names', () => {
    const messages = new Messages();
    const unknown = keysInTemplates().filter(key =>
      key.endsWith('.') ? !Object.keys(english).some(known => known.startsWith(key)) : !messages.has(key),
    );
    expect(unknown).to.deep.equal([]);
  });

  it('have every key that a controller names', () => {
    // Names of audit events look like keys of these families; they are shown as activity.<event>.
    const events: readonly string[] = ACTIVITY_EVENTS;
    const unknown = sources('src/http', '.ts')
      .flatMap(text => [...text.matchAll(FAMILIES)].map(([, key = '']) => key))
      .filter(key => !(key in english) && !events.includes(key) && !(`${key}.title` in english));
    // Fields of nodemailer and the like do not stand in quotes.
    expect([...new Set(unknown)].filter(key => !/^mail\.[a-z-]+$/.test(key))).to.deep.equal([]);
  });

  it('have words for every event that people see', () => {
    for (const event of ACTIVITY_EVENTS) expect(english, event).to.have.property(`activity.${event}`);
    expect(english).to.have.property('activity.other');
  });

  it('hold no key that nothing names', () => {
    const code = [...sources('views', '.eta'), ...sources('src', '.ts')].join('\n');
    const readme = readFileSync(join(ROOT, 'views/messages/README.md'), 'utf8');
    const unused = Object.keys(english).filter(key => {
      if (code.includes(`'${key}'`) || /^(?:activity|mail|scope|claim|claim_hint|amr|way|error)\./.test(key))
        return false;
      if (keysInTemplates().some(prefix => prefix.endsWith('.') && key.startsWith(prefix))) return false;
      const word = /^(?:notice|message)\.([a-z_]+)/.exec(key)?.[1] ?? key;
      return !readme.includes(word);
    });
    expect(unused).to.deep.equal([]);
  });

  it('speak calmly: no exclamation marks, no apologies, German with Sie', () => {
    for (const [key, text] of [...Object.entries(english), ...Object.entries(german)]) {
      expect(text, key).to.not.match(/!|\boops\b|\bsorry\b|something went wrong|leider/i);
    }
    for (const [key, text] of Object.entries(german)) {
      expect(text, key).to.not.match(/\b(?:du|dein|deine|deinen|deinem|dich|dir)\b/i);
      expect(text, key).to.not.equal('');
    }
  });

  it('escape values, and never let a value become a tag', () => {
    const messages = new Messages();
    for (const locale of LOCALES) {
      const said = messages.rich(locale, 'view.sign-in.to', { client: '<b onclick="x()">&</b>' }).toString();
      expect(said).to.include('&lt;b onclick=&quot;x()&quot;&gt;&amp;&lt;/b&gt;');
      expect(said).to.include('<strong dir="auto">');
    }
  });

  it('link only to web addresses', () => {
    const said = new Messages()
      .rich('en', 'view.sign-in.reset', {}, { link: 'javascript:alert(1)' })
      .toString();
    expect(said).to.include('<a href="#">').and.not.include('javascript');
  });

  it('count in both languages', () => {
    const messages = new Messages();
    const say = (locale: 'en' | 'de', minutes: number) => messages.say(locale, 'code.throttled', { minutes });
    expect(say('en', 1)).to.include('1 minute.');
    expect(say('en', 5)).to.include('5 minutes.');
    expect(say('de', 1)).to.include('1 Minute wieder');
    expect(say('de', 5)).to.include('5 Minuten wieder');
  });

  it('refuse a key that does not exist', () => {
    expect(() => new Messages().say('en', 'no.such.key')).to.throw(TypeError, 'no.such.key');
  });
});
