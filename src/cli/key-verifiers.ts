import { showDuration } from '../config/duration.js';
import { isPublished } from '../keys/key-state.js';
import type { SigningKey } from '../keys/signing-key.js';
import {
  type KeyVerifiers,
  type KnownVerifier,
  type MissingVerifier,
  type VerifierPolicy,
  verifierName,
  verifiersOf,
} from '../keys/verifiers.js';
import { shortKid, toTheMinute } from './key-timeline.js';
import type { Output } from './output.js';
import type { SeenRing } from './see-ring.js';
import { instant } from './wire.js';

/** Of each list; the numbers beside them count all. Known verifiers stand first, so it is strangers who are left out. */
const MOST_LISTED = 200;
const MOST_SHOWN = 20;

/** Who has fetched an announced key and who has not; undefined for a key in any other state. */
export function verifiersOfKey(
  key: SigningKey,
  { fetches, now }: SeenRing,
  policy: VerifierPolicy,
): KeyVerifiers | undefined {
  return key.state === 'announced' && isPublished(key) ? verifiersOf(key, fetches, now, policy) : undefined;
}

function verifierJson(verifier: KnownVerifier) {
  return {
    client_id: verifier.clientId ?? null,
    listed_as: verifier.listedAs ?? null,
    network: verifier.network,
    user_agent: verifier.userAgent,
    standing: verifier.standing,
    kind: verifier.kind.id,
    last_seen_at: instant(verifier.lastSeenAt),
  };
}

/** `keys[].verifiers` of `key status --json`. */
export function verifiersJson({ seen, missing }: KeyVerifiers) {
  return {
    seen_count: seen.length,
    missing_count: missing.length,
    seen: seen.slice(0, MOST_LISTED).map(verifierJson),
    missing: missing.slice(0, MOST_LISTED).map(verifier => ({
      ...verifierJson(verifier),
      // null: it looks again when it meets a token of the key, or at a restart.
      expected_at: instant(verifier.expectedAt),
    })),
  };
}

function expectation({ expectedAt }: MissingVerifier, now: number): string {
  if (expectedAt === undefined) return 'at its first token of this key, or its restart';
  return `${expectedAt > now ? 'by' : 'since'} ${toTheMinute(expectedAt)}`;
}

/** A paragraph for people, about one announced key. */
export function verifierLines(
  key: SigningKey,
  verifiers: KeyVerifiers,
  { now }: SeenRing,
  policy: VerifierPolicy,
  output: Pick<Output, 'table'>,
): readonly string[] {
  const { seen, missing } = verifiers;
  const within = showDuration(policy.verifierSeenWithin);
  const counts = `${key.alg} ${shortKid(key.kid)}…: fetched by ${seen.length} of ${seen.length + missing.length} verifiers seen in the last ${within}`;
  if (missing.length === 0) return [counts];
  const rows = missing
    .slice(0, MOST_SHOWN)
    .map(each => [verifierName(each), each.kind.name, toTheMinute(each.lastSeenAt), expectation(each, now)]);
  const table = output.table(['NOT FETCHED BY', 'KIND', 'LAST FETCH (UTC)', 'EXPECTED'], rows);
  const more = missing.length - rows.length;
  return [counts, table, ...(more > 0 ? [`… and ${more} more (--json lists up to ${MOST_LISTED})`] : [])];
}
