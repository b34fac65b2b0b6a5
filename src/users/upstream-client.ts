import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  calculatePKCECodeChallenge,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client';
import type { Clock } from '../clock.js';
import type { UpstreamProvider } from '../config/federation-file.js';
import { AppError } from '../errors.js';
import type { GuardedFetch } from '../outbound/guarded-fetch.js';
import type { IdentityKey } from './federated-identity-store.js';

/** What must come back unchanged with the browser that began: kept sealed beside its interaction, used once. */
export interface UpstreamState {
  readonly providerId: string;
  readonly redirectUri: string;
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

/** What another provider vouches for. */
export interface UpstreamIdentity extends IdentityKey {
  readonly email: string | undefined;
  readonly emailVerified: boolean;
  readonly name: string | undefined;
  /** Milliseconds: when the person proved who they are, if the provider says. */
  readonly authenticatedAt?: number;
}

/** Seconds. A provider that moves an endpoint keeps the old one at least this long. */
const DISCOVERED_FOR = 3600;
/** Seconds; the guarded fetch itself gives up after five. */
const TIMEOUT = 6;
/** OpenID Connect Core §2: at most 255 ASCII characters. */
const SUBJECT = /^[\x20-\x7E]{1,255}$/;
const LONGEST_NAME = 200;

interface Discovered {
  readonly configuration: Promise<Configuration>;
  readonly at: number;
}

function textOf(value: unknown, longest: number): string | undefined {
  return typeof value === 'string' && value.length > 0 && value.length <= longest ? value : undefined;
}

/** Never the cause itself: what the library attaches may hold claims of a person, or a whole answer. */
function detailOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? `; ${error.cause.message}` : '';
  if (!(error instanceof Error)) return 'unknown';
  const code = 'code' in error ? `${String(error.code)}: ` : '';
  const refusal = 'error' in error ? ` (${String(error.error).slice(0, 100)})` : '';
  return `${code}${error.message}${refusal}${inner}`;
}

/** OpenID Connect sign-in with one other provider, as its client. */
export class UpstreamClient {
  readonly provider: UpstreamProvider;
  readonly #fetch: GuardedFetch;
  readonly #clock: Clock;
  #discovered: Discovered | undefined;

  constructor(provider: UpstreamProvider, fetch: GuardedFetch, clock: Clock) {
    this.provider = provider;
    this.#fetch = fetch;
    this.#clock = clock;
  }

