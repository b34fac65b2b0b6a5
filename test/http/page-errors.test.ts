import { expect } from 'chai';
import type { Context } from 'koa';
import { AppError, type ErrorCode } from '../../src/errors.js';
import { tooMany } from '../../src/http/page-refusal.js';
import { pageRoute } from '../../src/http/page-route.js';
import type { Route } from '../../src/http/router.js';
import { PageServer } from './page-server.js';

describe('pages that cannot be shown', () => {
  let server: PageServer;

  before(async () => {
    server = new PageServer(parts => {
      const failing = (get: (ctx: Context) => void): Route => pageRoute(parts, { get });
      return new Map<string, Route>([
        [
          '/refused/*',
          failing(ctx => {
            throw new AppError(ctx.state.segment as ErrorCode, 'private words');
          }),
        ],
        [
          '/broken',
          failing(() => {
            throw new Error('a secret detail');
          }),
        ],
        [
          '/throttled',
          failing(() => {
            throw tooMany(90.2);
          }),
        ],
        [
          '/fine',
          failing(ctx =>
            parts.renderer.render(ctx, 'forgot-password', { action: '/', email: '', faults: [] }),
          ),
        ],
      ]);
    });
    await server.start();
  });
  after(() => server.close());

  const statuses: readonly (readonly [ErrorCode, number])[] = [
    ['database_unavailable', 503],
    ['not_ready', 503],
    ['stale', 400],
    ['conflict', 409],
    ['not_found', 404],
    ['invalid_request', 400],
    ['sealed_value_damaged', 500],
  ];
  for (const [code, status] of statuses) {
    it(`answer ${status} with a page for ${code}, in words of ours`, async () => {
      const answer = await server.send(`/refused/${code}`);
      expect(answer.status).to.equal(status);
      expect(answer.headers['content-type']).to.match(/^text\/html/);
      expect(answer.text).to.contain('request-1').and.not.contain('private words');
      expect(answer.headers['retry-after'] !== undefined).to.equal(status === 503);
    });
  }

  it('say nothing of an unknown fault but the number of the request, under which the log has it', async () => {
    const answer = await server.send('/broken');
    expect(answer.status).to.equal(500);
    expect(answer.text).to.contain('request-1').and.not.contain('secret detail');
    expect(
      server.logged.some(line => line.includes('a secret detail') && line.includes('request-1')),
    ).to.equal(true);
  });

  it('say when to come back, in whole seconds', async () => {
    const answer = await server.send('/throttled');
    expect([answer.status, answer.headers['retry-after']]).to.deep.equal([429, '91']);
  });

  it('are not shown under another host, whose owner we do not know (RFC 9110 §15.5.20)', async () => {
    for (const host of [
      'evil.example',
      'login.example.test.evil.example',
      'login.example.test:8080',
      '127.0.0.1',
    ]) {
      const answer = await server.send('/fine', { headers: { host } });
      expect(answer.status, host).to.equal(421);
      expect(answer.headers['set-cookie'], host).to.equal(undefined);
      expect(answer.text, host).to.not.contain(host).and.not.contain('name="email"');
    }
    for (const host of ['login.example.test', 'LOGIN.example.test', 'login.example.test:80']) {
      expect((await server.send('/fine', { headers: { host } })).status, host).to.equal(200);
    }
  });
});
