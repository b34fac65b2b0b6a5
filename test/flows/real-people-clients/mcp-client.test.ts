import { randomBytes } from 'node:crypto';
import {
  auth,
  extractWWWAuthenticateParams,
  type OAuthClientProvider,
} from '@modelcontextprotocol/sdk/client/auth.js';
import type { OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js';
import { expect } from 'chai';
import { createRemoteJWKSet, type JWTPayload, jwtVerify } from 'jose';
import type { FormBrowser } from '../../support/form-browser.js';
import { seedPublicClient, signIn } from '../../support/people.js';
import { type Listening, listen, ReachableIssuer } from './reachable-issuer.js';

const REDIRECT_URI = 'http://127.0.0.1:41763/callback';

/** A program on a person's machine that was registered with the issuer beforehand. */
class NativeProgram implements OAuthClientProvider {
  readonly redirectUrl = REDIRECT_URI;
  readonly clientMetadata = { client_name: 'Field notes', redirect_uris: [REDIRECT_URI] };
  readonly #clientId: string;
  readonly #issuer: string;
  #kept: OAuthTokens | undefined;
  #verifier = '';
  #state = '';
  /** Where the person was sent. */
  sentTo: URL | undefined;

  constructor(clientId: string, issuer: string) {
    this.#clientId = clientId;
    this.#issuer = issuer;
  }

  clientInformation() {
    return { client_id: this.#clientId, issuer: this.#issuer };
  }

  state(): string {
    this.#state = randomBytes(16).toString('base64url');
    return this.#state;
  }

  tokens(): OAuthTokens | undefined {
    return this.#kept;
  }

  saveTokens(tokens: OAuthTokens): void {
    this.#kept = tokens;
  }

  redirectToAuthorization(url: URL): void {
    this.sentTo = url;
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }

  codeVerifier(): string {
    return this.#verifier;
  }

  invalidateCredentials(scope: string): void {
    if (scope === 'all' || scope === 'tokens') this.#kept = undefined;
  }

  /** The person, back from the issuer. */
  codeOf(browser: FormBrowser): string {
    const { uri, parameters } = browser.landing.departure ?? {};
    expect(uri, browser.describe()).to.equal(REDIRECT_URI);
    expect(parameters).to.include({ state: this.#state, iss: this.#issuer });
    return parameters?.code ?? '';
  }
}

describe('the OAuth client of @modelcontextprotocol/sdk', () => {
  let house: ReachableIssuer;
  let tools: Listening;
  let resource: string;
  let program: NativeProgram;
  let browser: FormBrowser;

  /** What the resource server finds in a token, which it checks as RFC 9068 §4 says. */
  async function claimsOf(token: string): Promise<JWTPayload> {
    const jwks = createRemoteJWKSet(new URL(`${house.issuer}/.well-known/jwks.json`));
    const options = { issuer: house.issuer, audience: resource, typ: 'at+jwt' };
    return (await jwtVerify(token, jwks, options)).payload;
  }

  before(async () => {
    house = await ReachableIssuer.open();
    tools = await listen((request, response) => {
      // RFC 9728 §3.1: the well-known part stands between the host and the resource's own path.
      if (request.url === '/.well-known/oauth-protected-resource/mcp') {
        response.setHeader('content-type', 'application/json');
        const metadata = { resource, authorization_servers: [house.issuer], scopes_supported: ['tools.use'] };
        response.end(JSON.stringify(metadata));
        return;
      }
      const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
      claimsOf(token).then(
        ({ sub }) => response.end(sub),
        () => {
          const metadata = `${tools.origin}/.well-known/oauth-protected-resource/mcp`;
          response.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${metadata}"` }).end();
        },
      );
    });
    resource = `${tools.origin}/mcp`;
    await house.cluster.resourceServer({ identifier: resource, scopes: ['tools.use', 'tools.admin'] });
  });
  beforeEach(async () => {
    const { client } = await seedPublicClient(house.cluster, {
      applicationType: 'native',
      redirectUris: ['http://127.0.0.1/callback'],
      postLogoutRedirectUris: [],
      oidcScopes: [],
      resources: [{ identifier: resource, scopes: ['tools.use'] }],
      alwaysIssueRefreshToken: true,
    });
    program = new NativeProgram(client.clientId, house.issuer);
    browser = house.browser();
  });
  after(async () => {
    await tools?.close();
    await house?.close();
  });

  /** From the resource server's refusal to tokens. */
  async function authorize(): Promise<void> {
    const refused = await fetch(resource);
    expect(refused.status).to.equal(401);
    const { resourceMetadataUrl } = extractWWWAuthenticateParams(refused);
    if (resourceMetadataUrl === undefined) throw new Error('the refusal does not say where the metadata is');
    const asked = { serverUrl: resource, resourceMetadataUrl };
    expect(await auth(program, asked)).to.equal('REDIRECT');
    await signIn(browser, program.sentTo?.href ?? '', house.person);
    const authorizationCode = program.codeOf(browser);
    expect(await auth(program, { ...asked, authorizationCode })).to.equal('AUTHORIZED');
  }

  it('finds the issuer by the resource server (RFC 9728), signs a person in by PKCE, and is served', async () => {
    await authorize();
    const { searchParams } = program.sentTo ?? new URL(house.issuer);
    expect(Object.fromEntries(searchParams)).to.include({ resource, code_challenge_method: 'S256' });
    const { access_token: token = '', scope } = program.tokens() ?? {};
    expect(scope).to.equal('tools.use');
    expect(await claimsOf(token)).to.include({
      sub: house.person.user.id,
      aud: resource,
      scope: 'tools.use',
    });
    const served = await fetch(resource, { headers: { authorization: `Bearer ${token}` } });
    expect(await served.text()).to.equal(house.person.user.id);
  });

  it('renews its tokens without its person', async () => {
    await authorize();
    const before = program.tokens();
    expect(before?.refresh_token).to.be.a('string');
    expect(await auth(program, { serverUrl: resource })).to.equal('AUTHORIZED');
    const after = program.tokens();
    expect(after?.access_token).to.not.equal(before?.access_token);
    expect(after?.refresh_token).to.be.a('string').that.does.not.equal(before?.refresh_token);
    expect(await claimsOf(after?.access_token ?? '')).to.include({
      sub: house.person.user.id,
      aud: resource,
    });
  });

  it('sends its person to sign in again once its refresh token is worth nothing', async () => {
    await authorize();
    const kept = program.tokens();
    if (kept === undefined) throw new Error('no tokens');
    program.saveTokens({ ...kept, refresh_token: 'worth-nothing' });
    expect(await auth(program, { serverUrl: resource })).to.equal('REDIRECT');
    expect(program.tokens()).to.equal(undefined);
  });
});
