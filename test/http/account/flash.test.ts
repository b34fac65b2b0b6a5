import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import type { Context } from 'koa';
import { SecretHasher } from '../../../src/crypto/secret-hash.js';
import { Flash } from '../../../src/http/account/flash.js';
import type { Notice } from '../../../src/http/view-models.js';

const NOTICE: Notice = { kind: 'good', message: 'notice.sessions_ended', values: { count: 3 } };
const ADA = 'us_ada';

/** A browser's cookies, as the context of a request offers them. */
class Jar {
  readonly cookies = new Map<string, string>();

  get ctx(): Context {
    return {
      cookies: {
        get: (name: string) => this.cookies.get(name),
        set: (name: string, value: string | null) => {
          if (value === null) this.cookies.delete(name);
          else this.cookies.set(name, value);
        },
      },
    } as unknown as Context;
  }
}

describe('a notice that is carried by the browser', () => {
  let now: number;
  let flash: Flash;
  let jar: Jar;

  beforeEach(() => {
    now = 1_000_000;
    flash = new Flash(new SecretHasher({ id: 'p', key: randomBytes(32) }), () => now, true);
    jar = new Jar();
  });

  it('is shown once', () => {
    flash.set(jar.ctx, ADA, NOTICE);
    expect([...jar.cookies.keys()]).to.deep.equal(['__Host-flash']);
    expect(flash.take(jar.ctx, ADA)).to.deep.equal(NOTICE);
    expect(jar.cookies.size).to.equal(0);
    expect(flash.take(jar.ctx, ADA)).to.equal(undefined);
  });

  it('is not shown to somebody else in the same browser', () => {
    flash.set(jar.ctx, ADA, NOTICE);
    expect(flash.take(jar.ctx, 'us_eve')).to.equal(undefined);
    expect(jar.cookies.size).to.equal(0);
  });

  it('is gone after a minute', () => {
    flash.set(jar.ctx, ADA, NOTICE);
    now += 60_000;
    expect(flash.take(jar.ctx, ADA)).to.equal(undefined);
  });

  it('says nothing that was not signed here', () => {
    flash.set(jar.ctx, ADA, NOTICE);
    const [body = '', mac = ''] = (jar.cookies.get('__Host-flash') ?? '').split('.');
    const forged = Buffer.from(JSON.stringify([now + 1000, { ...NOTICE, kind: 'stop' }])).toString(
      'base64url',
    );
    for (const value of [
      `${forged}.${mac}`,
      `${body}.`,
      body,
      `.${mac}`,
      '',
      'x'.repeat(5000),
      `${body}.${mac}x`,
    ]) {
      jar.cookies.set('__Host-flash', value);
      expect(flash.take(jar.ctx, ADA), value).to.equal(undefined);
    }
  });

  it('of another installation is nothing here', () => {
    new Flash(new SecretHasher({ id: 'p', key: randomBytes(32) }), () => now, true).set(jar.ctx, ADA, NOTICE);
    expect(flash.take(jar.ctx, ADA)).to.equal(undefined);
  });
});
