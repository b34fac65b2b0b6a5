import { expect } from 'chai';
import { browserOf, browserTitle } from '../../src/users/browser-name.js';

const KNOWN: readonly (readonly [userAgent: string, browser: string, system: string, kind: string])[] = [
  ['Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', 'Firefox', 'Linux', 'laptop'],
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0',
    'Edge',
    'Windows',
    'laptop',
  ],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15',
    'Safari',
    'macOS',
    'laptop',
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1',
    'Safari',
    'iPhone',
    'phone',
  ],
  [
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36',
    'Chrome',
    'Android',
    'phone',
  ],
  ['Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)', '', '', 'scanner'],
  ['curl/8.5.0', 'curl', '', 'scanner'],
  ['<script>alert(1)</script>', '', '', 'laptop'],
];

describe('the name of a browser', () => {
  it('is one that people know, and never text of the header', () => {
    for (const [userAgent, browser, system, kind] of KNOWN) {
      expect(browserOf(userAgent)).to.deep.equal({ browser, system, kind });
    }
    expect(browserOf(undefined)).to.deep.equal({ browser: '', system: '', kind: 'laptop' });
  });

  it('is found in a header of any length without delay', () => {
    expect(browserOf(`${'Version/1.1 '.repeat(100_000)}`).browser).to.equal('');
  });

  it('is readable in a mail even when nothing is known', () => {
    expect(browserTitle(KNOWN[0]?.[0])).to.equal('Firefox / Linux');
    expect(browserTitle(undefined)).to.equal('?');
  });
});
