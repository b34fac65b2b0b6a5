import { expect } from 'chai';
import { PROFILE, type Suite } from './topologies.js';

const { phone_number, phone_number_verified, address, ...profile } = PROFILE;
const PHONE = { phone_number, phone_number_verified };

/** What each scope and the claims parameter bring (OpenID Connect Core §5.4, §5.5). */
export function claimModules(suite: () => Suite): void {
  /** Scopes bring their claims at userinfo, nothing else there, and none of them into the ID token. */
  async function expectClaims(scope: string, expected: Readonly<Record<string, unknown>>, more = {}) {
    const { tokens } = await suite().signIn({ scope, ...more });
    const { json } = await suite().client.userinfo(tokens.accessToken);
    const { sub, updated_at: updatedAt, ...claims } = json;
    expect(sub).to.equal(tokens.claims.sub);
    expect(claims).to.deep.equal(expected);
    if (scope.includes('profile')) expect(updatedAt).to.be.a('number');
    for (const name of Object.keys(expected)) expect(tokens.claims).to.not.have.property(name);
  }

  const email = () => ({ email: suite().person.email, email_verified: true });

  it('oidcc-scope-profile', () => expectClaims('openid profile', profile));

  it('oidcc-scope-email', () => expectClaims('openid email', email()));

  it('oidcc-scope-address', () => expectClaims('openid address', { address }));

  it('oidcc-scope-phone', () => expectClaims('openid phone', PHONE));

  it('oidcc-scope-all', () =>
    expectClaims('openid profile email address phone', { ...profile, ...email(), address, ...PHONE }));

  it('oidcc-alternate-happy-flow', async () => {
    // RFC 6749 §3.3: the order of scopes means nothing, and neither does that of parameters.
    const { client } = suite();
    const browser = suite().browser();
    const straight = suite().attempt({ scope: 'email openid' });
    const reversed = new URLSearchParams(Object.entries(straight.parameters).reverse()).toString();
    const attempt = { ...straight, url: `${straight.url.split('?')[0]}?${reversed}` };
    expect(attempt.url).to.not.equal(straight.url);
    const tokens = await client.tokens(attempt, await suite().walk(browser, attempt));
    expect((await client.userinfo(tokens.accessToken)).json).to.include(email());
    expect(tokens.claims).to.not.have.property('email');
  });

  it('oidcc-claims-essential', async () => {
    const claims = JSON.stringify({ userinfo: { name: { essential: true } } });
    const { tokens } = await suite().signIn({ claims });
    const { json } = await suite().client.userinfo(tokens.accessToken);
    expect(json).to.deep.equal({ sub: tokens.claims.sub, name: PROFILE.name });
  });

  it('oidcc-claims-locales', async () => {
    const { tokens } = await suite().signIn({ scope: 'openid profile', claims_locales: 'se' });
    expect((await suite().client.userinfo(tokens.accessToken)).json.name).to.equal(PROFILE.name);
  });
}
