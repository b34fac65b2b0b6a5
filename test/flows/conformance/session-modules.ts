import { expect } from 'chai';
import { CLIENT_ORIGIN } from '../../support/relying-party.js';
import type { SignedIn, Suite } from './topologies.js';

const PASSWORD_FIELD = 'input[name="password"]';

/** Who is asked to sign in, and when (OpenID Connect Core §3.1.2). */
export function sessionModules(suite: () => Suite): void {
  /** A second request of the same browser, which must not stop at any page. */
  async function silently({ browser }: SignedIn, more: Record<string, string>) {
    const attempt = suite().attempt(more);
    const landing = await browser.get(attempt.url, { from: CLIENT_ORIGIN });
    if (landing.departure === undefined) throw new Error(`somebody is asked: ${browser.describe()}`);
    return suite().client.tokens(attempt, landing);
  }

  /** A second request of the same browser, which must ask for the password although there is a session. */
  async function asked({ browser }: SignedIn, more: Record<string, string>) {
    const attempt = suite().attempt(more);
    await browser.get(attempt.url, { from: CLIENT_ORIGIN });
    expect(browser.has(PASSWORD_FIELD), browser.describe()).to.equal(true);
    return suite().client.tokens(attempt, await suite().walk(browser, attempt, false));
  }

  it('oidcc-prompt-login', async () => {
    const first = await suite().signIn({ max_age: '15000' });
    await suite().moveBy(1);
    const second = await asked(first, { prompt: 'login', max_age: '15000' });
    expect(second.claims.sub).to.equal(first.tokens.claims.sub);
    expect(second.claims.auth_time).to.be.above(Number(first.tokens.claims.auth_time));
  });

  it('oidcc-prompt-none-not-logged-in', async () => {
    const { client } = suite();
    const attempt = suite().attempt({ prompt: 'none' });
    const response = client.response(
      attempt,
      await suite().browser().get(attempt.url, { from: CLIENT_ORIGIN }),
    );
    expect(response.error).to.equal('login_required');
    expect(response).to.not.have.property('code');
  });

  it('oidcc-prompt-none-logged-in', async () => {
    const first = await suite().signIn({ max_age: '15000' });
    const second = await silently(first, { prompt: 'none', max_age: '15000' });
    expect(second.claims.sub).to.equal(first.tokens.claims.sub);
    expect(second.claims.auth_time).to.equal(first.tokens.claims.auth_time);
  });

  it('oidcc-max-age-1', async () => {
    const first = await suite().signIn({ max_age: '15000' });
    await suite().moveBy(2);
    const second = await asked(first, { max_age: '1' });
    expect(second.claims.sub).to.equal(first.tokens.claims.sub);
    expect(second.claims.auth_time).to.be.a('number').above(Number(first.tokens.claims.auth_time));
  });

  it('oidcc-max-age-10000', async () => {
    const first = await suite().signIn({ max_age: '10000' });
    expect(first.tokens.claims.auth_time).to.be.a('number');
    const second = await silently(first, { max_age: '10000' });
    expect(second.claims.sub).to.equal(first.tokens.claims.sub);
    expect(second.claims.auth_time).to.equal(first.tokens.claims.auth_time);
  });

  it('oidcc-id-token-hint', async () => {
    const first = await suite().signIn();
    const second = await silently(first, { prompt: 'none', id_token_hint: first.tokens.idToken });
    expect(second.claims.sub).to.equal(first.tokens.claims.sub);
  });

  it('oidcc-login-hint', async () => {
    const { person, client } = suite();
    const visitor = suite().browser();
    const attempt = suite().attempt({ login_hint: person.email });
    await visitor.get(attempt.url, { from: CLIENT_ORIGIN });
    const field = visitor.landing.root.querySelector('input[name="email"]');
    expect(field?.getAttribute('value')).to.equal(person.email);
    await client.tokens(attempt, await suite().walk(visitor, attempt, false));
  });

  for (const display of ['page', 'popup']) {
    it(`oidcc-display-${display}`, async () => {
      await suite().signIn({ display });
    });
  }

  it('oidcc-ui-locales', async () => {
    const visitor = suite().browser();
    const attempt = suite().attempt({ ui_locales: 'se de' });
    await visitor.get(attempt.url, { from: CLIENT_ORIGIN });
    // The first that there is, although the browser says English.
    expect(visitor.landing.root.querySelector('html')?.getAttribute('lang')).to.equal('de');
    await suite().client.tokens(attempt, await suite().walk(visitor, attempt, false));
  });

  it('oidcc-ensure-request-with-acr-values-succeeds', async () => {
    const { tokens } = await suite().signIn({ acr_values: 'urn:claviger:acr:1 2' });
    expect(tokens.claims.acr).to.equal('urn:claviger:acr:1');
    // A voluntary claim (OpenID Connect Core §5.5.1.1): values that nobody knows end no sign-in.
    await suite().signIn({ acr_values: '1 2' });
  });
}
