import type { Fetcher, JwksFetch } from './jwks-fetch.js';
import { after } from './key-policy.js';
import type { SigningKey } from './signing-key.js';
import { kindOf, type VerifierKind } from './verifier-kinds.js';

/** `client`: proved who it is. `listed`: in one of keys.verifierNetworks. Only these two can hold a promotion. */
export type Standing = 'client' | 'listed' | 'anonymous';

export interface KnownVerifier extends Fetcher {
  readonly standing: Standing;
  readonly kind: VerifierKind;
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
}

export interface MissingVerifier extends KnownVerifier {
  /** When its cache ends; undefined: it looks again only when it meets a token of the key, or at a restart. */
  readonly expectedAt: number | undefined;
}

/** Of one announced key. */
export interface KeyVerifiers {
  /** They have been given the key. */
  readonly seen: readonly KnownVerifier[];
  readonly missing: readonly MissingVerifier[];
}

/** What the settings say of verifiers. */
export interface VerifierPolicy {
  readonly promotion: 'warn' | 'wait-for-verifiers';
  readonly verifierNetworks: readonly string[];
  /** Seconds. */
  readonly verifierSeenWithin: number;
}

/** Seconds for which an anonymous one must have come back before anybody is warned of it: once is a person who looks. */
const REGULAR_AFTER = 3600;

/**
 * Who has fetched the key and who has not, of those seen lately. What was answered with the ring's version at the
 * announcement or a newer one, an unchanged 304 included, contained the key.
 *
 * @param now database clock, milliseconds
 */
export function verifiersOf(
  key: Pick<SigningKey, 'announcedVersion'>,
  fetches: readonly JwksFetch[],
  now: number,
  policy: Omit<VerifierPolicy, 'promotion'>,
): KeyVerifiers {
  const seen: KnownVerifier[] = [];
  const missing: MissingVerifier[] = [];
  for (const fetch of fetches) {
    if (after(fetch.lastSeenAt, policy.verifierSeenWithin) < now) continue;
    const verifier = verifierOf(fetch, policy);
    if (fetch.ringVersion >= key.announcedVersion) seen.push(verifier);
    else missing.push({ ...verifier, expectedAt: expectedAt(verifier) });
  }
  const successors = new Map<string, number>();
  for (const each of seen) {
    const owner = ownerOf(each);
    successors.set(owner, Math.max(each.firstSeenAt, successors.get(owner) ?? 0));
  }
  return { seen, missing: missing.filter(each => !isReplaced(each, successors.get(ownerOf(each)), now)) };
}

/** Whose fetchers stand in for each other: a library that was updated calls itself otherwise from then on. */
function ownerOf({ clientId, listedAs, network, kind }: KnownVerifier): string {
  return JSON.stringify(
    clientId === undefined ? [listedAs ?? null, network, listedAs ?? kind.id] : [clientId],
  );
}

/** It has not come when it should have, or not since its owner's newest fetcher came, and that one has the key. */
function isReplaced(verifier: MissingVerifier, successorSince: number | undefined, now: number): boolean {
  if (successorSince === undefined) return false;
  return successorSince >= verifier.lastSeenAt || (verifier.expectedAt ?? Number.POSITIVE_INFINITY) < now;
}

/** Those a promotion may wait for: the JWKS is anonymous, so anyone else could stall it by asking once. */
export function holding(verifiers: KeyVerifiers): readonly MissingVerifier[] {
  return verifiers.missing.filter(({ standing }) => standing !== 'anonymous');
}

/** Those worth a warning when the key signs without them. */
export function worthTelling(verifiers: KeyVerifiers): readonly MissingVerifier[] {
  return verifiers.missing.filter(
    ({ standing, firstSeenAt, lastSeenAt }) =>
      standing !== 'anonymous' || lastSeenAt - firstSeenAt >= REGULAR_AFTER * 1000,
  );
}

/** `cl_… (jose/v6.2.18, 192.0.2.0/24)`. What a fetcher calls itself stands in it: printable, bounded, not to be believed. */
export function verifierName({ clientId, listedAs, network, userAgent }: Fetcher): string {
  const agent = userAgent === '' ? 'no user agent' : userAgent;
  if (clientId !== undefined) return `${clientId} (${agent}, ${network})`;
  return listedAs === undefined ? `${network} (${agent})` : `${listedAs} (${agent}, ${network})`;
}

function verifierOf(
  fetch: JwksFetch,
  { verifierNetworks }: Omit<VerifierPolicy, 'promotion'>,
): KnownVerifier {
  const { network, userAgent, clientId, listedAs, firstSeenAt, lastSeenAt } = fetch;
  const isListed = listedAs !== undefined && verifierNetworks.includes(listedAs);
  return {
    network,
    userAgent,
    clientId,
    // An entry that has been taken out of the settings since counts no more.
    listedAs: isListed ? listedAs : undefined,
    standing: clientId !== undefined ? 'client' : isListed ? 'listed' : 'anonymous',
    kind: kindOf(userAgent),
    firstSeenAt,
    lastSeenAt,
  };
}

function expectedAt({ kind, lastSeenAt }: KnownVerifier): number | undefined {
  return Number.isFinite(kind.cachesFor) ? after(lastSeenAt, kind.cachesFor) : undefined;
}
