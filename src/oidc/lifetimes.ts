import type { Client, Configuration } from 'oidc-provider';
import type { Config } from '../config/config.js';
import type { RecordOf } from './client-adapter.js';

/** Seconds. RFC 9700 §2.1.1 and FAPI 2.0: a code lives for as long as a redirect takes. */
const CODE_FOR = 60;
const PUSHED_REQUEST_FOR = 60;
/** Long enough to find the phone with the second factor, or the mail with the link. */
const INTERACTION_FOR = 3600;
const DEVICE_CODE_FOR = 600;
const BACKCHANNEL_REQUEST_FOR = 300;
export const ID_TOKEN_FOR = 600;

function nowInSeconds(databaseNow: () => number): number {
  return Math.floor(databaseNow() / 1000);
}

/** Seconds that a session lives when it is used now, at least one. @param now seconds, as `loginTs` */
export function sessionLifetime(
  sessions: Config['sessions'],
  loginTs: number | undefined,
  now: number,
): number {
  const age = loginTs === undefined ? 0 : now - loginTs;
  return Math.max(1, Math.min(sessions.idleAfter, sessions.endAfter - age));
}

/** How long each thing lives; all in seconds, all at least one. */
export function lifetimes(
  config: Pick<Config, 'tokens' | 'refreshTokens' | 'sessions'>,
  recordOf: RecordOf,
  databaseNow: () => number,
): NonNullable<Configuration['ttl']> {
  const { refreshTokens, sessions, tokens } = config;
  const refreshLifetime = (client: Client) => {
    const record = recordOf(client);
    return {
      idleAfter: Math.min(record.refreshTokenIdleAfter ?? refreshTokens.idleAfter, refreshTokens.idleAfter),
      endAfter: Math.min(record.refreshTokenEndAfter ?? refreshTokens.endAfter, refreshTokens.endAfter),
    };
  };
  return {
    ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? tokens.accessTokenFor,
    AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? tokens.accessTokenFor,
    AuthorizationCode: CODE_FOR,
    PushedAuthorizationRequest: PUSHED_REQUEST_FOR,
    IdToken: ID_TOKEN_FOR,
    DeviceCode: DEVICE_CODE_FOR,
    BackchannelAuthenticationRequest: (ctx, _request, _client) => {
      const asked = Number(ctx?.oidc.params?.requested_expiry ?? BACKCHANNEL_REQUEST_FOR);
      return Math.min(asked, BACKCHANNEL_REQUEST_FOR);
    },
    Interaction: INTERACTION_FOR,
    // As long as anything of it can be refreshed.
    Grant: Math.max(refreshTokens.endAfter, sessions.endAfter),
    // Idle expiry is the token's own; the absolute one counts from the first of its family.
    RefreshToken: (_ctx, token, client) => {
      const { idleAfter, endAfter } = refreshLifetime(client);
      const age = token.iiat === undefined ? 0 : nowInSeconds(databaseNow) - token.iiat;
      return Math.max(1, Math.min(idleAfter, endAfter - age));
    },
    Session: (_ctx, session) => sessionLifetime(sessions, session.loginTs, nowInSeconds(databaseNow)),
  };
}
