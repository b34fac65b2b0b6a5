import { createPublicKey, type JsonWebKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { environmentOfOthers } from '../../src/config/environment.js';
import { EXTERNAL_ALGORITHMS, type ExternalAlgorithm } from '../../src/config/signing-places.js';
import { Pkcs11Token } from '../../src/crypto/pkcs11.js';
import { startHost } from '../../src/crypto/pkcs11-connection.js';
import { AppError } from '../../src/errors.js';
import { makeSoftToken, type SoftToken, skipWithoutSoftHsm } from '../support/softhsm.js';

const input = Buffer.from('eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9');

function isGood(alg: ExternalAlgorithm, jwk: object, signature: Buffer): boolean {
  const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  if (alg === 'EdDSA') return verify(null, input, key, signature);
  if (alg === 'PS256') return verify('sha256', input, { key, padding: 6, saltLength: 32 }, signature);
  if (alg === 'RS256') return verify('sha256', input, key, signature);
  const hash = alg === 'ES384' ? 'sha384' : 'sha256';
  return verify(hash, input, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

async function refusalOf(attempt: Promise<unknown>): Promise<AppError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).to.be.instanceOf(AppError);
  return error as AppError;
}

describe('a PKCS#11 token', () => {
  let soft: SoftToken;
  let token: Pkcs11Token;
  const opened: Pkcs11Token[] = [];

  function open(): Pkcs11Token {
    const { modulePath, tokenLabel } = soft;
    const options = { modulePath, tokenLabel, pin: { reveal: () => soft.pin } };
    const made = new Pkcs11Token(options, soft.connect);
    opened.push(made);
    return made;
  }

  before(function () {
    skipWithoutSoftHsm(this);
    soft = makeSoftToken();
    token = open();
  });
  after(() => {
    for (const each of opened.splice(0)) each.close();
    soft?.drop();
  });

  for (const alg of EXTERNAL_ALGORITHMS) {
    it(`makes a ${alg} key that cannot leave it and signs as a JWS wants`, async () => {
      const { id, publicJwk } = await token.generateKeyPair(alg, `test:${alg}`);
      const signature = await token.sign(id, alg, input);
      expect(isGood(alg, publicJwk, signature)).to.equal(true);
      expect(JSON.stringify(publicJwk)).to.not.match(/"(?:d|p|q|dp|dq|qi)"/);
    });
  }

  it('signs with 200 requests at once over its sessions, each with its own signature', async () => {
    const { id, publicJwk } = await token.generateKeyPair('ES256', 'test:many');
    const signatures = await Promise.all(Array.from({ length: 200 }, () => token.sign(id, 'ES256', input)));
    expect(signatures.every(signature => isGood('ES256', publicJwk, signature))).to.equal(true);
    expect(new Set(signatures.map(String)).size).to.equal(200);
  });

  it('lists keys by the beginning of their label and destroys one of them; once more is no error', async () => {
    const { id } = await token.generateKeyPair('ES256', 'claviger:a:1');
    await token.generateKeyPair('ES256', 'claviger:b:1');
    expect(await token.listPrivateKeys('claviger:a:')).to.deep.equal([{ id, label: 'claviger:a:1' }]);
    await token.destroyPrivateKey(id);
    await token.destroyPrivateKey(id);
    expect(await token.listPrivateKeys('claviger:a:')).to.deep.equal([]);
    expect((await refusalOf(token.sign(id, 'ES256', input))).code).to.equal('not_found');
  });

  it('wraps a key with additional data and opens it with the same only', async () => {
    const keyId = await token.generateAesKey('root');
    expect(await token.aesKeyId('root')).to.equal(keyId);
    const wrapped = await token.encrypt('root', Buffer.alloc(32, 7), Buffer.from('pepper:1'));
    expect(await token.decrypt('root', wrapped, Buffer.from('pepper:1'))).to.deep.equal(Buffer.alloc(32, 7));
    expect((await refusalOf(token.decrypt('root', wrapped, Buffer.from('pepper:2')))).code).to.equal(
      'sealed_value_damaged',
    );
    wrapped[20] = (wrapped[20] ?? 0) ^ 1;
    expect((await refusalOf(token.decrypt('root', wrapped, Buffer.from('pepper:1')))).code).to.equal(
      'sealed_value_damaged',
    );
    expect((await refusalOf(token.aesKeyId('other'))).code).to.equal('not_found');
  });

  it('refuses while the token is away and goes on by itself when it is back', async () => {
    const { id, publicJwk } = await token.generateKeyPair('ES256', 'test:away');
    soft.takeAway();
    try {
      const elsewhere = open();
      expect((await refusalOf(elsewhere.sign(id, 'ES256', input))).code).to.equal('backend_unavailable');
    } finally {
      soft.putBack();
    }
    expect(isGood('ES256', publicJwk, await token.sign(id, 'ES256', input))).to.equal(true);
  });

  it('starts another process when the one that holds the module is killed, and logs in again', async () => {
    const children: ReturnType<SoftToken['connect']>[] = [];
    const options = { modulePath: soft.modulePath, tokenLabel: soft.tokenLabel, sessions: 1 };
    const own = new Pkcs11Token({ ...options, pin: { reveal: () => soft.pin } }, () => {
      const child = soft.connect();
      children.push(child);
      return child;
    });
    opened.push(own);
    const { id, publicJwk } = await own.generateKeyPair('ES256', 'test:killed');
    const exit = new Promise(done => children[0]?.once('exit', done));
    children[0]?.kill('SIGKILL');
    await exit;
    expect(isGood('ES256', publicJwk, await own.sign(id, 'ES256', input))).to.equal(true);
    expect(children.length).to.equal(2);
  });

  it('gives up a module that hangs after its time, and ends that process', async () => {
    const children: ReturnType<SoftToken['connect']>[] = [];
    const options = {
      modulePath: soft.modulePath,
      tokenLabel: soft.tokenLabel,
      sessions: 1,
      answerWithin: 0.3,
    };
    const own = new Pkcs11Token({ ...options, pin: { reveal: () => soft.pin } }, () => {
      const child = soft.connect();
      children.push(child);
      return child;
    });
    opened.push(own);
    await own.open();
    children.at(-1)?.kill('SIGSTOP');
    const exit = new Promise(done => children.at(-1)?.once('exit', done));
    expect((await refusalOf(own.open())).code).to.equal('backend_unavailable');
    await exit;
  });

  it('tries a wrong PIN once and never again, so that the token is not locked', async () => {
    let starts = 0;
    const options = { modulePath: soft.modulePath, tokenLabel: soft.tokenLabel };
    const wrong = new Pkcs11Token({ ...options, pin: { reveal: () => 'wrong-0000' } }, () => {
      starts += 1;
      return soft.connect();
    });
    opened.push(wrong);
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const refusal = await refusalOf(wrong.open());
      expect(refusal.code).to.equal('backend_misconfigured');
      expect(refusal.message).to.include('CKR_PIN_INCORRECT').and.not.include('wrong-0000');
    }
    expect(starts).to.equal(1);
    await token.open();
  });

  it('runs beside none of our secrets: its process gets no CLAVIGER_ variable', async () => {
    process.env.CLAVIGER_ROOT_KEY_TEST = 'secret';
    try {
      expect(environmentOfOthers()).to.not.have.property('CLAVIGER_ROOT_KEY_TEST');
      expect(environmentOfOthers()).to.have.property('PATH', process.env.PATH);
      const child = startHost();
      const environment = readFileSync(`/proc/${child.pid}/environ`, 'utf8');
      const exit = new Promise(done => child.once('exit', done));
      child.kill('SIGKILL');
      await exit;
      expect(environment).to.include('PATH=').and.not.include('CLAVIGER_ROOT_KEY_TEST');
    } finally {
      delete process.env.CLAVIGER_ROOT_KEY_TEST;
    }
  });

  it('says what is wrong with a module that does not exist', async () => {
    const options = { modulePath: '/nowhere/hsm.so', tokenLabel: 'claviger', pin: { reveal: () => '1' } };
    const nowhere = new Pkcs11Token(options, soft.connect);
    opened.push(nowhere);
    const refusal = await refusalOf(nowhere.open());
    expect(refusal.code).to.equal('backend_misconfigured');
    expect(refusal.message).to.include('/nowhere/hsm.so');
  });
});
