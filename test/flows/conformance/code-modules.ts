import { expect } from 'chai';
import { createClient } from '../../../src/clients/change-client.js';
import { isAppError } from '../../../src/errors.js';
import type { SigningAlgorithm } from '../../../src/protocol.js';
import { OPERATOR } from '../../support/nodes.js';
import { seedWebClient, signIn } from '../../support/people.js';
import { REDIRECT_URI, s256 } from '../../support/relying-party.js';
import type { Suite } from './topologies.js';

/** The core of the Basic plan: codes, ID tokens, userinfo and refresh tokens. */
export function codeModules(suite: () => Suite): void {
  it('oidcc-server', async () => {
    const { tokens } = await suite().signIn({ scope: 'openid profile email' });
    expect(tokens.claims.sub).to.equal(suite().person.user.id);
    expect(tokens.answer.headers.get('content-type')).to.match(/^application\/json/);
    expect((await suite().client.userinfo(tokens.accessToken)).json.sub).to.equal(tokens.claims.sub);
  });

  it('oidcc-idtoken-signature', async () => {
    const { tokens } = await suite().signIn();
    const [header, payload, signature = ''] = tokens.idToken.split('.');
    const damaged = `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    let failed: unknown;
    await suite()
      .client.verify(damaged)
      .catch((error: unknown) => {
        failed = error;
      });
    expect(failed, 'control').to.be.instanceOf(Error);
    const { keys } = await suite().client.jwks();
    const { kid } = JSON.parse(Buffer.from(header ?? '', 'base64url').toString()) as { kid: string };
    expect(keys.filter(key => key.kid === kid)).to.have.length(1);
    expect(keys.find(key => key.kid === kid)).to.include({ kty: 'RSA', use: 'sig', alg: 'RS256' });
  });

  it('oidcc-idtoken-unsigned', async () => {
    const discovery = await suite().client.call('/.well-known/openid-configuration');
    expect(discovery.json.id_token_signing_alg_values_supported).to.not.include('none');
    const { database, keys, nodeId, config } = await suite().cluster.operator();
    let refused: unknown;
    await createClient(
      { database, nodeId, config, hasher: keys.hasher },
      {
        name: 'unsigned',
        resources: [],
        redirectUris: [REDIRECT_URI],
        idTokenSignedResponseAlg: 'none' as SigningAlgorithm,
      },
      OPERATOR,
    ).catch((error: unknown) => {
      refused = error;
    });
    expect(isAppError(refused, 'invalid_request'), String(refused)).to.equal(true);
  });

  it('oidcc-userinfo-get', async () => {
    const { tokens } = await suite().signIn({ scope: 'openid email' });
    const { status, headers, json } = await suite().client.userinfo(tokens.accessToken);
    expect(status).to.equal(200);
    expect(headers.get('content-type')).to.match(/^application\/json/);
    expect(json).to.include({ sub: tokens.claims.sub, email: suite().person.email });
  });

  it('oidcc-userinfo-post-header', async () => {
    const { tokens } = await suite().signIn();
    const { status, json } = await suite().client.userinfo(tokens.accessToken, 'POST');
    expect(status).to.equal(200);
    expect(json.sub).to.equal(tokens.claims.sub);
  });

  it('oidcc-userinfo-post-body', async () => {
    const { tokens } = await suite().signIn();
    const { status, json } = await suite().client.call('/oauth2/userinfo', {
      form: { access_token: tokens.accessToken },
    });
    expect(status).to.equal(200);
    expect(json.sub).to.equal(tokens.claims.sub);
  });

  /** RFC 6749 §4.1.2: the second use is refused, and what the first one brought dies. */
  async function useTwice(secondsBetween: number): Promise<void> {
    const { client, person } = suite();
    const browser = suite().browser();
    const attempt = suite().attempt();
    const landing = await signIn(browser, attempt.url, person);
    const { code } = client.response(attempt, landing);
    const tokens = await client.tokenSet(await client.redeem(attempt, code), attempt);
    if (secondsBetween > 0) await suite().moveBy(secondsBetween);
    expect((await client.userinfo(tokens.accessToken)).status, 'control').to.equal(200);
    const again = await client.redeem(attempt, code);
    expect(again.status).to.equal(400);
    expect(again.json.error).to.equal('invalid_grant');
    expect((await client.userinfo(tokens.accessToken)).status).to.equal(401);
  }

  it('oidcc-codereuse', () => useTwice(0));

  it('oidcc-codereuse-30seconds', () => useTwice(30));

  it('oidcc-server-client-secret-post', async () => {
    const client = await seedWebClient(suite().cluster, {
      authMethod: 'client_secret_post',
      requirePkce: false,
    });
    const { tokens } = await suite().signIn({}, { client });
    expect((await client.userinfo(tokens.accessToken)).json.sub).to.equal(tokens.claims.sub);
  });

  it('oidcc-refresh-token', async () => {
    const { client, otherClient } = suite();
    const { attempt, tokens } = await suite().signIn({ scope: 'openid offline_access', prompt: 'consent' });
    expect(tokens.refreshToken).to.be.a('string');
    const refreshed = await client.refresh(tokens.refreshToken);
    expect(refreshed.status, refreshed.text).to.equal(200);
    expect(refreshed.json.access_token).to.not.equal(tokens.accessToken);
    // OpenID Connect Core §12.2: the same subject and audience; a nonce, if there is one, is the old one.
    const { nonce } = attempt.parameters;
    const idToken = refreshed.json.id_token;
    if (idToken !== undefined) {
      const header = JSON.parse(Buffer.from(String(idToken).split('.')[1] ?? '', 'base64url').toString());
      const claims = await client.verify(String(idToken), {
        nonce: header.nonce === undefined ? undefined : nonce,
      });
      expect(claims.sub).to.equal(tokens.claims.sub);
      expect(claims.iat).to.be.at.least(Number(tokens.claims.iat));
      expect(claims.auth_time).to.equal(tokens.claims.auth_time);
    }
    const next = String(refreshed.json.refresh_token ?? tokens.refreshToken);
    const stolen = await otherClient.refresh(next);
    expect(stolen.status, "another client's refresh token").to.equal(400);
    expect(stolen.json.error).to.equal('invalid_grant');
  });

  it('oidcc-ensure-request-with-valid-pkce-succeeds', async () => {
    const { client } = suite();
    const verifier = 'a-verifier-of-more-than-forty-three-characters-0123456789';
    const pkce = { code_challenge: s256(verifier), code_challenge_method: 'S256' };
    const browser = suite().browser();
    const attempt = suite().attempt(pkce);
    const { code } = client.response(attempt, await signIn(browser, attempt.url, suite().person));
    const answer = await client.redeem(attempt, code, { code_verifier: verifier });
    await client.tokenSet(answer, attempt);
    // RFC 7636 §4.6: what was asked with a challenge is not answered without its verifier.
    const second = suite().attempt(pkce);
    const { code: other } = client.response(second, await signIn(browser, second.url, suite().person));
    const refused = await client.redeem(second, other, { code_verifier: `${verifier}x` });
    expect(refused.json.error).to.equal('invalid_grant');
  });
}
