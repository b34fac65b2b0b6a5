import { createHash, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import { type FormBrowser, type Landing, roundRobin } from './form-browser.js';
import { type Answer, answerOf, ISSUER } from './nodes.js';

export const REDIRECT_URI = 'https://client.example.test/callback';
export const CLIENT_ORIGIN = new URL(REDIRECT_URI).origin;
export const LOGGED_OUT_URI = 'https://client.example.test/logged-out';

export interface RegisteredClient {
  readonly clientId: string;
  /** Absent for a public client. */
  readonly clientSecret?: string | undefined;
  readonly redirectUri: string;
  readonly authMethod: 'client_secret_basic' | 'client_secret_post' | 'none';
  readonly requiresPkce: boolean;
}

/** One authorization request, and what the client keeps to recognise its answer. */
export interface Attempt {
  readonly url: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly codeVerifier: string | undefined;
}

export interface TokenSet {
  readonly accessToken: string;
  readonly idToken: string;
  readonly refreshToken: string | undefined;
  readonly claims: JWTPayload;
  readonly answer: Answer;
}

/** Undefined takes a parameter away that would otherwise be sent. */
export type Parameters = Readonly<Record<string, string | undefined>>;

export function s256(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}

export function givenOnly(parameters: Parameters): Record<string, string> {
  return Object.fromEntries(
    Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** A client as the specifications want it: it believes nothing that it has not checked. Each request may meet another node. */
export class RelyingParty {
  readonly client: RegisteredClient;
  readonly #pick: () => string;
  readonly #issuer: string;

  constructor(
    nodes: readonly { readonly port: number }[],
    client: RegisteredClient,
    issuer: string = ISSUER,
  ) {
    this.client = client;
    this.#pick = roundRobin(nodes);
    this.#issuer = issuer;
  }

  /** An authorization request with scope openid, state, nonce and, where the client has to, PKCE. */
  attempt(more: Parameters = {}): Attempt {
    const { clientId, redirectUri, requiresPkce } = this.client;
    const codeVerifier = requiresPkce ? randomBytes(32).toString('base64url') : undefined;
    const parameters = givenOnly({
      client_id: clientId,
      response_type: 'code',
      redirect_uri: redirectUri,
      scope: 'openid',
      state: randomBytes(16).toString('base64url'),
      nonce: randomBytes(16).toString('base64url'),
      ...(codeVerifier === undefined
        ? {}
        : { code_challenge: s256(codeVerifier), code_challenge_method: 'S256' }),
      ...more,
    });
    const url = `${this.#issuer}/oauth2/authorize?${new URLSearchParams(parameters)}`;
    return { url, parameters, codeVerifier };
  }

  /** The parameters of the answer, checked (RFC 6749 §4.1.2, RFC 9207 §2.4). */
  response({ parameters }: Attempt, { departure }: Landing): Readonly<Record<string, string>> {
    if (departure === undefined) throw new Error('the browser was not sent back to the client');
    const { method, uri } = departure;
    expect(uri, 'redirect URI').to.equal(parameters.redirect_uri);
    expect(method).to.equal(parameters.response_mode === 'form_post' ? 'POST' : 'GET');
    expect(departure.parameters.state, 'state').to.equal(parameters.state);
    expect(departure.parameters.iss, 'iss').to.equal(this.#issuer);
    return departure.parameters;
  }

  async call(
    path: string,
    init: {
      readonly method?: 'GET' | 'POST';
      readonly form?: Parameters;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<Answer> {
    const { form, headers = {} } = init;
    const method = init.method ?? (form === undefined ? 'GET' : 'POST');
    const body = form === undefined ? {} : { body: new URLSearchParams(givenOnly(form)) };
    return answerOf(await fetch(`${this.#pick()}${path}`, { method, headers: { ...headers }, ...body }));
  }

  /** A request of the client itself, authenticated as it has registered. */
  async ask(path: string, form: Parameters, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const { clientId, clientSecret = '', authMethod } = this.client;
    if (authMethod === 'client_secret_basic') {
      const authorization = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`;
      return this.call(path, { form, headers: { authorization, ...headers } });
    }
    const secret = authMethod === 'none' ? {} : { client_secret: clientSecret };
    return this.call(path, { form: { client_id: clientId, ...secret, ...form }, headers });
  }

  async redeem(attempt: Attempt, code: string | undefined, more: Parameters = {}): Promise<Answer> {
    return this.ask('/oauth2/token', {
      grant_type: 'authorization_code',
      code,
      redirect_uri: attempt.parameters.redirect_uri,
      code_verifier: attempt.codeVerifier,
      ...more,
    });
  }

  async refresh(refreshToken: string | undefined, more: Parameters = {}): Promise<Answer> {
    return this.ask('/oauth2/token', { grant_type: 'refresh_token', refresh_token: refreshToken, ...more });
  }

  /** The tokens for the code that the browser brought, each part of them checked. */
  async tokens(attempt: Attempt, landing: Landing): Promise<TokenSet> {
    const { code, error, error_description } = this.response(attempt, landing);
    if (code === undefined) throw new Error(`no code but ${error}: ${error_description}`);
    return this.tokenSet(await this.redeem(attempt, code), attempt);
  }

  async tokenSet(answer: Answer, { parameters }: Pick<Attempt, 'parameters'>): Promise<TokenSet> {
    const { status, headers, json, text } = answer;
    if (status !== 200) throw new Error(`${status} ${text}`);
    // RFC 6749 §5.1
    expect(headers.get('cache-control')).to.equal('no-store');
    expect(String(json.token_type).toLowerCase()).to.equal('bearer');
    expect(json.expires_in).to.be.a('number').above(0);
    const idToken = String(json.id_token);
    const claims = await this.verify(idToken, { nonce: parameters.nonce });
    return {
      accessToken: String(json.access_token),
      idToken,
      refreshToken: typeof json.refresh_token === 'string' ? json.refresh_token : undefined,
      claims,
      answer,
    };
  }

  async jwks(): Promise<JSONWebKeySet> {
    return (await this.call('/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
  }

  /** OpenID Connect Core §3.1.3.7, with the JWKS as it is now. */
  async verify(idToken: string, { nonce, typ }: { nonce?: string | undefined; typ?: string } = {}) {
    const { payload, protectedHeader } = await jwtVerify(idToken, createLocalJWKSet(await this.jwks()), {
      issuer: this.#issuer,
      audience: this.client.clientId,
      algorithms: ['RS256'],
      requiredClaims: ['sub', 'iat', ...(typ === undefined ? ['exp'] : [])],
      ...(typ === undefined ? {} : { typ }),
    });
    expect(protectedHeader.kid, 'kid').to.be.a('string').that.is.not.empty;
    expect(payload.aud).to.equal(this.client.clientId);
    expect(payload.nonce, 'nonce').to.equal(nonce);
    return payload;
  }

  async userinfo(accessToken: string, method: 'GET' | 'POST' = 'GET'): Promise<Answer> {
    return this.call('/oauth2/userinfo', { method, headers: { authorization: `Bearer ${accessToken}` } });
  }

  /** A link of the client to the end-session endpoint. */
  async signOut(browser: FormBrowser, parameters: Parameters): Promise<Landing> {
    const query = new URLSearchParams(givenOnly(parameters)).toString();
    return browser.get(`/oauth2/logout${query === '' ? '' : `?${query}`}`, { from: CLIENT_ORIGIN });
  }
}
