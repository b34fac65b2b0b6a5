import { expect } from 'chai';
import { parse } from 'node-html-parser';
import {
  ask,
  type Parameters,
  type RelyingParty,
  redirectOf,
  Scene,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import type { Answer } from '../../support/nodes.js';
import { FORGED_REDIRECT_URIS } from './redirect-uris.js';

describe('the address that people are sent back to', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      shop = await scene.relyingParty();
    });

    after(() => scene.close());

    const authorize = (party: RelyingParty, parameters: Parameters): Promise<Answer> =>
      ask(scene.node, party.begin(parameters).path);

    function expectErrorPage(answer: Answer, of: string): void {
      expect(answer.status, of).to.equal(400);
      expect(answer.headers.get('location'), of).to.equal(null);
      expect(answer.headers.get('refresh'), of).to.equal(null);
      expect(answer.headers.get('content-type'), of).to.match(/^text\/html/);
      const page = parse(answer.text);
      expect(page.querySelectorAll('meta[http-equiv],script:not([src])'), of).to.have.length(0);
      // No way on to where the attacker wanted people to go.
      const links = page.querySelectorAll('[href],[action]').map(one => one.getAttribute('href') ?? '');
      expect(
        links.filter(link => /evil|example\.test|javascript|data:/.test(link)),
        of,
      ).to.deep.equal([]);
    }

    it(`is compared as it is written: ${FORGED_REDIRECT_URIS.length} others get an error page, 400, and no Location (requirement 1)`, async () => {
      expect(FORGED_REDIRECT_URIS.length).to.be.at.least(40);
      for (const uri of FORGED_REDIRECT_URIS) {
        const asked = JSON.stringify(uri);
        expectErrorPage(await authorize(shop, { redirect_uri: uri }), asked);
        // prompt=none, which may show nothing, is no reason to send an error there.
        expectErrorPage(await authorize(shop, { redirect_uri: uri, prompt: 'none' }), asked);
      }
    });

    it('must be there, once (requirement 1)', async () => {
      expectErrorPage(await authorize(shop, { redirect_uri: undefined }), 'none');
      expectErrorPage(await authorize(shop, { redirect_uri: '' }), 'empty');
      const { path } = shop.begin();
      const twice = `${path}&redirect_uri=${encodeURIComponent('https://evil.test/')}`;
      expectErrorPage(await ask(scene.node, twice), 'two');
    });

    it('is the same in a form that another site sends (requirement 1)', async () => {
      const from = 'https://rp.example.test';
      const browser = scene.browser();
      const right = await browser.post('/oauth2/authorize', shop.begin().parameters, { from });
      expect(browser.has('input[name="password"]'), browser.describe()).to.equal(true);
      expect(right.departure).to.equal(undefined);
      for (const redirect_uri of [
        'https://rp.example.test.evil.test/callback',
        'https://rp.example.test/callback/',
      ]) {
        const wrong = await browser.post('/oauth2/authorize', shop.begin({ redirect_uri }).parameters, {
          from,
        });
        expect(wrong.departure, redirect_uri).to.equal(undefined);
        expect(wrong.status, redirect_uri).to.equal(400);
      }
      // RFC 9700 §4.12: the body is not sent on.
      const statuses = browser.exchanges
        .filter(({ method }) => method === 'POST')
        .map(({ status }) => status);
      expect(new Set(statuses)).to.deep.equal(new Set([303]));
    });

    it('may differ in the port only, at a loopback address of a native client (requirement 2)', async () => {
      const native = await scene.relyingParty({
        authMethod: 'none',
        applicationType: 'native',
        redirectUris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
      });
      const allowed = [
        'http://127.0.0.1/callback',
        'http://127.0.0.1:1/callback',
        'http://127.0.0.1:51004/callback',
        'http://127.0.0.1:65535/callback',
        'http://[::1]:51004/callback',
      ];
      for (const uri of allowed) {
        const answer = await authorize(native, { redirect_uri: uri });
        expect(answer.status, uri).to.equal(303);
        expect(redirectOf(answer).target, uri).to.match(/\/interaction\//);
      }
      const refused = [
        'http://localhost:51004/callback',
        'http://localhost.evil.test:51004/callback',
        'http://127.0.0.1.evil.test/callback',
        'http://127.0.0.1.evil/callback',
        'http://127.0.0.1@evil.test/callback',
        'http://evil.test@127.0.0.1/callback',
        'http://127.0.0.1:0/callback',
        'http://127.0.0.1:65536/callback',
        'http://127.0.0.1:51004evil.test/callback',
        'http://127.0.0.1:51004@evil.test/callback',
        'http://127.0.0.1:/callback',
        'http://127.0.0.1:51004/callback/',
        'http://127.0.0.1:51004/other',
        'http://127.0.0.1:51004/callback?x=1',
        'http://127.0.0.1:51004/callback#x',
        'https://127.0.0.1:51004/callback',
        'http://127.1:51004/callback',
        'http://0x7f000001:51004/callback',
        'http://2130706433:51004/callback',
        'http://0.0.0.0:51004/callback',
        'http://[::]:51004/callback',
        'http://[::ffff:127.0.0.1]:51004/callback',
        'http://[0:0:0:0:0:0:0:1]:51004/callback',
      ];
      for (const uri of refused) expectErrorPage(await authorize(native, { redirect_uri: uri }), uri);
    });

    it('keeps its port, where a web client has registered a loopback address (requirement 2)', async () => {
      const web = await scene.relyingParty({ redirectUris: ['http://127.0.0.1:3000/callback'] });
      expect((await authorize(web, {})).status).to.equal(303);
      expectErrorPage(await authorize(web, { redirect_uri: 'http://127.0.0.1:3001/callback' }), 'port');
    });

    it('never comes to be http elsewhere, or code to run, whatever was registered (requirements 3 and 4)', async () => {
      const uris = [
        'http://rp.example.test/callback',
        'http://localhost.evil.test/callback',
        'javascript:alert(1)',
        'JaVaScRiPt:alert(1)',
        'java\tscript:alert(1)',
        'data:text/html,<script>alert(1)</script>',
        'vbscript:msgbox(1)',
      ];
      for (const uri of uris) {
        for (const redirectUris of [[uri], [shop.redirectUri, uri]]) {
          const registered = scene.register({ redirectUris }).then(
            () => 'registered',
            () => 'refused',
          );
          expect(await registered, uri).to.equal('refused');
        }
        expectErrorPage(await authorize(shop, { redirect_uri: uri }), uri);
      }
    });

    it('is not asked for when nobody knows the client: the page says so here (requirement 5)', async () => {
      const { clientId } = await scene.register();
      const unknown = [
        undefined,
        '',
        'cl_0000000000000000000000',
        `${clientId} `,
        clientId.toUpperCase(),
        `${clientId}\0`,
        '../../admin',
        '<script>alert(1)</script>',
      ];
      for (const client_id of unknown) {
        expectErrorPage(await authorize(shop, { client_id }), String(client_id));
        expectErrorPage(await authorize(shop, { client_id, prompt: 'none' }), String(client_id));
      }
      const twice = `${shop.begin().path}&client_id=${clientId}`;
      expectErrorPage(await ask(scene.node, twice), 'two clients');
    });

    it('belongs to its client: another one’s is refused (requirement 5)', async () => {
      const other = await scene.relyingParty({ redirectUris: ['https://other.example.test/callback'] });
      expectErrorPage(await authorize(shop, { redirect_uri: other.redirectUri }), 'another client');
    });
  });
});
