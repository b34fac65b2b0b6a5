import { expect } from 'chai';
import { formBody, formOf, parseForm } from '../../src/http/form-body.js';
import { pageErrors } from '../../src/http/page-errors.js';
import { PageRefusal } from '../../src/http/page-refusal.js';
import type { Route } from '../../src/http/router.js';
import { type PageAnswer, type PageRequest, PageServer } from './page-server.js';

const FORM = 'application/x-www-form-urlencoded';

describe('bodies of forms', () => {
  let server: PageServer;

  before(async () => {
    server = new PageServer(parts => {
      const read = formBody(parts.bodyLimit);
      const route: Route = {
        methods: ['GET', 'POST'],
        answer: ctx =>
          pageErrors(parts)(ctx, () =>
            read(ctx, async () => {
              ctx.body = ctx.method === 'POST' ? `read ${formOf(ctx).text('a')}` : 'shown';
            }),
          ),
      };
      return new Map([['/form', route]]);
    });
    await server.start();
  });
  after(() => server.close());

  function send(body: string, headers: PageRequest['headers'] = {}): Promise<PageAnswer> {
    return server.send('/form', { method: 'POST', headers: { 'content-type': FORM, ...headers }, body });
  }

  it('are read as UTF-8', async () => {
    expect((await send('a=gr%C3%BC%C3%9Fe+%26')).text).to.equal('read grüße &');
    expect((await send('a=1', { 'content-type': `${FORM}; charset=UTF-8` })).text).to.equal('read 1');
    expect((await send('')).text).to.equal('read ');
    expect((await server.send('/form')).text).to.equal('shown');
  });

  const foreign = [
    'application/json',
    'multipart/form-data; boundary=x',
    'text/plain',
    `${FORM}; charset=utf-7`,
    `${FORM}, application/json`,
    '',
  ];
  for (const type of foreign) {
    it(`are refused with 415 when they are of type "${type}"`, async () => {
      const answer = await send('a=1', { 'content-type': type });
      expect(answer.status).to.equal(415);
      expect(answer.headers['content-type']).to.match(/^text\/html/);
    });
  }

  it('are refused with 415 when they are compressed', async () => {
    expect((await send('a=1', { 'content-encoding': 'gzip' })).status).to.equal(415);
  });

  it('may be as long as the limit, and are cut off behind it, also when no length was given', async () => {
    expect((await send(`a=${'x'.repeat(4094)}`)).status).to.equal(200);
    const long = await send(`a=${'x'.repeat(4095)}`);
    expect(long.status).to.equal(413);
    expect(long.headers.connection).to.equal('close');
    const chunked = await send(`a=${'x'.repeat(100_000)}`, { 'transfer-encoding': 'chunked' });
    expect(chunked.status).to.equal(413);
  });

  it('have at most 100 fields', () => {
    const fields = (count: number): string => Array.from({ length: count }, (_, at) => `f${at}=1`).join('&');
    expect(parseForm(fields(100)).text('f99')).to.equal('1');
    expect(() => parseForm(fields(101))).to.throw(PageRefusal);
    expect(() => parseForm('&'.repeat(4000))).to.throw(PageRefusal);
  });

  it('have one value a name, but for the boxes of a consent', () => {
    expect(() => parseForm('email=a%40example.org&email=b%40example.org')).to.throw(PageRefusal);
    expect(parseForm('scope=one&scope=two').all('scope')).to.deep.equal(['one', 'two']);
    expect(() => parseForm(`${'n'.repeat(65)}=1`)).to.throw(PageRefusal);
  });

  it('know nothing that was not sent', () => {
    const form = parseForm('a=1');
    expect([form.get('constructor'), form.get('__proto__'), form.text('b')]).to.deep.equal([
      undefined,
      undefined,
      '',
    ]);
    expect(form.all('b')).to.deep.equal([]);
  });
});
