import { expect } from 'chai';
import { ask, type RelyingParty, redirectOf, Scene, walk } from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import { type Answer, post } from '../../support/nodes.js';
import { rounds } from '../../support/rounds.js';

const PARALLEL = 16;

describe('a pushed authorization request (RFC 9126)', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let shop: RelyingParty;
    let time: MovedTime;

    before(async () => {
      time = installMovedTime();
      scene = await Scene.open({
        url: (await fresh()).url,
        clock: time.clock,
        databaseClockOffset: time.databaseClockOffset,
      });
      for (let count = 0; count < 2; count += 1) await scene.cluster.start();
      shop = await scene.relyingParty();
    });

    after(async () => {
      await scene.close();
      time.restore();
    });

    const push = (party: RelyingParty, extra: Readonly<Record<string, string>> = {}): Promise<Answer> =>
      party.post('/oauth2/par', { ...party.begin().parameters, ...extra });

    const pathOf = (party: RelyingParty, request_uri: unknown): string =>
      `/oauth2/authorize?${new URLSearchParams({ client_id: party.client.clientId, request_uri: String(request_uri) })}`;

    it('is taken from an authenticated client, and named by a urn for at most 60 s (requirement 23)', async () => {
      const answer = await push(shop);
      expect(answer.status, answer.text).to.equal(201);
      expect(answer.json.request_uri).to.match(/^urn:ietf:params:oauth:request_uri:[A-Za-z0-9_-]{32,}$/);
      expect(answer.json.expires_in).to.be.within(1, 60);
      expect(answer.headers.get('cache-control')).to.include('no-store');
      const { parameters } = shop.begin();
      for (const headers of [
        {},
        { authorization: `Basic ${Buffer.from(`${shop.client.clientId}:wrong`).toString('base64')}` },
      ]) {
        const refused = await post(scene.node, '/oauth2/par', parameters, headers);
        expect(refused.status).to.equal(401);
        expect(refused.json.error).to.equal('invalid_client');
      }
    });

    it('may not name another, nor a forged redirect_uri, nor another client (requirement 23)', async () => {
      const first = await push(shop);
      const other = await scene.relyingParty();
      for (const extra of [
        { request_uri: String(first.json.request_uri) },
        { request_uri: 'https://rp.example.test/request' },
        { redirect_uri: 'https://rp.example.test/callback/' },
        { client_id: other.client.clientId },
        { response_type: 'token' },
        { code_challenge_method: 'plain' },
      ]) {
        const answer = await push(shop, extra);
        expect(answer.status, JSON.stringify(extra)).to.be.within(400, 401);
        expect(answer.text).to.not.include('urn:ietf:params:oauth:request_uri');
      }
    });

    it('serves its own client only (requirement 23)', async () => {
      const { json } = await push(shop);
      const other = await scene.relyingParty();
      const stolen = await ask(scene.node, pathOf(other, json.request_uri));
      expect(stolen.status).to.equal(400);
      expect(stolen.headers.get('location')).to.equal(null);
      expect(redirectOf(await ask(scene.node, pathOf(shop, json.request_uri))).target).to.include(
        '/interaction/',
      );
    });

    it('is used once (requirement 23)', async () => {
      const person = await scene.person();
      const { json } = await push(shop);
      const browser = scene.browser();
      await browser.get(pathOf(shop, json.request_uri));
      expect((await walk(browser, person)).departure?.parameters.code).to.be.a('string');
      for (const node of scene.cluster.nodes) {
        const again = await ask(node, pathOf(shop, json.request_uri));
        expect(again.status).to.equal(400);
        expect(again.headers.get('location')).to.equal(null);
      }
    });

    it('is over after its time (requirement 23)', async () => {
      const { json } = await push(shop);
      time.moveBy(61);
      const late = await ask(scene.node, pathOf(shop, json.request_uri));
      expect(late.status).to.equal(400);
      expect(late.headers.get('location')).to.equal(null);
    });

    it(`is used once, however it comes to three nodes ${PARALLEL} times at once (requirement 23)`, async function () {
      this.timeout(600_000);
      const person = await scene.person();
      const browser = scene.browser();
      await shop.authorize(browser, person);
      const cookie = Object.entries(await browser.cookies('/oauth2/authorize'))
        .map(([name, value]) => `${name}=${value}`)
        .join('; ');
      for (let round = 0; round < rounds(10, 200); round += 1) {
        const { json } = await push(shop);
        const answers = await Promise.all(
          Array.from({ length: PARALLEL }, (_, which) => {
            const node = scene.cluster.nodes[which % 3] ?? scene.node;
            return ask(node, pathOf(shop, json.request_uri), { headers: { cookie } });
          }),
        );
        const codes = answers.filter(answer => /[?&]code=/.test(answer.headers.get('location') ?? ''));
        const statuses = answers.map(({ status }) => status).join(' ');
        expect(codes.length, statuses).to.equal(1);
        expect(
          answers.filter(({ status }) => status >= 500),
          statuses,
        ).to.have.length(0);
      }
    });

    it('is the only way in for a client that says so (RFC 9126 §6)', async () => {
      const strict = await scene.relyingParty({ requirePar: true });
      const { parameters } = redirectOf(await ask(scene.node, strict.begin().path));
      expect(parameters.error).to.equal('invalid_request');
      const { json } = await push(strict);
      expect(redirectOf(await ask(scene.node, pathOf(strict, json.request_uri))).target).to.include(
        '/interaction/',
      );
    });
  });
});
