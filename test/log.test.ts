import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { exportJWK, exportPKCS8, generateKeyPair, SignJWT } from 'jose';
import { Secret } from '../src/config/config.js';
import { AppError } from '../src/errors.js';
import { createLogger, type Logger } from '../src/log.js';

const CLIENT_SECRET = 'cvg_cs_4fZkQ2mWx0T9bLr7HcVn3JpYs8DgEa1UuKiOq5Xw6Rt000abc';
const PLAIN = 'N3ver-To-Be-Seen-9f2c';

describe('log', () => {
  function logged(write: (logger: Logger) => void, format: 'json' | 'pretty' = 'json'): string {
    const lines: string[] = [];
    const logger = createLogger(
      { level: 'debug', format },
      { write: line => void lines.push(line) },
      { version: '1.2.3' },
    );
    write(logger);
    expect(lines).to.have.length.greaterThan(0);
    return lines.join('');
  }
  function entry(write: (logger: Logger) => void): Record<string, unknown> {
    return JSON.parse(logged(write)) as Record<string, unknown>;
  }

  it('is one JSON object a line with an RFC 3339 time, a level by name and the service', () => {
    const line = entry(logger => logger.info({ request_id: 'r1', duration_ms: 3 }, 'done'));
    expect(line).to.deep.include({ level: 'info', msg: 'done', request_id: 'r1', duration_ms: 3 });
    expect(line.service).to.deep.equal({ name: 'claviger', version: '1.2.3' });
    expect(line.time).to.match(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  it('writes nothing below its level', () => {
    const lines: string[] = [];
    createLogger({ level: 'warn', format: 'json' }, { write: line => void lines.push(line) }).info('quiet');
    expect(lines).to.deep.equal([]);
  });

  describe('hides what stands under a secret name', () => {
    for (const name of [
      'authorization',
      'Authorization',
      'cookie',
      'set-cookie',
      'Set-Cookie',
      'proxy-authorization',
      'dpop',
      'DPoP',
      'client_secret',
      'clientSecret',
      'token',
      'access_token',
      'refresh_token',
      'id_token',
      'code',
      'client_assertion',
      'password',
      'secret',
      'private_key',
      'privateKey',
      'rootKey',
      'code_verifier',
      'api_key',
      'pepper',
    ]) {
      it(`${name}, at any depth, in fields, arrays, children and errors`, () => {
        const nested = { [name]: PLAIN };
        const text = logged(logger => {
          logger.debug(nested, 'top');
          logger.debug({ req: { headers: nested } }, 'headers');
          logger.debug({ body: nested, list: [[{ a: { b: { c: nested } } }]] }, 'nested');
          logger.debug({ [name]: [PLAIN], other: { [name]: { deep: PLAIN } } }, 'structured');
          logger.child(nested).child({ ctx: nested }).debug('bound');
          logger.child({ a: 1 }, { level: 'debug' }).child(nested).debug('bound');
          logger.error(Object.assign(new Error('refused'), nested));
          logger.error({
            error: Object.assign(new Error('x', { cause: Object.assign(new Error('y'), nested) }), {
              body: nested,
            }),
          });
          logger.debug({ map: new Map([[name, PLAIN]]), json: { toJSON: () => nested } });
        });
        expect(text).to.not.include(PLAIN);
        expect(text.match(/\[redacted\]/g)?.length).to.be.at.least(10);
      });
    }

    it('and keeps what is harmless beside it, and the error codes of drivers', () => {
      const error = Object.assign(new Error('busy'), { code: 'SQLITE_BUSY' });
      const line = entry(logger =>
        logger.error({ err: error, client_id: 'cl_1', token: null, token_type: 'Bearer' }),
      );
      expect(line).to.deep.include({ client_id: 'cl_1', token: null, token_type: 'Bearer', msg: 'busy' });
      expect(line.err).to.deep.include({ type: 'Error', message: 'busy', code: 'SQLITE_BUSY' });
      const refused = entry(logger => logger.error(new AppError('not_found', 'gone', { detail: 'why' })));
      expect(refused.err).to.deep.include({ code: 'not_found', detail: 'why' });
    });

    it('leaves the logged object as it was', () => {
      const body = { client_secret: PLAIN, inner: { password: PLAIN } };
      logged(logger => logger.info({ body }));
      expect(body).to.deep.equal({ client_secret: PLAIN, inner: { password: PLAIN } });
    });
  });

  describe('hides what looks like a secret under any name', () => {
    async function jwt(): Promise<string> {
      const { privateKey } = await generateKeyPair('ES256');
      return new SignJWT({ scope: 'read' })
        .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
        .sign(privateKey);
    }

    function everywhere(value: string): string {
      return logged(logger => {
        logger.debug(`message with ${value} inside`);
        logger.debug('formatted %s %o', value, { harmless: value });
        logger.debug({ harmless: value, list: [value], [value]: 1 });
        logger.child({ bound: `x ${value}` }).debug('child');
        logger.error(new Error(`cannot verify ${value}`, { cause: new Error(value) }));
        logger.error({ err: Object.assign(new Error('x'), { query: `?a=${value}&b` }) });
      });
    }

    it('our client secrets, API keys and registration tokens', () => {
      for (const value of [
        CLIENT_SECRET,
        CLIENT_SECRET.replace('_cs_', '_rt_'),
        'cvg_ak_Pub1ic_Zs8DgEa1UuKiOq5Xw6Rt000abc',
      ]) {
        const text = everywhere(value);
        expect(text).to.not.include(value).and.not.include(value.slice(-20));
        expect(text).to.include('message with [redacted] inside');
      }
    });

    it('compact JWS and JWE', async () => {
      const signed = await jwt();
      const encrypted = `${signed}.${randomBytes(9).toString('base64url')}.${randomBytes(9).toString('base64url')}`;
      for (const value of [signed, encrypted]) {
        const text = everywhere(value);
        for (const part of value.split('.')) expect(text).to.not.include(part);
      }
    });

    it('credentials of HTTP, form bodies, query strings, JSON in strings, and passwords in database URLs', () => {
      const basic = Buffer.from(`cl_1:${PLAIN}`).toString('base64');
      const text = logged(logger => {
        logger.debug(`Authorization: Basic ${basic}`);
        logger.debug({ rawHeaders: ['authorization', `Bearer ${PLAIN}`] });
        logger.debug(`grant_type=client_credentials&client_secret=${PLAIN}&scope=read`);
        logger.debug({ url: `/cb?code=${PLAIN}&state=1`, again: `code=${PLAIN}` });
        logger.debug(JSON.stringify({ client_secret: PLAIN, password: PLAIN, scope: 'read' }));
        logger.debug('options %j', { refresh_token: PLAIN });
        logger.error(new Error(`connect postgres://claviger:${PLAIN}@db.internal/x failed`));
      });
      expect(text).to.not.include(PLAIN).and.not.include(basic);
      expect(text).to.include('scope=read').and.include('state=1').and.include('db.internal');
    });

    it('private keys as PEM, as JWK and as bytes', async () => {
      const { privateKey } = await generateKeyPair('ES256', { extractable: true });
      const pem = await exportPKCS8(privateKey);
      const jwk = await exportJWK(privateKey);
      const bytes = randomBytes(32);
      const text = logged(logger => {
        logger.debug(`loaded ${pem}`);
        logger.debug({ key: pem, jwk, keys: [jwk], bytes, rootKeyHolder: new Secret(PLAIN) });
        logger.debug(JSON.stringify(jwk));
      });
      expect(text).to.not.include(pem.split('\n')[1]).and.not.include(String(jwk.d));
      expect(text).to.not.include(PLAIN).and.not.include(bytes.toJSON().data.join(','));
      expect(text).to.include('[32 bytes]').and.include(String(jwk.x));
    });

    it('also in the form for people', () => {
      const text = logged(
        logger => logger.info({ client_secret: PLAIN, harmless: CLIENT_SECRET }, `x ${CLIENT_SECRET}`),
        'pretty',
      );
      expect(text).to.include('INFO').and.not.include(PLAIN).and.not.include(CLIENT_SECRET);
    });

    it('and the same values are readable in a plain pino logger, so these tests can fail (control)', async () => {
      const { pino } = await import('pino');
      const lines: string[] = [];
      pino({}, { write: line => void lines.push(line) }).info({ client_secret: PLAIN }, CLIENT_SECRET);
      expect(lines.join('')).to.include(PLAIN).and.include(CLIENT_SECRET);
    });
  });

  it('ends on circular and very deep objects, and every line stays valid JSON', () => {
    const circular: Record<string, unknown> = {
      name: 'a',
      quote: 'say "token=x" \\ and \n',
      password: PLAIN,
    };
    circular.self = circular;
    let deep: Record<string, unknown> = { password: PLAIN };
    for (let level = 0; level < 50; level += 1) deep = { deep };
    const line = entry(logger => logger.info({ circular, deep }, 'client_secret="quoted" token=a"b'));
    for (const hidden of [
      `${PLAIN}"${PLAIN}`,
      `\\${PLAIN}\\`,
      `-----BEGIN PRIVATE KEY-----\n${PLAIN}`,
      `\n${PLAIN}\t`,
    ]) {
      const inner = JSON.stringify({
        password: hidden,
        scope: 'read',
        key: hidden.startsWith('-') ? hidden : '',
      });
      const { msg } = entry(logger => logger.info(inner));
      expect(msg).to.include('"scope":"read"').and.not.include(PLAIN);
    }
    expect(JSON.stringify(line)).to.include('[circular]').and.include('[too deep]').and.not.include(PLAIN);
  });
});
