import { DAY, HOUR, MINUTE } from '../config/duration.js';

/** How long widespread verifiers, as they come, go without asking for our keys again when they meet a new one. */
export interface VerifierCache {
  readonly verifier: string;
  /** Seconds. */
  readonly cachesFor: number;
}

const WITHOUT_SECOND_LOOK: readonly VerifierCache[] = [
  { verifier: 'jose (createRemoteJWKSet)', cachesFor: 30 },
  { verifier: 'openid-client, oauth4webapi', cachesFor: MINUTE },
  { verifier: 'Azure API Management', cachesFor: 5 * MINUTE },
  { verifier: 'Envoy jwt_authn', cachesFor: 10 * MINUTE },
  { verifier: 'Istio RequestAuthentication', cachesFor: 25 * MINUTE },
  { verifier: 'Nextcloud user_oidc', cachesFor: HOUR },
  { verifier: 'AWS API Gateway (JWT authorizer)', cachesFor: 2 * HOUR },
  { verifier: 'Confluent Cloud', cachesFor: DAY },
];

/** Announced at least this long, a key is known to nearly everybody who will meet it. */
export const WIDELY_KNOWN_AFTER = 25 * MINUTE;

/** Those that may refuse a key which has been published for this many seconds. */
export function cachingLongerThan(publishedFor: number): readonly VerifierCache[] {
  return WITHOUT_SECOND_LOOK.filter(({ cachesFor }) => cachesFor > publishedFor);
}
