import { type AliveTokens, tokensAliveOf } from '../audit/issued-token-log.js';
import type { Config } from '../config/config.js';
import type { Database } from '../database/connect.js';
import { isDatabaseFailure } from '../database/failures.js';
import type { DataKeys } from '../database/installation.js';
import type { JwksFetch } from '../keys/jwks-fetch.js';
import { after, type KeyPolicy } from '../keys/key-policy.js';
import { revokePlan } from '../keys/key-schedule.js';
import { requireKey } from '../keys/key-state.js';
import { damageOf } from '../keys/rotate.js';
import type { Ring, SigningKey } from '../keys/signing-key.js';
import {
  kindOf,
  refusesNewKeyFor,
  refusingKeyPublishedFor,
  VERIFIER_KINDS,
  type VerifierKind,
} from '../keys/verifier-kinds.js';
import { verifierName } from '../keys/verifiers.js';
import { ID_TOKEN_FOR } from './lifetimes.js';

/** Answers are bounded, whatever the database holds. */
const MOST_CLIENTS = 50;
const MOST_VERIFIERS = 50;

const FOREVER = Number.POSITIVE_INFINITY;

function longer(a: number, b: number): number {
  if (a === b) return 0;
  return a > b ? -1 : 1;
}

export interface SeenVerifier {
  readonly name: string;
  readonly kind: VerifierKind;
  readonly lastSeenAt: number;
  /** At most until then it goes on accepting the key; undefined: until somebody restarts it or it meets a new kid. */
  readonly acceptsUntil: number | undefined;
}

/** What revoking a key does, before it is done. */
export interface BlastRadius {
  readonly key: SigningKey;
  readonly activates: SigningKey | undefined;
  readonly announces: boolean;
  /** Undefined when there were too many to count in time. */
  readonly tokens: AliveTokens | undefined;
  /** Those that fetched the JWKS lately, the most stubborn first. */
  readonly verifiers: readonly SeenVerifier[];
  readonly moreVerifiers: number;
  /** Every kind that goes on accepting a removed key, the most stubborn first. */
  readonly kinds: readonly VerifierKind[];
  /** Kinds that may refuse the successor, because it has been published for so short; the most stubborn first. */
  readonly refusing: readonly { readonly kind: VerifierKind; readonly refusesFor: number }[];
  /** Its algorithm signs nothing until a new key has been announced. */
  readonly isLast: boolean;
  /** The private half of the successor cannot be opened: it would be promoted and sign nothing. */
  readonly isSuccessorDamaged: boolean;
}

/**
 * @param seen the ring before the revocation, in which the key is not revoked, and who has fetched the JWKS lately
 */
export async function blastRadius(
  parts: {
    readonly database: Database;
    readonly policy: KeyPolicy;
    readonly config: Config;
    readonly keys: Pick<DataKeys, 'signingKeyEnvelope'>;
  },
  kid: string,
  {
    ring,
    fetches,
    now,
  }: { readonly ring: Ring; readonly fetches: readonly JwksFetch[]; readonly now: number },
): Promise<BlastRadius> {
  const { database, policy, config } = parts;
  const key = requireKey(ring, kid);
  const plan = revokePlan(ring, policy, kid);
  if (plan?.kind !== 'revoke') throw new TypeError(`${kid} is revoked already`);
  const activates = plan.activates === undefined ? undefined : requireKey(ring, plan.activates);
  const publishedFor = activates === undefined ? 0 : (now - activates.announcedAt) / 1000;
  const verifiers = fetches.map((fetch): SeenVerifier => {
    const kind = kindOf(fetch.userAgent);
    const { acceptsRemovedFor } = kind;
    return {
      name: verifierName(fetch),
      kind,
      lastSeenAt: fetch.lastSeenAt,
      acceptsUntil: Number.isFinite(acceptsRemovedFor)
        ? after(fetch.lastSeenAt, acceptsRemovedFor)
        : undefined,
    };
  });
  const believing = verifiers.filter(({ acceptsUntil }) => acceptsUntil === undefined || acceptsUntil > now);
  believing.sort((a, b) => longer(a.acceptsUntil ?? FOREVER, b.acceptsUntil ?? FOREVER));
  return {
    key,
    activates,
    announces: plan.announces,
    tokens: await countTokens(database, config, kid, now),
    verifiers: believing.slice(0, MOST_VERIFIERS),
    moreVerifiers: Math.max(0, believing.length - MOST_VERIFIERS),
    kinds: [...VERIFIER_KINDS].sort((a, b) => longer(a.acceptsRemovedFor, b.acceptsRemovedFor)),
    refusing:
      activates === undefined
        ? []
        : refusingKeyPublishedFor(publishedFor)
            .map(kind => ({ kind, refusesFor: refusesNewKeyFor(kind) - publishedFor }))
            .reverse(),
    isLast: key.state === 'active' && activates === undefined,
    isSuccessorDamaged:
      activates !== undefined && damageOf(activates, parts.keys.signingKeyEnvelope) !== undefined,
  };
}

async function countTokens(
  database: Database,
  { tokens }: Config,
  kid: string,
  now: number,
): Promise<AliveTokens | undefined> {
  try {
    return await tokensAliveOf(database, {
      kid,
      now,
      longestTokenFor: tokens.longestTokenFor,
      idTokenFor: ID_TOKEN_FOR,
      mostClients: MOST_CLIENTS,
    });
  } catch (error) {
    // In an emergency nobody waits for a number: the command goes on without it.
    if (isDatabaseFailure(error)) return undefined;
    throw error;
  }
}
