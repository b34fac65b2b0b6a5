import { expect } from 'chai';
import { walk } from '../../support/people.js';
import { type Attempt, CLIENT_ORIGIN, s256 } from '../../support/relying-party.js';
import type { Suite } from './topologies.js';

function unsigned(payload: Readonly<Record<string, unknown>>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(payload)}.`;
}

/** Requests that are odd, incomplete, or come another way. */
export function requestModules(suite: () => Suite): void {
  it('oidcc-response-type-missing', async () => {
    const { client } = suite();
    const attempt = suite().attempt({ response_type: undefined });
    const landing = await suite().browser().get(attempt.url, { from: CLIENT_ORIGIN });
    // RFC 6749 §4.1.2.1: either at the client, or on a page of ours, and never a code.
    if (landing.departure === undefined) expect(landing.status).to.equal(400);
    else {
      const response = client.response(attempt, landing);
      expect(response.error).to.be.oneOf(['invalid_request', 'unsupported_response_type']);
      expect(response).to.not.have.property('code');
    }
  });

  it('oidcc-ensure-request-without-nonce-succeeds-for-code-flow', async () => {
    const { tokens } = await suite().signIn({ nonce: undefined });
    expect(tokens.claims).to.not.have.property('nonce');
  });

  it('oidcc-ensure-request-with-unknown-parameter-succeeds', async () => {
    await suite().signIn({ extra: 'foobar' });
  });

  it('oidcc-ensure-registered-redirect-uri', async () => {
    const foreign = 'https://client.example.test/callback/unregistered';
    const browser = suite().browser();
    const attempt = suite().attempt({ redirect_uri: foreign });
    const landing = await browser.get(attempt.url, { from: CLIENT_ORIGIN });
    expect(landing.departure).to.equal(undefined);
    expect(landing.status).to.equal(400);
    expect(landing.root.querySelector('h1')?.textContent).to.not.be.oneOf([undefined, '']);
    expect(landing.text).to.not.contain(foreign);
  });

  it('oidcc-ensure-post-request-succeeds', async () => {
    const { client, person } = suite();
    const browser = suite().browser();
    const attempt = suite().attempt();
    await browser.post('/oauth2/authorize', attempt.parameters, { from: CLIENT_ORIGIN });
    const tokens = await client.tokens(attempt, await walk(browser, person));
    expect(tokens.claims.sub).to.equal(person.user.id);
  });

  /** Either the request means what the object says, or it is refused by one of `errors`. */
  async function expectKnownOrRefused(attempt: Attempt, asked: Attempt, errors: readonly string[]) {
    const { client, person } = suite();
    const browser = suite().browser();
    const landing = await browser.get(attempt.url, { from: CLIENT_ORIGIN });
    if (landing.departure === undefined && landing.status === 400) {
      const shown = landing.root.querySelector('details code')?.textContent;
      expect(shown, browser.describe()).to.be.oneOf([...errors]);
      return;
    }
    if (landing.departure?.parameters.error !== undefined) {
      expect(landing.departure.parameters.error).to.be.oneOf([...errors]);
      expect(landing.departure.parameters).to.not.have.property('code');
      return;
    }
    await client.tokens(asked, await walk(browser, person));
  }

  function objectOf(asked: Attempt): string {
    const { client_id: clientId } = asked.parameters;
    return unsigned({ ...asked.parameters, iss: clientId, aud: suite().cluster.config.issuer });
  }

  it('oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported', async () => {
    const asked = suite().attempt();
    const requestUri = `${CLIENT_ORIGIN}/request.jwt#${s256(objectOf(asked))}`;
    const attempt = suite().attempt({ ...asked.parameters, request_uri: requestUri });
    await expectKnownOrRefused(attempt, asked, ['request_uri_not_supported', 'invalid_request_uri']);
  });

  it('oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported', async () => {
    const asked = suite().attempt();
    const attempt = suite().attempt({ ...asked.parameters, request: objectOf(asked), nonce: undefined });
    await expectKnownOrRefused(attempt, asked, ['request_not_supported', 'invalid_request_object']);
  });

  it('oidcc-ensure-request-object-with-redirect-uri', async () => {
    const asked = suite().attempt();
    const attempt = suite().attempt({
      ...asked.parameters,
      request: objectOf(asked),
      redirect_uri: `${CLIENT_ORIGIN}/another`,
    });
    await expectKnownOrRefused(attempt, asked, [
      'request_not_supported',
      'invalid_request_object',
      'invalid_redirect_uri',
    ]);
  });
}
