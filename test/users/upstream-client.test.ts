import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import { Secret } from '../../src/config/config.js';
import { createGuardedFetch } from '../../src/outbound/guarded-fetch.js';
import { UpstreamClient, type UpstreamState } from '../../src/users/upstream-client.js';
import { refusalOf } from '../resources/opened-database.js';
import { startUpstream, type Upstream } from './upstream-provider.js';

// What a form encodes: RFC 6749 §2.3.1 wants it encoded before it goes into the Basic scheme.
const CLIENT = { client_id: 'claviger', client_secret: 'upstream secret: 100% + more' };
const REDIRECT_URI = 'https://id.example.com/interaction/federation/up';

describe('signing in with another provider', () => {
  let upstream: Upstream;
  let lavish: Upstream;
  let ticks = 0;
  const clock = { now: () => 0, monotonic: () => ticks };

  before(async () => {
    upstream = await startUpstream(CLIENT);
    lavish = await startUpstream(CLIENT, { claimsInIdToken: true });
  });

  after(async () => {
    await upstream.close();
    await lavish.close();
  });

  const client = (there: Upstream = upstream, allowedNetworks: readonly string[] = ['127.0.0.0/8']) =>
    new UpstreamClient(
      {
        id: 'up',
        name: 'Upstream',
        issuer: there.issuer,
        clientId: CLIENT.client_id,
        clientSecret: new Secret(CLIENT.client_secret),
        scopes: ['openid', 'email', 'profile'],
        allowsSignUp: true,
      },
      createGuardedFetch(allowedNetworks),
      clock,
    );

  it('brings back who signed in there, with claims from the userinfo endpoint or the ID token', async () => {
    for (const there of [upstream, lavish]) {
      there.people.set('ada', { email: 'ada@example.com', email_verified: true, name: 'Ada' });
      const own = client(there);
      const { url, state } = await own.begin(REDIRECT_URI);
      const asked = new URL(url).searchParams;
      expect(asked.get('code_challenge_method')).to.equal('S256');
      expect(asked.get('redirect_uri')).to.equal(REDIRECT_URI);
      expect(asked.get('nonce')).to.equal(state.nonce);
      expect(url).not.to.contain(state.codeVerifier);
      const back = await there.signIn(url, 'ada');
      expect(await own.finish(state, back)).to.deep.equal({
        provider: 'up',
        subject: 'ada',
        email: 'ada@example.com',
        emailVerified: true,
        name: 'Ada',
      });
    }
  });

  it('believes an address only when email_verified is true itself (requirement 93)', async () => {
    for (const said of [undefined, false, 'true', 1, null]) {
      upstream.people.set('eve', { email: 'ada@example.com', email_verified: said });
      const own = client();
      const { url, state } = await own.begin(REDIRECT_URI);
      const found = await own.finish(state, await upstream.signIn(url, 'eve'));
      expect(found.emailVerified, String(said)).to.equal(false);
    }
  });

  it('refuses an answer of another journey, of another issuer, a second use and a refusal, in one way', async () => {
    const own = client();
    const begun = () => own.begin(REDIRECT_URI);
    upstream.people.set('ada', {});
    const messages = new Set<string>();
    const refused = async (state: UpstreamState, back: URL, why: RegExp) => {
      const error = await refusalOf(own.finish(state, back));
      expect(error.code).to.equal('invalid_request');
      expect(error.cause).to.equal(undefined);
      expect(error.detail).to.match(why);
      messages.add(error.message);
    };
    const { url, state } = await begun();
    const back = await upstream.signIn(url, 'ada');

    // Login CSRF: another browser's answer.
    await refused((await begun()).state, back, /state/);
    // Mix-up (RFC 9207 §2.4): the answer names another issuer, or none though this provider always does.
    const mixed = new URL(back);
    mixed.searchParams.set('iss', 'https://attacker.example');
    await refused(state, mixed, /iss/);
    const silent = new URL(back);
    silent.searchParams.delete('iss');
    await refused(state, silent, /iss/);
    // RFC 6749 §4.1.2.1
    const denied = new URL(`${REDIRECT_URI}?error=access_denied&state=${state.state}`);
    denied.searchParams.set('iss', upstream.issuer);
    await refused(state, denied, /access_denied/);
    expect((await own.finish(state, back)).subject).to.equal('ada');
    await refused(state, back, /invalid_grant/);

    // An injected code: its ID token has another nonce, its verifier is another one.
    const mine = await begun();
    const stolen = await upstream.signIn(mine.url, 'ada');
    await refused({ ...mine.state, nonce: 'another' }, stolen, /nonce/);
    const next = await begun();
    const code = await upstream.signIn(next.url, 'ada');
    await refused({ ...next.state, codeVerifier: 'x'.repeat(43) }, code, /invalid_grant/);
    expect(messages.size).to.equal(1);
  });

  it('believes no ID token that is not signed with the keys that the provider publishes', async () => {
    const own = client();
    const { url, state } = await own.begin(REDIRECT_URI);
    const back = await upstream.signIn(url, 'ada');
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const foreign = { ...publicKey.export({ format: 'jwk' }), kid: 'rs256', alg: 'RS256', use: 'sig' };
    upstream.lies.set('/jwks', JSON.stringify({ keys: [foreign] }));
    const error = await refusalOf(own.finish(state, back));
    upstream.lies.clear();
    expect(error.detail).to.match(/signature/);
  });

  it('follows no discovery document that speaks for another issuer or sends people to something but https', async () => {
    const path = '/.well-known/openid-configuration';
    const honest = await (await fetch(upstream.issuer + path)).json();
    const lies = [
      { issuer: 'https://accounts.example' },
      { authorization_endpoint: 'javascript:alert(1)//' },
      { authorization_endpoint: 'intent://scan/#Intent;end' },
    ];
    try {
      for (const lie of lies) {
        upstream.lies.set(path, JSON.stringify({ ...honest, ...lie }));
        const error = await refusalOf(client().begin(REDIRECT_URI));
        expect(error.code).to.equal('not_ready');
      }
    } finally {
      upstream.lies.clear();
    }
  });

  it('takes nothing but the query of the address that came back: a forged Host changes nothing', async () => {
    const own = client();
    const { url, state } = await own.begin(REDIRECT_URI);
    const back = await upstream.signIn(url, 'ada');
    const forged = new URL(`http://attacker.example/x${back.search}`);
    expect((await own.finish(state, forged)).subject).to.equal('ada');
  });

  it('keeps what it discovered for an hour, and a failure not at all', async () => {
    const own = client();
    const begin = () => own.begin(REDIRECT_URI);
    const before = upstream.discovered();
    await Promise.all([begin(), begin(), begin()]);
    expect(upstream.discovered() - before).to.equal(1);
    ticks += 3_601_000;
    upstream.break(true);
    expect((await refusalOf(begin())).code).to.equal('not_ready');
    upstream.break(false);
    await begin();
    expect(upstream.discovered() - before).to.equal(3);
  });

  it('calls no provider on a network that is not allowed (requirement 80)', async () => {
    const own = client(upstream, []);
    const before = upstream.discovered();
    const error = await refusalOf(own.begin(REDIRECT_URI));
    expect(error.code).to.equal('not_ready');
    expect(error.message).not.to.contain('127.0.0.1');
    expect(upstream.discovered()).to.equal(before);
  });
});
