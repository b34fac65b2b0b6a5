import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose';
import { forEachDatabase } from '../../support/databases.js';
import { get, ISSUER, RESOURCE, token } from '../../support/nodes.js';
import { claimsOf, type Person, type RelyingParty, Scene, userinfo } from './relying-party.js';

const PROFILE = { name: 'Ada Lovelace', given_name: 'Ada', family_name: 'Lovelace', locale: 'en' };

describe('who a person is, for clients', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person({ profile: PROFILE, groups: ['staff'] });
      shop = await scene.relyingParty({
        oidcScopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
      });
    });

    after(() => scene.close());

    async function verified(
      idToken: unknown,
      audience: string,
    ): Promise<{ alg: string; payload: JWTPayload }> {
      const { json } = await get(scene.node, '/.well-known/jwks.json');
      const keys = createLocalJWKSet(json as never);
      const { payload, protectedHeader } = await jwtVerify(String(idToken), keys, {
        issuer: ISSUER,
        audience,
      });
      return { alg: protectedHeader.alg, payload };
    }

    const hashOf = (value: unknown): string =>
      createHash('sha256').update(String(value)).digest().subarray(0, 16).toString('base64url');

    it('is told by an ID token with nonce, at_hash and auth_time, signed as registered (requirement 71)', async () => {
      for (const alg of ['RS256', 'ES256'] as const) {
        const party = await scene.relyingParty({ idTokenSignedResponseAlg: alg });
        const begun = Math.floor(Date.now() / 1000);
        const { json } = await party.tokens(scene.browser(), person, { nonce: 'n-1', max_age: '3600' });
        const { payload, alg: used } = await verified(json.id_token, party.client.clientId);
        expect(used).to.equal(alg);
        expect(payload.nonce).to.equal('n-1');
        expect(payload.at_hash).to.equal(hashOf(json.access_token));
        expect(payload.auth_time).to.be.within(begun - 1, begun + 30);
        expect(payload.sub).to.equal(person.userId);
        expect(Number(payload.exp) - Number(payload.iat)).to.be.within(1, 3600);
        // Who they are is asked at userinfo (OpenID Connect Core §5.4).
        expect(payload).to.not.have.any.keys('email', 'name', 'c_hash');
      }
    });

    it('refreshed keeps sub, auth_time and what else it said, and its new at_hash (requirement 71)', async () => {
      const first = await shop.tokens(scene.browser(), person, {
        scope: 'openid orders.read offline_access',
        nonce: 'n-2',
        max_age: '3600',
      });
      const second = await shop.refresh(first.json.refresh_token);
      expect(second.status, second.text).to.equal(200);
      const [before, after] = [claimsOf(first.json.id_token), claimsOf(second.json.id_token)];
      for (const name of ['iss', 'sub', 'aud', 'auth_time'])
        expect(after[name], name).to.deep.equal(before[name]);
      expect(after.at_hash).to.equal(hashOf(second.json.access_token));
    });

    it('has one subject: ASCII, at most 255 characters, the same for ever and everywhere (requirement 71)', async () => {
      const subjects = new Set<unknown>();
      for (const party of [
        shop,
        shop,
        await scene.relyingParty(),
        await scene.relyingParty({ authMethod: 'none' }),
      ]) {
        const { json } = await party.tokens(scene.browser(), person);
        subjects.add(claimsOf(json.id_token).sub);
        subjects.add(JSON.parse((await userinfo(scene.node, json.access_token)).text).sub);
        subjects.add(claimsOf(json.access_token).sub);
      }
      expect([...subjects]).to.have.length(1);
      const [subject] = [...subjects];
      expect(subject).to.match(/^[\x21-\x7e]{1,255}$/);
      expect(String(subject)).to.not.include(person.email);
      const other = await shop.tokens(scene.browser(), await scene.person());
      expect(claimsOf(other.json.id_token).sub).to.not.equal(subject);
    });

    it('is a pairwise subject that differs by sector and is equal within one (requirement 71)', async () => {
      const at = (host: string, sectorIdentifier?: string): Promise<RelyingParty> =>
        scene.relyingParty({
          subjectType: 'pairwise',
          redirectUris: [`https://${host}/callback`],
          ...(sectorIdentifier === undefined ? {} : { sectorIdentifier }),
        });
      const subjectAt = async (party: RelyingParty, who = person): Promise<unknown> => {
        const { json } = await party.tokens(scene.browser(), who);
        const { sub } = claimsOf(json.id_token);
        expect(JSON.parse((await userinfo(scene.node, json.access_token)).text).sub, 'userinfo').to.equal(
          sub,
        );
        expect(sub).to.match(/^[\x21-\x7e]{1,255}$/);
        expect(sub).to.not.equal(who.userId);
        return sub;
      };
      const [one, sibling] = [await at('a.example.test'), await at('a.example.test')];
      const [other, joined] = [await at('b.example.test'), await at('c.example.test', 'a.example.test')];
      const subject = await subjectAt(one);
      expect(await subjectAt(one), 'again').to.equal(subject);
      expect(await subjectAt(sibling), 'same host').to.equal(subject);
      expect(await subjectAt(joined), 'same sector').to.equal(subject);
      expect(await subjectAt(other), 'another sector').to.not.equal(subject);
      expect(await subjectAt(one, await scene.person()), 'another person').to.not.equal(subject);
    });

    it('is told by userinfo as far as it was allowed, by GET and by POST', async () => {
      const { json } = await shop.tokens(scene.browser(), person, { scope: 'openid profile email groups' });
      const { text } = await userinfo(scene.node, json.access_token);
      const about = JSON.parse(text);
      expect(about).to.deep.include({
        sub: person.userId,
        email: person.email,
        groups: ['staff'],
        ...PROFILE,
      });
      const narrow = await shop.tokens(scene.browser(), person, { scope: 'openid' });
      expect(JSON.parse((await userinfo(scene.node, narrow.json.access_token)).text)).to.deep.equal({
        sub: person.userId,
      });
      const posted = await shop.post(
        '/oauth2/userinfo',
        {},
        { authorization: `Bearer ${String(json.access_token)}` },
      );
      expect(posted.json).to.deep.equal(about);
    });

    it('is told by userinfo as a JWT where the client registered so (OpenID Connect Core §5.3.2)', async () => {
      const signed = await scene.relyingParty({ userinfoSignedResponseAlg: 'ES256' });
      for (const scope of ['openid email', 'openid email orders.read']) {
        const { json } = await signed.tokens(scene.browser(), person, { scope });
        const answer = await userinfo(scene.node, json.access_token);
        expect(answer.headers.get('content-type')).to.match(/^application\/jwt/);
        const { payload, alg } = await verified(answer.text, signed.client.clientId);
        expect(alg).to.equal('ES256');
        expect(payload).to.include({ sub: person.userId, email: person.email });
      }
    });

    it('can be asked for claim by claim: in the ID token or at userinfo, essential or not (§5.5)', async () => {
      const claims = {
        userinfo: { given_name: { essential: true }, email: null, nickname: { essential: true } },
        id_token: { family_name: null, auth_time: { essential: true }, acr: null },
      };
      for (const scope of ['openid', 'openid orders.read']) {
        const { json } = await shop.tokens(scene.browser(), person, {
          scope,
          claims: JSON.stringify(claims),
        });
        const payload = claimsOf(json.id_token);
        expect(payload).to.include({ family_name: 'Lovelace' });
        expect(payload.auth_time).to.be.a('number');
        expect(payload).to.not.have.any.keys('given_name', 'email');
        const about = JSON.parse((await userinfo(scene.node, json.access_token)).text);
        expect(about, scope).to.include({ sub: person.userId, given_name: 'Ada', email: person.email });
        expect(about, scope).to.not.have.any.keys('family_name', 'name', 'locale', 'groups');
      }
      const mine = { id_token: { sub: { value: person.userId } } };
      const browser = scene.browser();
      expect((await shop.tokens(browser, person, { claims: JSON.stringify(mine) })).status).to.equal(200);
      const theirs = { id_token: { sub: { value: 'us_0000000000000000000000' } } };
      const request = shop.begin({ claims: JSON.stringify(theirs), prompt: 'none' });
      expect((await browser.get(request.path)).departure?.parameters.error).to.equal('login_required');
    });

    it('is in one JWT together with access to a resource server: two audiences, one token', async () => {
      const { json } = await shop.tokens(scene.browser(), person, { scope: 'openid email orders.read' });
      const claims = claimsOf(json.access_token);
      expect(claims.aud).to.deep.equal([RESOURCE, `${ISSUER}/oauth2/userinfo`]);
      expect(String(claims.scope).split(' ').sort()).to.deep.equal(['email', 'openid', 'orders.read']);
      expect(claims).to.not.have.any.keys('email', 'name');
      expect((await userinfo(scene.node, json.access_token)).status).to.equal(200);
    });

    it('is behind an opaque token when nothing else was asked for, good for userinfo alone', async () => {
      const { json } = await shop.tokens(scene.browser(), person, { scope: 'openid email' });
      expect(String(json.access_token)).to.not.include('.');
      expect((await userinfo(scene.node, json.access_token)).status).to.equal(200);
    });

    it('is not behind a token without openid', async () => {
      const { json } = await shop.tokens(scene.browser(), person, { scope: 'orders.read' });
      expect(json.id_token).to.equal(undefined);
      expect(claimsOf(json.access_token).aud).to.equal(RESOURCE);
      expect((await userinfo(scene.node, json.access_token)).status).to.be.oneOf([401, 403]);
      expect((await userinfo(scene.node, 'unknown')).status).to.equal(401);
      const alone = await scene.cluster.client();
      expect((await userinfo(scene.node, await token(scene.node, alone))).status).to.be.oneOf([401, 403]);
      const full = await shop.tokens(scene.browser(), person);
      expect((await userinfo(scene.node, full.json.id_token)).status, 'an ID token').to.equal(401);
    });

    it('is not asked for by a request that names no scope: it gets the default scopes', async () => {
      const [read, both] = [
        await scene.relyingParty({
          resources: [
            { identifier: RESOURCE, scopes: ['orders.read', 'orders.write'], defaultScopes: ['orders.read'] },
          ],
        }),
        await scene.relyingParty(),
      ];
      const narrow = await read.tokens(scene.browser(), person, { scope: undefined });
      expect(claimsOf(narrow.json.access_token).scope).to.equal('orders.read');
      expect(narrow.json.id_token).to.equal(undefined);
      const wide = await both.tokens(scene.browser(), person, { scope: undefined });
      expect(String(claimsOf(wide.json.access_token).scope).split(' ').sort()).to.deep.equal([
        'orders.read',
        'orders.write',
      ]);
    });
  });
});
