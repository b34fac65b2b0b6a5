import { createLocalJWKSet, jwtVerify } from 'jose';
import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { OwnAccessToken } from './structured-tokens.js';
export function ownTokenVerifier(
  config: Config,
  ring: KeyRing,
  _clock: Clock,
): (token: string) => Promise<OwnAccessToken | undefined> {
  return async token => {
    try {
      const { payload } = await jwtVerify(
        token,
        createLocalJWKSet(JSON.parse(ring.served.published.body.toString())),
        { issuer: config.issuer, typ: 'at+jwt' },
      );
      return payload as unknown as OwnAccessToken;
    } catch {
      return undefined;
    }
  };
}
