import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { FormBrowser, roundRobin } from './form-browser.js';

const ISSUER = 'https://op.example.test';
const CLIENT = 'https://client.example.test';
const PAGE = `<!doctype html><main><a href="/plain">On</a>
  <form method="post" action="/saved"><input name="csrf" type="hidden" value="c">
    <input name="email" value="old@example.test"><input name="off" disabled value="x">
    <input type="checkbox" name="scope" value="a" checked><input type="checkbox" name="scope" value="b">
    <button name="answer" value="deny">No</button><button name="answer" value="allow">Yes</button></form></main>`;

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}

describe('browser without scripts', () => {
  const servers: Server[] = [];
  let browser: FormBrowser;
  let csp = "form-action 'self'";

  before(async () => {
    for (let count = 0; count < 2; count += 1) {
      const server = createServer(async (request, response) => {
        const { url = '', headers, method } = request;
        const send = (status: number, text: string, more: Record<string, string | string[]> = {}) =>
          response
            .writeHead(status, { 'content-type': 'text/html', 'referrer-policy': 'no-referrer', ...more })
            .end(text);
        if (url === '/set') {
          send(200, '', {
            'set-cookie': ['__Host-a=1; Path=/; Secure; SameSite=Lax', 'deep=2; Path=/deep; SameSite=Strict'],
          });
        } else if (url === '/bad') send(200, '', { 'set-cookie': '__Host-b=1; Path=/deep; Secure' });
        else if (url === '/page') send(200, PAGE, { 'content-security-policy': csp });
        else if (url === '/saved')
          send(303, '', {
            location: `${CLIENT}/cb?code=1&said=${encodeURIComponent(await bodyOf(request))}`,
          });
        else if (url === '/form-post') {
          send(200, `<form method=post action="${CLIENT}/cb"><input type=hidden name=code value=2></form>`);
        } else send(200, JSON.stringify({ method, headers }));
      });
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
      servers.push(server);
    }
  });

  beforeEach(() => {
    csp = `form-action 'self' ${CLIENT}`;
    const nodes = servers.map(server => ({ port: (server.address() as AddressInfo).port }));
    browser = new FormBrowser({ issuer: ISSUER, pick: roundRobin(nodes) });
  });

  after(() => {
    for (const server of servers) server.close();
  });

  const seen = () =>
    JSON.parse(browser.landing.text) as { method: string; headers: Record<string, string | undefined> };

  it('asks the nodes in turn, under the name of the issuer', async () => {
    await browser.get('/one');
    await browser.get(`${ISSUER}/two`);
    expect(new Set(browser.exchanges.map(({ node }) => node)).size).to.equal(2);
    expect(seen().headers.host).to.equal('op.example.test');
    expect(seen().headers['sec-fetch-site']).to.equal('none');
  });

  it('keeps cookies to their paths and to requests of the same site (RFC 6265bis §5.2)', async () => {
    await browser.get('/set');
    await browser.get('/deep/page');
    expect(seen().headers.cookie).to.equal('deep=2; __Host-a=1');
    await browser.get('/deep/page', { from: CLIENT });
    expect(seen().headers).to.include({ cookie: '__Host-a=1', 'sec-fetch-site': 'cross-site' });
    await browser.post('/deep/page', {}, { from: CLIENT });
    expect(seen().headers.cookie).to.equal(undefined);
    expect(seen().headers.origin).to.equal(CLIENT);
  });

  it('fails on a cookie that a browser would drop (RFC 6265bis §4.1.3)', async () => {
    let failed: unknown;
    await browser.get('/bad').catch((error: unknown) => {
      failed = error;
    });
    expect(failed).to.be.instanceOf(Error);
  });

  it('sends what a form holds and the button that is pressed, and stops where the issuer ends', async () => {
    await browser.get('/page');
    const landing = await browser.submit(
      'form',
      { email: 'new@example.test' },
      { button: '[value="allow"]' },
    );
    expect(landing.departure).to.deep.include({ method: 'GET', uri: `${CLIENT}/cb` });
    expect(landing.departure?.parameters).to.deep.equal({
      code: '1',
      said: 'csrf=c&email=new%40example.test&scope=a&answer=allow',
    });
    const posted = browser.exchanges.at(-1)?.requestHeaders;
    expect(posted).to.include({ 'sec-fetch-site': 'same-origin', origin: 'null' });
  });

  it('obeys form-action on the way after a form (CSP 3 §6.7.2.8)', async () => {
    csp = "form-action 'self'";
    await browser.get('/page');
    let failed: unknown;
    await browser.submit('form').catch((error: unknown) => {
      failed = error;
    });
    expect(String(failed)).to.contain('form-action');
  });

  it('reads the form that a form_post page submits by itself', async () => {
    const { departure } = await browser.get('/form-post');
    expect(departure).to.deep.include({ method: 'POST', parameters: { code: '2' } });
  });
});
