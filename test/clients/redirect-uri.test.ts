import { expect } from 'chai';
import type { ApplicationType } from '../../src/clients/client-metadata.js';
import {
  originProblem,
  pageUriProblem,
  postLogoutRedirectUriMatches,
  redirectUriMatches,
  redirectUriProblem,
  securePageUriProblem,
  serviceUriProblem,
} from '../../src/clients/redirect-uri.js';

const production = { isDevelopment: false };
const development = { isDevelopment: true };

const ACCEPTED: readonly [string, ApplicationType][] = [
  ['https://client.example/cb', 'web'],
  ['https://client.example', 'web'],
  ['https://client.example/', 'web'],
  ['https://client.example:8443/cb?a=b%2Fc&d=%E2%9C%93', 'web'],
  ['https://localhost:8443/cb', 'web'],
  ['https://xn--bcher-kva.example/cb', 'web'],
  ['https://203.0.113.7/cb', 'web'],
  ['https://[2001:db8::1]/cb', 'web'],
  ['https://client.example/a%20b/cb', 'web'],
  ['http://127.0.0.1/cb', 'web'],
  ['http://127.0.0.1:8080/cb', 'native'],
  ['http://[::1]:8080/cb', 'native'],
  ['https://app.client.example/claimed', 'native'],
  ['com.example.app:/cb', 'native'],
  ['com.example.app://cb', 'native'],
  ['com.example.app:/oauth2/cb?x=1', 'native'],
];

/** One attack or mistake a line. */
const REFUSED: readonly [string, unknown, ApplicationType?][] = [
  ['nothing', ''],
  ['no text', 7],
  ['no scheme', 'client.example/cb'],
  ['a relative address', '/cb'],
  ['a scheme-relative address', '//client.example/cb'],
  ['no host', 'https:///cb'],
  ['a fragment', 'https://client.example/cb#x'],
  ['an empty fragment', 'https://client.example/cb#'],
  ['a user name', 'https://user@client.example/cb'],
  ['a user name that looks like a host', 'https://client.example@evil.test/cb'],
  ['two user names', 'https://a@b@evil.test/cb'],
  ['an empty user name', 'https://@client.example/cb'],
  ['a backslash', 'https://client.example\\@evil.test/cb'],
  ['a backslash in the path', 'https://client.example/cb\\..\\x'],
  ['an escaped backslash', 'https://client.example/%5Ccb'],
  ['a blank', 'https://client.example/c b'],
  ['a leading blank', ' https://client.example/cb'],
  ['a tab', 'https://client.example/\tcb'],
  ['a line break', 'https://client.example/cb\n'],
  ['a NUL', 'https://client.example/cb\0'],
  ['an escaped NUL', 'https://client.example/cb%00'],
  ['an escaped line break', 'https://client.example/cb?x=%0d%0aSet-Cookie:a'],
  ['a path that climbs', 'https://client.example/cb/../x'],
  ['an escaped path that climbs', 'https://client.example/cb/%2e%2E/x'],
  ['a half escaped path that climbs', 'https://client.example/cb/.%2e/x'],
  ['a path that climbs behind a parameter', 'https://client.example/cb/..;/x'],
  ['a path that climbs by escaped slashes', 'https://client.example/cb/..%2fx'],
  ['a twice escaped path that climbs', 'https://client.example/cb/%252e%252e/x'],
  ['letters that are not ASCII in the host', 'https://bücher.example/cb'],
  ['letters that only look like ASCII', 'https://сlient.example/cb'],
  ['a full-width dot', 'https://client。example/cb'],
  ['capital letters in the host', 'https://Client.example/cb'],
  ['capital letters in the scheme', 'HTTPS://client.example/cb'],
  ['the default port', 'https://client.example:443/cb'],
  ['no port after the colon', 'https://client.example:/cb'],
  ['a port that is none', 'https://client.example:99999/cb'],
  ['a wildcard', 'https://*.client.example/cb'],
  ['a dot after the host', 'https://client.example./cb'],
  ['an empty label', 'https://client..example/cb'],
  ['more than 512 characters', `https://client.example/${'a'.repeat(500)}`],
  ['http (requirement 3)', 'http://client.example/cb'],
  ['http for a native client', 'http://client.example/cb', 'native'],
  ['http at localhost in production', 'http://localhost:8080/cb', 'native'],
  ['a host that begins like localhost (requirement 2)', 'http://localhost.evil.test/cb', 'native'],
  ['a host that begins like a loopback address (requirement 2)', 'http://127.0.0.1.evil.test/cb', 'native'],
  ['a user name that looks like a loopback address', 'http://127.0.0.1@evil.test/cb', 'native'],
  ['a loopback address as a number', 'http://2130706433/cb', 'native'],
  ['a short loopback address', 'http://127.1/cb', 'native'],
  ['an octal loopback address', 'http://0177.0.0.1/cb', 'native'],
  ['an IPv4 address inside IPv6', 'http://[::ffff:127.0.0.1]/cb', 'native'],
  ['https at a loopback host for a native client', 'https://127.0.0.1/cb', 'native'],
  ['a scheme without a domain', 'myapp:/cb', 'native'],
  ['a private-use scheme for a web client', 'com.example.app:/cb', 'web'],
  ['a private-use path that climbs', 'com.example.app:/a/../cb', 'native'],
];

const DANGEROUS = [
  ...['javascript:alert(1)', 'JavaScript:alert(1)', 'java\nscript:alert(1)', ' javascript:alert(1)'],
  ...['data:text/html,x', 'DATA:text/html;base64,eA==', 'vbscript:x', 'VbScript:x', 'file:///etc/passwd'],
  ...['about:blank', 'blob:https://client.example/x', 'javascript://client.example/%0aalert(1)'],
];

