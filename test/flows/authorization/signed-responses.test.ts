import { expect } from 'chai';
import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose';
import { forEachDatabase } from '../../support/databases.js';
import { get, ISSUER } from '../../support/nodes.js';
import { type Person, type RelyingParty, Scene, walk } from './relying-party.js';

/** JARM §2.1: as long as the code in it. */
const LONGEST = 600;

describe('a signed authorization response (JARM)', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person();
      shop = await scene.relyingParty({
        responseModes: ['query', 'jwt', 'query.jwt', 'form_post.jwt'],
        authorizationSignedResponseAlg: 'ES256',
      });
    });

    after(() => scene.close());

    async function opened(response: unknown): Promise<{ payload: JWTPayload; alg: string }> {
      const { json } = await get(scene.node, '/.well-known/jwks.json');
      const { payload, protectedHeader } = await jwtVerify(
        String(response),
        createLocalJWKSet(json as never),
        {
          issuer: ISSUER,
          audience: shop.client.clientId,
        },
      );
      return { payload, alg: protectedHeader.alg };
    }

    for (const [mode, method] of [
      ['query.jwt', 'GET'],
      ['form_post.jwt', 'POST'],
      ['jwt', 'GET'],
    ] as const) {
      it(`carries the code in one parameter, which only we can have made: ${mode}`, async () => {
        const browser = scene.browser();
        const request = shop.begin({ response_mode: mode });
        await browser.get(request.path);
        const { departure } = await walk(browser, person);
        expect(departure?.method).to.equal(method);
        expect(departure?.uri).to.equal(shop.redirectUri);
        expect(Object.keys(departure?.parameters ?? {})).to.deep.equal(['response']);
        const { payload, alg } = await opened(departure?.parameters.response);
        expect(alg).to.equal('ES256');
        expect(payload.state).to.equal(request.parameters.state);
        expect(Number(payload.exp) - Math.floor(Date.now() / 1000)).to.be.within(1, LONGEST);
        const answer = await shop.redeem({ request, code: String(payload.code) });
        expect(answer.status, answer.text).to.equal(200);
      });

      it(`carries errors alike: ${mode}`, async () => {
        const browser = scene.browser();
        const { departure } = await browser.get(shop.begin({ response_mode: mode, prompt: 'none' }).path);
        const { payload } = await opened(departure?.parameters.response);
        expect(payload.error).to.equal('login_required');
        expect(payload).to.not.have.property('code');
      });
    }

    it('has two names for the query, of which a client that registered one may ask for the other (JARM §2.3.4)', async () => {
      for (const [registered, asked] of [
        ['query.jwt', 'jwt'],
        ['jwt', 'query.jwt'],
      ] as const) {
        const client = await scene.relyingParty({ responseModes: [registered] });
        const request = client.begin({ response_mode: asked, prompt: 'none' });
        const { departure } = await scene.browser().get(request.path);
        expect(departure?.method, asked).to.equal('GET');
        expect(Object.keys(departure?.parameters ?? {}), asked).to.deep.equal(['response']);
        const other = client.begin({ response_mode: 'form_post.jwt', prompt: 'none' });
        const refused = await scene.browser().get(other.path);
        expect(JSON.stringify(refused.departure?.parameters ?? {}), asked).to.not.include('login_required');
      }
    });

    it('is nothing for clients that did not register it', async () => {
      const plain = await scene.relyingParty();
      const browser = scene.browser();
      for (const mode of ['jwt', 'query.jwt', 'form_post.jwt']) {
        const { departure, text } = await browser.get(plain.begin({ response_mode: mode }).path);
        expect(departure, text.slice(0, 200)).to.not.equal(undefined);
        expect(JSON.stringify(departure?.parameters)).to.not.include('"code"');
      }
    });
  });
});
