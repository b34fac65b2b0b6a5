import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { Envelope, sealedWith } from '../../src/crypto/envelope.js';
import { isAppError } from '../../src/errors.js';

const envelope = new Envelope({ id: 'k1', key: randomBytes(32) });

function refusal(open: () => unknown): unknown {
  try {
    open();
  } catch (error) {
    return error;
  }
  return undefined;
}

function expectDamaged(open: () => unknown): void {
  const error = refusal(open);
  expect(isAppError(error, 'sealed_value_damaged'), String(error)).to.equal(true);
}

describe('envelope', () => {
  it('opens what it sealed, for any bytes and any context', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.string({ minLength: 1 }), (bytes, context) => {
        const sealed = envelope.seal(Buffer.from(bytes), context);
        expect(sealed).to.match(/^v1\.k1\.[\w-]{16}\.[\w-]*\.[\w-]{22}$/);
        expect(envelope.open(sealed, context).equals(bytes)).to.equal(true);
      }),
    );
    expect(envelope.open(envelope.seal('grüße', 'c'), 'c').toString()).to.equal('grüße');
  });

  it('shows nothing of the text and never seals the same twice', () => {
    const sealed = envelope.seal('a very secret text', 'row:1');
    expect(Buffer.from(sealed.split('.')[3] ?? '', 'base64url').toString()).to.not.include('secret');
    expect(envelope.seal('a very secret text', 'row:1')).to.not.equal(sealed);
  });

  it('does not open in another context (control: it opens in its own)', () => {
    const sealed = envelope.seal('x', 'row:1');
    expect(envelope.open(sealed, 'row:1').toString()).to.equal('x');
    for (const context of ['row:2', 'row:1 ', 'row:', 'Row:1'])
      expectDamaged(() => envelope.open(sealed, context));
  });

  it('does not open with any one character changed, down to spare bits that base64 ignores', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ';
    const sealed = envelope.seal('some text', 'row:1');
    for (let at = 0; at < sealed.length; at += 1) {
      for (const character of alphabet) {
        if (character === sealed[at]) continue;
        expectDamaged(() => envelope.open(sealed.slice(0, at) + character + sealed.slice(at + 1), 'row:1'));
      }
    }
  });

  it('does not open when cut, extended, or put together from two values', () => {
    const sealed = envelope.seal('some text', 'row:1');
    const other = envelope.seal('some text', 'row:1').split('.');
    for (let length = 0; length < sealed.length; length += 1) {
      expectDamaged(() => envelope.open(sealed.slice(0, length), 'row:1'));
    }
    for (const extended of [`${sealed}A`, `${sealed}.`, `${sealed}\n`, ` ${sealed}`]) {
      expectDamaged(() => envelope.open(extended, 'row:1'));
    }
    for (const index of [2, 3, 4]) {
      const mixed = sealed.split('.');
      mixed[index] = other[index] ?? '';
      expectDamaged(() => envelope.open(mixed.join('.'), 'row:1'));
    }
  });

  it('does not open under another key, even one with the same id', () => {
    const sealed = envelope.seal('x', 'c');
    expectDamaged(() => new Envelope({ id: 'k1', key: randomBytes(32) }).open(sealed, 'c'));
    expectDamaged(() => new Envelope({ id: 'k2', key: randomBytes(32) }).open(sealed, 'c'));
    expect(sealedWith(sealed)).to.equal('k1');
    expect(sealedWith('v2.k1.a.b.c')).to.equal(undefined);
  });

  it('says in its error which row is damaged and nothing of what was in it', () => {
    const sealed = envelope.seal('TOPSECRET', 'row:1');
    const error = refusal(() => envelope.open(sealed.slice(0, -2), 'row:1'));
    if (!isAppError(error)) throw new Error('no refusal');
    expect(error.detail).to.include('row:1');
    expect(`${error.message} ${error.detail}`)
      .to.not.include('TOPSECRET')
      .and.not.include(sealed.slice(0, 30));
  });

  it('refuses keys, ids and contexts that cannot be right', () => {
    expect(() => new Envelope({ id: 'k', key: randomBytes(16) })).to.throw(TypeError);
    expect(() => new Envelope({ id: 'a.b', key: randomBytes(32) })).to.throw(TypeError);
    expect(() => envelope.seal('x', '')).to.throw(TypeError);
  });
});
