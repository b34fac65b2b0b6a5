import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { seedWebClient } from '../../support/people.js';
import { LOGGED_OUT_URI } from '../../support/relying-party.js';
import { onEachTopology } from './topologies.js';

const YES = 'button[name="logout"]';
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

/** Titles are the module names of the OpenID Foundation's conformance suite, and each test demands what its module does. */
describe('conformance plan Back-channel logout', () => {
  let server: Server;
  let received: ((body: string) => void) | undefined;

  before(async () => {
    server = createServer(async (request, response) => {
      let body = `${request.headers['content-type']}\n`;
      for await (const chunk of request) body += String(chunk);
      response.writeHead(request.method === 'POST' ? 200 : 405).end();
      received?.(body);
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  });

  after(() => {
    server.close();
  });

  onEachTopology('query', suite => {
    it('oidcc-backchannel-logout-discovery-endpoint-verification', async () => {
      const { json } = await suite().client.call('/.well-known/openid-configuration');
      expect(json).to.include({
        backchannel_logout_supported: true,
        backchannel_logout_session_supported: true,
      });
      expect(json.end_session_endpoint).to.be.a('string');
    });

    it('oidcc-backchannel-rp-initiated-logout', async () => {
      const { port } = server.address() as AddressInfo;
      const client = await seedWebClient(suite().cluster, {
        requirePkce: false,
        backchannelLogoutUri: `http://127.0.0.1:${port}/backchannel`,
        backchannelLogoutSessionRequired: true,
      });
      const { browser, tokens } = await suite().signIn({}, { client });
      const told = new Promise<string>(resolve => {
        received = resolve;
      });
      await client.signOut(browser, {
        id_token_hint: tokens.idToken,
        post_logout_redirect_uri: LOGGED_OUT_URI,
        state: 'st-1',
      });
      if (browser.has(YES)) await browser.submit(YES, {}, { button: YES });
      expect(browser.landing.departure).to.deep.include({
        uri: LOGGED_OUT_URI,
        parameters: { state: 'st-1' },
      });
      for (const node of suite().cluster.nodes) await node.tick();
      const [type = '', body = ''] = (await told).split('\n');
      expect(type).to.match(/^application\/x-www-form-urlencoded/);
      const form = new URLSearchParams(body);
      expect([...form.keys()]).to.deep.equal(['logout_token']);
      // Back-Channel Logout 1.0 §2.4, §2.6
      const claims = await client.verify(form.get('logout_token') ?? '', { typ: 'logout+jwt' });
      expect(claims.events).to.deep.equal({ [EVENT]: {} });
      expect(claims.sub).to.equal(tokens.claims.sub);
      expect(tokens.claims.sid).to.be.a('string');
      expect(claims.sid).to.equal(tokens.claims.sid);
      expect(claims.jti).to.be.a('string').that.is.not.empty;
      expect(claims.exp).to.be.a('number').above(Number(claims.iat));
      expect(Number(claims.exp) - Number(claims.iat)).to.be.at.most(120);
      expect(claims).to.not.have.property('nonce');
    });
  });
});
