import { expect } from 'chai';
import type { Context } from 'koa';
import { directionOf, fromAcceptLanguage, localeOf } from '../../src/http/locale.js';

interface Asked {
  readonly query?: string;
  readonly cookie?: string;
  readonly client?: string;
  readonly header?: string;
}

/** As much of a request as choosing a language looks at. */
function asked({ query, cookie, client, header = '' }: Asked): Context {
  return {
    query: { ui_locales: query },
    cookies: { get: () => cookie },
    state: { uiLocales: client },
    get: () => header,
  } as unknown as Context;
}

describe('the language of a page', () => {
  it('is what the address says, then what the person chose, the client asked, the browser prefers', () => {
    const all: Asked = { query: 'de', cookie: 'en', client: 'en', header: 'en' };
    expect(localeOf(asked(all), 'en')).to.equal('de');
    expect(localeOf(asked({ ...all, query: 'fr', cookie: 'de' }), 'en')).to.equal('de');
    expect(localeOf(asked({ client: 'de', header: 'en' }), 'en')).to.equal('de');
    expect(localeOf(asked({ client: 'fr', header: 'de-CH, en;q=0.5' }), 'en')).to.equal('de');
    expect(localeOf(asked({}), 'de')).to.equal('de');
  });

  it('takes the first of ui_locales that it has (OpenID Connect Core §3.1.2.1)', () => {
    expect(localeOf(asked({ client: 'fr-CA de-AT en' }), 'en')).to.equal('de');
    expect(localeOf(asked({ client: 'fr nl' }), 'en')).to.equal('en');
  });

  it('follows the weights of Accept-Language, and leaves out what is refused (RFC 9110 §12.5.4)', () => {
    expect(fromAcceptLanguage('en;q=0.3, de;q=0.9')).to.equal('de');
    expect(fromAcceptLanguage('de;q=0, en;q=0.1')).to.equal('en');
    expect(fromAcceptLanguage('fr, *;q=0.1')).to.equal(undefined);
    expect(fromAcceptLanguage(undefined)).to.equal(undefined);
  });

  it('reads no more of the header than ten entries and two hundred characters', () => {
    expect(fromAcceptLanguage(`${'fr,'.repeat(10)}de`)).to.equal(undefined);
    expect(fromAcceptLanguage(`${' '.repeat(200)}de`)).to.equal(undefined);
    expect(fromAcceptLanguage(','.repeat(1_000_000))).to.equal(undefined);
  });

  it('ignores a cookie that names no language of ours', () => {
    expect(localeOf(asked({ cookie: '../../etc/passwd' }), 'en')).to.equal('en');
    expect(localeOf(asked({ cookie: 'DE' }), 'en')).to.equal('en');
  });

  it('runs from right to left where it must', () => {
    expect(directionOf('ar-EG')).to.equal('rtl');
    expect(directionOf('he')).to.equal('rtl');
    expect(directionOf('de')).to.equal('ltr');
  });
});
