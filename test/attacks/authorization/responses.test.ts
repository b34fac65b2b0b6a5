import { expect } from 'chai';
import { parse } from 'node-html-parser';
import { ACCOUNT_CLIENT_ID } from '../../../src/protocol.js';
import {
  ask,
  challengeOf,
  claimsOf,
  type Parameters,
  type Person,
  type RelyingParty,
  redirectOf,
  Scene,
  walk,
} from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { type Answer, get, ISSUER, post } from '../../support/nodes.js';
import { HOSTILE_STATE } from './hostile-text.js';

describe('an authorization response', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person();
      shop = await scene.relyingParty();
    });

    after(() => scene.close());

    const authorize = (party: RelyingParty, parameters: Parameters): Promise<Answer> =>
      ask(scene.node, party.begin(parameters).path);

    it('is sent with 303 or 302, never with 307 or 308, which would send a password on (requirement 6)', async () => {
      const browser = scene.browser();
      await shop.authorize(browser, person);
      await browser.get(shop.begin({ scope: 'openid orders.write' }).path);
      await browser.submit(
        'form[action$="/cancel"],form:has(button[value="deny"])',
        {},
        {
          button: 'button[value="deny"]',
        },
      );
      const statuses = browser.exchanges
        .map(({ status }) => status)
        .filter(status => status >= 300 && status < 400);
      expect(statuses.length).to.be.at.least(4);
      for (const status of statuses) expect([302, 303]).to.include(status);
      const posts = browser.exchanges.filter(({ method }) => method === 'POST');
      for (const { status, url } of posts) expect(status, url).to.equal(303);
    });

    it('names the issuer, byte for byte as discovery does: code, errors, form_post and JARM (requirement 7)', async () => {
      const discovery = await get(scene.node, '/.well-known/openid-configuration');
      const { issuer } = discovery.json;
      expect(issuer).to.equal(ISSUER);
      expect(discovery.json.authorization_response_iss_parameter_supported).to.equal(true);
      const browser = scene.browser();
      const { landing } = await shop.authorize(browser, person);
      expect(landing.departure?.parameters.iss).to.equal(issuer);

      const errors: readonly Parameters[] = [
        { prompt: 'none' },
        { scope: 'openid unknown.scope' },
        { response_type: 'code id_token', response_mode: 'query' },
        { code_challenge: undefined, code_challenge_method: undefined },
        { resource: 'https://not.registered.test/' },
        { prompt: 'none login' },
        { max_age: '-1' },
        { claims: 'not json' },
        { request_uri: 'https://rp.example.test/request' },
        { id_token_hint: 'not.a.jwt' },
      ];
      for (const parameters of errors) {
        const asked = JSON.stringify(parameters);
        const { target, parameters: answer } = redirectOf(await authorize(shop, parameters));
        expect(target, asked).to.equal(shop.redirectUri);
        expect(answer.error, asked).to.be.a('string');
        expect(answer.iss, asked).to.equal(issuer);
      }

      const post = await authorize(shop, { prompt: 'none', response_mode: 'form_post' });
      const fields = parse(post.text).querySelectorAll('input');
      expect(fields.find(one => one.getAttribute('name') === 'iss')?.getAttribute('value')).to.equal(issuer);
      const signing = await scene.relyingParty({
        responseModes: ['query.jwt'],
        authorizationSignedResponseAlg: 'ES256',
      });
      const jarm = redirectOf(await authorize(signing, { prompt: 'none', response_mode: 'query.jwt' }));
      expect(claimsOf(jarm.parameters.response)).to.include({ iss: issuer, error: 'login_required' });
      // Whoever goes back at the sign-in page is an answer, too.
      const cancelling = scene.browser();
      await cancelling.get(shop.begin().path);
      await cancelling.submit('form[action$="/cancel"]');
      expect(cancelling.landing.departure?.parameters).to.include({ error: 'access_denied', iss: issuer });
    });

    it('holds a code or an error and nothing else: every other response_type is refused (requirement 8)', async () => {
      const types = [
        'token',
        'id_token',
        'id_token token',
        'code id_token',
        'code token',
        'code id_token token',
        'none',
        'CODE',
        'device_code',
        '',
      ];
      for (const response_type of types) {
        for (const response_mode of [undefined, 'fragment', 'query', 'form_post']) {
          const answer = await authorize(shop, { response_type, response_mode });
          const asked = `${response_type} ${response_mode}`;
          const sent = `${answer.headers.get('location')} ${answer.text}`;
          expect(sent, asked).to.not.match(
            /[?&#](?:code|access_token|id_token)=|name="(?:code|id_token|access_token)"/,
          );
          expect(answer.headers.get('location') ?? '', asked).to.not.include('/interaction/');
          if (response_mode !== undefined) continue;
          // `none` is for the account pages' own client alone.
          const error = /[?&#]error=([^&]+)/.exec(sent)?.[1];
          if (response_type === 'none')
            expect(error, asked).to.be.oneOf(['unauthorized_client', 'unsupported_response_type']);
          else
            expect(error, asked).to.equal(
              response_type === '' ? 'invalid_request' : 'unsupported_response_type',
            );
        }
      }
      const { json } = await get(scene.node, '/.well-known/openid-configuration');
      expect(json.response_types_supported).to.deep.equal(['code']);
    });

    it('of the account pages’ own client holds nothing at all, and goes nowhere else (requirement 8)', async () => {
      const own = {
        client_id: ACCOUNT_CLIENT_ID,
        redirect_uri: `${ISSUER}/account/callback`,
        scope: 'openid',
        response_type: 'none',
      };
      const browser = scene.browser();
      await browser.get(shop.begin(own).path);
      await walk(browser, person);
      const keys = browser.exchanges
        .flatMap(({ headers }) => headers.location ?? [])
        .filter(location => location.includes('/account/callback'))
        .flatMap(location => [...new URL(location, ISSUER).searchParams.keys()]);
      expect(new Set(keys)).to.deep.equal(new Set(['state', 'iss']));
      for (const parameters of [
        { response_type: 'code' },
        { response_type: 'id_token' },
        { response_type: 'token' },
      ]) {
        const answer = await authorize(shop, { ...own, ...parameters });
        expect(answer.headers.get('location') ?? '')
          .to.include('error=')
          .and.to.not.include('code=');
      }
      for (const redirect_uri of ['https://evil.test/', `${ISSUER}/account/callback/`, `${ISSUER}/account`]) {
        expect((await authorize(shop, { ...own, redirect_uri })).status, redirect_uri).to.equal(400);
      }
      for (const grant_type of ['client_credentials', 'authorization_code', 'refresh_token']) {
        const form = { grant_type, client_id: ACCOUNT_CLIENT_ID, code: 'x', refresh_token: 'x' };
        const refused = await post(scene.node, '/oauth2/token', form);
        expect(refused.status, grant_type).to.be.within(400, 401);
      }
    });

    it('is what was asked for when the interaction began, whatever is smuggled into its resumption (requirement 8)', async () => {
      const browser = scene.browser();
      const request = shop.begin();
      await browser.get(request.path);
      const { landing } = browser;
      const smuggled = new URLSearchParams({
        response_type: 'id_token token',
        response_mode: 'fragment',
        redirect_uri: 'https://evil.test/',
        scope: 'openid orders.write',
        nonce: 'n',
        client_id: (await scene.register()).clientId,
      });
      // Into the page, its form and the resumption.
      const uid = new URL(landing.url).pathname.split('/').at(-1);
      await browser.get(`/interaction/${uid}?${smuggled}`);
      await walk(browser, person);
      const departure = browser.landing.departure;
      expect(departure?.uri).to.equal(shop.redirectUri);
      expect(Object.keys(departure?.parameters ?? {}).sort()).to.deep.equal(['code', 'iss', 'state']);

      const other = scene.browser();
      await other.get(shop.begin().path);
      const begun = new URL(other.landing.url).pathname.split('/').at(-1);
      await other.get(`/oauth2/authorize/${begun}?${smuggled}`);
      expect(other.landing.departure).to.equal(undefined);
      await walk(other, person);
      const answered = other.landing.departure;
      expect(answered?.uri).to.equal(shop.redirectUri);
      expect(Object.keys(answered?.parameters ?? {}).sort()).to.deep.equal(['code', 'iss', 'state']);
    });

    it('comes in a mode that the client has registered; a fragment in none (requirement 9)', async () => {
      for (const response_mode of [
        'fragment',
        'web_message',
        'fragment.jwt',
        'jwt',
        'query.jwt',
        'okp',
        '',
      ]) {
        const answer = await authorize(shop, { response_mode, prompt: 'none' });
        const location = answer.headers.get('location') ?? '';
        expect(`${location}${answer.text}`, response_mode).to.not.include('postMessage');
        if (response_mode === '') continue;
        // prompt=none would say login_required, if the mode were accepted.
        const signed = /[?#]response=([^&]+)/.exec(location)?.[1];
        const error =
          signed === undefined ? /[?#&]error=([^&]+)/.exec(location)?.[1] : claimsOf(signed).error;
        expect(error, response_mode).to.be.oneOf(['invalid_request', 'unsupported_response_mode']);
      }
      const queryOnly = await scene.relyingParty({ responseModes: ['query'] });
      const refused = await authorize(queryOnly, { response_mode: 'form_post', prompt: 'none' });
      expect(refused.text).to.not.include('<form');
      for (const mode of ['fragment', 'web_message', 'fragment.jwt']) {
        const registered = scene.register({ responseModes: [mode as 'query'] }).then(
          () => 'registered',
          () => 'refused',
        );
        expect(await registered, mode).to.equal('refused');
      }
    });

    it('by form_post is a page with a strict policy, in which state is text (requirement 9)', async () => {
      const answer = await authorize(shop, {
        response_mode: 'form_post',
        prompt: 'none',
        state: HOSTILE_STATE,
      });
      const policy = answer.headers.get('content-security-policy') ?? '';
      expect(policy).to.match(/default-src 'none'/);
      expect(policy).to.match(/script-src 'sha256-[^']+'/);
      expect(policy)
        .to.include("frame-ancestors 'none'")
        .and.to.include('form-action https://rp.example.test');
      expect(policy).to.not.match(/unsafe|\*/);
      expect(answer.headers.get('cache-control')).to.include('no-store');
      const page = parse(answer.text);
      expect(page.querySelectorAll('script')).to.have.length(1);
      expect(page.querySelectorAll('img')).to.have.length(0);
      const state = page.querySelectorAll('input').find(one => one.getAttribute('name') === 'state');
      expect(state?.getAttribute('value')).to.equal(HOSTILE_STATE);
    });

    it('needs PKCE with S256, of public and of confidential clients (requirement 10)', async () => {
      const open = await scene.relyingParty({ authMethod: 'none' });
      const verifier = 'v'.repeat(43);
      for (const party of [shop, open]) {
        const wrong: readonly Parameters[] = [
          { code_challenge: undefined, code_challenge_method: undefined },
          { code_challenge: undefined },
          { code_challenge: verifier, code_challenge_method: 'plain' },
          { code_challenge: verifier, code_challenge_method: undefined },
          { code_challenge: verifier, code_challenge_method: 's256' },
          { code_challenge: 'short' },
          { code_challenge: `${challengeOf(verifier)}=` },
          { code_challenge: '' },
        ];
        for (const parameters of wrong) {
          const { parameters: answer } = redirectOf(await authorize(party, parameters));
          expect(answer.error, JSON.stringify(parameters)).to.equal('invalid_request');
        }
      }
      const { json } = await get(scene.node, '/.well-known/openid-configuration');
      expect(json.code_challenge_methods_supported).to.deep.equal(['S256']);
    });

    it('without PKCE is for a confidential client that registered so, and takes no verifier then (requirement 10)', async () => {
      const old = await scene.relyingParty({ requirePkce: false });
      const browser = scene.browser();
      const bare = { code_challenge: undefined, code_challenge_method: undefined };
      const authorized = await old.authorize(browser, person, bare);
      // RFC 9700 §4.8.2: a verifier for a code that was asked for without a challenge is a downgrade under way.
      const downgraded = await old.redeem(authorized);
      expect(downgraded.json.error).to.equal('invalid_grant');
      const plain = await old.authorize(browser, undefined, bare);
      expect((await old.redeem(plain, { code_verifier: undefined })).status).to.equal(200);
      await scene.register({ authMethod: 'none', requirePkce: false }).then(
        () => expect.fail('a public client without PKCE'),
        () => undefined,
      );
    });
  });
});