  /**
   * @param redirectUri one for each provider, so that an answer can be told from another provider's (RFC 9700 §4.4).
   * @param mustProve whether the person has to prove anew who they are; a session at the provider does not do.
   * @throws AppError `not_ready` when the provider cannot be reached.
   */
  async begin(
    redirectUri: string,
    mustProve = false,
  ): Promise<{ readonly url: string; readonly state: UpstreamState }> {
    const configuration = await this.#configuration();
    const state: UpstreamState = {
      providerId: this.provider.id,
      redirectUri,
      state: randomState(),
      nonce: randomNonce(),
      codeVerifier: randomPKCECodeVerifier(),
    };
    const url = this.#authorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: this.provider.scopes.join(' '),
      state: state.state,
      nonce: state.nonce,
      code_challenge: await calculatePKCECodeChallenge(state.codeVerifier),
      code_challenge_method: 'S256',
      // OpenID Connect Core §3.1.2.1
      ...(mustProve ? { prompt: 'login', max_age: '0' } : {}),
    });
    return { url: url.href, state };
  }

  /**
   * Checks the answer whole: state, `iss` (RFC 9207), PKCE, and the ID token's signature, issuer, audience, nonce and
   * times.
   *
   * @param currentUrl where the browser came back; only its query counts.
   * @throws AppError `invalid_request`, whatever was wrong with it; `not_ready` when the provider cannot be reached.
   */
  async finish(state: UpstreamState, currentUrl: URL): Promise<UpstreamIdentity> {
    const configuration = await this.#configuration();
    // From what we asked for, not from the Host header of the request.
    const answer = new URL(state.redirectUri);
    answer.search = currentUrl.search;
    try {
      const tokens = await authorizationCodeGrant(configuration, answer, {
        expectedState: state.state,
        expectedNonce: state.nonce,
        pkceCodeVerifier: state.codeVerifier,
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      if (claims === undefined || !SUBJECT.test(claims.sub)) throw new Error('no usable subject');
      const isWhole = claims.email !== undefined || !configuration.serverMetadata().userinfo_endpoint;
      // Many providers put the address only there (OpenID Connect Core §5.4). Its subject must be the same (§5.3.2).
      const told = isWhole ? claims : await fetchUserInfo(configuration, tokens.access_token, claims.sub);
      const email = textOf(told.email, 254);
      return {
        provider: this.provider.id,
        subject: claims.sub,
        email,
        // The boolean and nothing like it: a provider that says "false" as text must not be believed.
        emailVerified: email !== undefined && told.email_verified === true,
        name: textOf(told.name ?? claims.name, LONGEST_NAME),
        // Of the ID token, which is signed.
        ...(typeof claims.auth_time === 'number' ? { authenticatedAt: claims.auth_time * 1000 } : {}),
      };
    } catch (error) {
      throw new AppError('invalid_request', 'Signing in with that provider did not work. Start again.', {
        detail: `${this.provider.id}: ${detailOf(error)}`,
      });
    }
  }

  /** Browsers are sent there: no `javascript:` or other scheme out of a foreign document. */
  #authorizationUrl(configuration: Configuration, parameters: Record<string, string>): URL {
    const { authorization_endpoint: endpoint = '' } = configuration.serverMetadata();
    const expected = this.provider.issuer.startsWith('http:') ? /^https?:\/\// : /^https:\/\//;
    if (!expected.test(endpoint)) throw this.#unreachable('the authorization endpoint is not https');
    return buildAuthorizationUrl(configuration, parameters);
  }

  async #configuration(): Promise<Configuration> {
    const now = this.#clock.monotonic();
    if (this.#discovered === undefined || now - this.#discovered.at > DISCOVERED_FOR * 1000) {
      this.#discovered = { configuration: this.#discover(), at: now };
    }
    const current = this.#discovered;
    try {
      return await current.configuration;
    } catch (error) {
      // A failure is not kept: the next person may find it mended.
      if (this.#discovered === current) this.#discovered = undefined;
      throw this.#unreachable(detailOf(error));
    }
  }

  async #discover(): Promise<Configuration> {
    const { issuer, clientId, clientSecret } = this.provider;
    // http only where the configuration says http, which it may in development.
    const insecure = issuer.startsWith('http:') ? [allowInsecureRequests] : [];
    const found = await discovery(new URL(issuer), clientId, undefined, undefined, {
      [customFetch]: this.#fetch,
      timeout: TIMEOUT,
      execute: insecure,
    });
    const server = found.serverMetadata();
    const methods = server.token_endpoint_auth_methods_supported;
    // OpenID Connect Discovery 1.0 §3: client_secret_basic when nothing is said.
    const takesBasic = methods === undefined || methods.includes('client_secret_basic');
    const secret = clientSecret.reveal();
    const authentication = takesBasic ? ClientSecretBasic(secret) : ClientSecretPost(secret);
    const configuration = new Configuration(server, clientId, undefined, authentication);
    configuration[customFetch] = this.#fetch;
    configuration.timeout = TIMEOUT;
    // The ID token's signature too, although it comes over TLS: development may have none.
    for (const adjust of [...insecure, enableNonRepudiationChecks]) adjust(configuration);
    return configuration;
  }

  #unreachable(detail: string): AppError {
    return new AppError('not_ready', 'That provider cannot be reached at the moment. Try again later.', {
      detail: `${this.provider.id}: ${detail}`,
    });
  }
}