describe('redirect URIs', () => {
  it('are accepted when every parser reads them alike (requirement 1)', () => {
    for (const [uri, type] of ACCEPTED) {
      expect(redirectUriProblem(uri, type, production), uri).to.equal(undefined);
    }
  });

  for (const [fact, uri, type = 'web'] of REFUSED) {
    it(`are refused with ${fact}`, () => {
      expect(redirectUriProblem(uri, type, production)).to.be.a('string');
    });
  }

  it('are refused with a scheme that runs or reads something, in any case, everywhere (requirement 4)', () => {
    for (const uri of DANGEROUS) {
      for (const surroundings of [production, development]) {
        for (const type of ['web', 'native'] as const) {
          expect(redirectUriProblem(uri, type, surroundings), uri).to.be.a('string');
        }
        expect(serviceUriProblem(uri, surroundings), uri).to.be.a('string');
        expect(originProblem(uri, surroundings), uri).to.be.a('string');
      }
      expect(pageUriProblem(uri), uri).to.be.a('string');
      expect(securePageUriProblem(uri), uri).to.be.a('string');
    }
    expect(pageUriProblem('com.example.app:/x')).to.be.a('string');
    expect(securePageUriProblem('http://client.example/logo.png')).to.be.a('string');
  });

  it('may name localhost by http in development only, and no other host then either (requirement 2)', () => {
    for (const type of ['web', 'native'] as const) {
      expect(redirectUriProblem('http://localhost:8080/cb', type, development)).to.equal(undefined);
      for (const host of ['localhost.evil.test', 'notlocalhost', 'localhost.', '127.0.0.1.evil.test']) {
        expect(redirectUriProblem(`http://${host}/cb`, type, development), host).to.be.a('string');
      }
    }
  });

  it('never hold what URL reads differently, whatever stands between the slashes', () => {
    for (const junk of [
      '..',
      '.',
      '%2e',
      '..;',
      ';..',
      '%2F..',
      '..%5c',
      '%25',
      '\u202e',
      '{',
      '|',
      '`',
      '"',
      '<',
    ]) {
      expect(redirectUriProblem(`https://client.example/${junk}/cb`, 'web', production), junk).to.be.a(
        'string',
      );
    }
  });

  it('are compared as exact strings (requirement 1)', () => {
    const registered = 'https://client.example/cb';
    const client = {
      applicationType: 'web',
      redirectUris: [registered],
      postLogoutRedirectUris: [registered],
    } as const;
    expect(redirectUriMatches(client, registered)).to.equal(true);
    expect(postLogoutRedirectUriMatches(client, registered)).to.equal(true);
    const others = [
      ...['https://client.example/cb/', 'https://client.example/CB', 'https://Client.example/cb'],
      ...['https://client.example:443/cb', 'https://client.example/cb?', 'https://client.example/cb?a=b'],
      ...['https://client.example/cb#', 'https://client.example/cb/../cb', 'https://client.example/%63b'],
      ...['https://client.example/cb%00', 'https://client.example/cb\t', ' https://client.example/cb', ''],
      ...[
        'http://client.example/cb',
        'https://client.example@evil.test/cb',
        'https://client.example.evil.test/cb',
      ],
    ];
    for (const uri of others) {
      expect(redirectUriMatches(client, uri), uri).to.equal(false);
      expect(postLogoutRedirectUriMatches(client, uri), uri).to.equal(false);
    }
  });

  it('may differ in the port at a loopback address, for native clients only (RFC 8252 §7.3, requirement 2)', () => {
    const redirectUris = [
      'http://127.0.0.1/cb',
      'http://[::1]:9/cb?a=b',
      'http://localhost:1/cb',
      'com.example.app:/cb',
    ];
    const native = { applicationType: 'native', redirectUris } as const;
    for (const uri of [
      'http://127.0.0.1:8080/cb',
      'http://127.0.0.1/cb',
      'http://[::1]:8080/cb?a=b',
      'com.example.app:/cb',
    ]) {
      expect(redirectUriMatches(native, uri), uri).to.equal(true);
    }
    const others = [
      ...[
        'http://127.0.0.1:8080/cb/',
        'http://127.0.0.1:8080/other',
        'http://127.0.0.1:8080/cb?a',
        'http://127.0.0.1:8080',
      ],
      ...[
        'http://127.0.0.1:0/cb',
        'http://127.0.0.1:65536/cb',
        'http://127.0.0.1:x/cb',
        'http://127.0.0.1:/cb',
      ],
      ...['http://127.0.0.1:80@evil.test/cb', 'http://127.0.0.1.evil.test/cb', 'http://127.0.0.2:80/cb'],
      ...[
        'http://[::1]:8080/cb',
        'https://127.0.0.1:8080/cb',
        'http://localhost:8080/cb',
        'HTTP://127.0.0.1:80/cb',
      ],
      ...['http://127.0.0.1:8080/cb#x', 'http://127.0.0.1:8080\\@evil.test/cb', 'com.example.app:/cb:80'],
    ];
    for (const uri of others) expect(redirectUriMatches(native, uri), uri).to.equal(false);
    const web = { applicationType: 'web', redirectUris } as const;
    expect(redirectUriMatches(web, 'http://127.0.0.1:8080/cb')).to.equal(false);
  });

  it('are origins when they are scheme, host and port alone (requirement 25)', () => {
    expect(originProblem('https://spa.example.com', production)).to.equal(undefined);
    expect(originProblem('http://127.0.0.1:3000', production)).to.equal(undefined);
    for (const origin of [
      'null',
      '*',
      'https://spa.example.com/',
      'https://spa.example.com/x',
      'http://spa.example.com',
    ]) {
      expect(originProblem(origin, production), origin).to.be.a('string');
    }
  });
});
