import { showDuration } from '../config/duration.js';
import { AppError } from '../errors.js';
import { revokeSigningKey } from '../keys/rotate.js';
import type { VerifierKind } from '../keys/verifier-kinds.js';
import { type BlastRadius, blastRadius } from '../oidc/blast-radius.js';
import type { Cli, Consent } from './cli.js';
import { rotationContext, withInstallation } from './context.js';
import { seeRing } from './see-ring.js';
import { instant } from './wire.js';

/** Kinds shown to people; the JSON has all of them. */
const SHOWN_KINDS = 6;
const SHOWN_CLIENTS = 10;
const SHOWN_VERIFIERS = 10;

function seconds(value: number): number | null {
  return Number.isFinite(value) ? Math.ceil(value) : null;
}

function kindJson({ id, name, acceptsRemovedFor }: VerifierKind) {
  return { kind: id, name, accepts_removed_for: seconds(acceptsRemovedFor) };
}

function radiusJson(radius: BlastRadius) {
  const { key, activates, announces, tokens, verifiers, moreVerifiers, kinds, refusing } = radius;
  const counted = tokens?.top.reduce((sum, client) => sum + client.tokens, 0) ?? 0;
  return {
    kid: key.kid,
    alg: key.alg,
    state: key.state,
    activates: activates?.kid ?? null,
    announces,
    stops_signing: radius.isLast || radius.isSuccessorDamaged ? key.alg : null,
    successor_damaged: radius.isSuccessorDamaged,
    tokens:
      tokens === undefined
        ? null
        : {
            at_most: tokens.tokens,
            clients: tokens.clients,
            last_expires_at: instant(tokens.lastExpiresAt),
            by_client: tokens.top.map(({ clientId, tokens: count, lastExpiresAt }) => ({
              client_id: clientId,
              at_most: count,
              last_expires_at: instant(lastExpiresAt),
            })),
            others: { clients: tokens.clients - tokens.top.length, at_most: tokens.tokens - counted },
          },
    verifiers: {
      seen: verifiers.map(({ name, kind, lastSeenAt, acceptsUntil }) => ({
        name,
        kind: kind.id,
        last_seen_at: instant(lastSeenAt),
        accepts_until: instant(acceptsUntil),
      })),
      more: moreVerifiers,
      kinds: kinds.map(kindJson),
    },
    refuses_successor: refusing.map(({ kind, refusesFor }) => ({
      kind: kind.id,
      name: kind.name,
      for: seconds(refusesFor),
    })),
  };
}

function howLong(value: number): string {
  return Number.isFinite(value) ? `up to ${showDuration(Math.ceil(value))}` : 'until it is restarted';
}

function tokenLines({ tokens }: BlastRadius): string[] {
  if (tokens === undefined) return ['Tokens alive: too many to count in time.'];
  if (tokens.tokens === 0) return ['Tokens alive: none.'];
  const shown = tokens.top.slice(0, SHOWN_CLIENTS);
  const rest = tokens.clients - shown.length;
  return [
    `Tokens alive: at most ${tokens.tokens} of ${tokens.clients} client(s), the last until ${instant(tokens.lastExpiresAt)}:`,
    ...shown.map(({ clientId, tokens: count }) => `  ${clientId}  ${count}`),
    ...(rest > 0 ? [`  and ${rest} more client(s)`] : []),
  ];
}

function verifierLines({ verifiers, moreVerifiers, kinds }: BlastRadius): string[] {
  const shown = verifiers.slice(0, SHOWN_VERIFIERS);
  const rest = verifiers.length - shown.length + moreVerifiers;
  const seen = shown.map(({ name, kind, acceptsUntil }) => {
    return `  ${name}: ${kind.name}, ${acceptsUntil === undefined ? 'until it is restarted' : `until ${instant(acceptsUntil)} at most`}`;
  });
  return [
    'Verifiers that check signatures alone go on accepting the key until their cached JWKS ends. Restart those that matter.',
    ...(seen.length === 0 ? ['None has fetched the JWKS lately. By kind:'] : ['Seen lately:', ...seen]),
    ...(rest > 0 ? [`  and ${rest} more`] : []),
    ...(seen.length === 0
      ? kinds
          .slice(0, SHOWN_KINDS)
          .map(({ name, acceptsRemovedFor }) => `  ${name}: ${howLong(acceptsRemovedFor)}`)
      : []),
  ];
}

function effects(radius: BlastRadius): string {
  const { key, activates, refusing, isLast, isSuccessorDamaged } = radius;
  return [
    `${key.kid} (${key.alg}, ${key.state}) leaves the JWKS and signs no more; introspection calls its tokens inactive.`,
    ...(activates === undefined ? [] : [`${activates.kid}, announced before, signs from now on.`]),
    ...(isSuccessorDamaged
      ? [`But ${activates?.kid} cannot be opened, so ${key.alg} would sign nothing: revoke that one first.`]
      : []),
    ...(isLast
      ? [
          `There is no successor: ${key.alg} signs nothing until a new key has been announced in full, or is let sign at once: claviger key rotate --now --alg ${key.alg}`,
        ]
      : []),
    ...(refusing.length === 0 ? [] : ['These may refuse the successor, which is published for so short:']),
    ...refusing.slice(0, SHOWN_KINDS).map(({ kind, refusesFor }) => `  ${kind.name}: ${howLong(refusesFor)}`),
    ...tokenLines(radius),
    ...verifierLines(radius),
  ].join('\n');
}

export async function revokeKey(cli: Cli, kid: string, options: Consent): Promise<void> {
  await withInstallation(cli, async opened => {
    const seen = await seeRing(opened);
    const key = seen.ring.keys.find(each => each.kid === kid);
    if (key === undefined) {
      throw new AppError('not_found', 'There is no such signing key. List their kids: claviger key status');
    }
    if (key.state === 'revoked') {
      const json = { kid, alg: key.alg, state: key.state, activates: null, announces: false, revoked: true };
      cli.output.result(json, () => 'It was revoked before; nothing was changed.');
      return;
    }
    // Counting takes seconds in a large installation. Whoever is sure does not wait for it.
    const isSure = options.yes === true && options.dryRun !== true;
    if (isSure) await revokeSigningKey(rotationContext(opened), kid);
    const radius = await blastRadius({ ...opened, policy: seen.policy }, kid, seen);
    const told = effects(radius);
    if (options.dryRun === true) {
      cli.output.result({ ...radiusJson(radius), revoked: false }, () => told);
      return;
    }
    if (!isSure) {
      await cli.confirm(`${told}\nRevoke it?`, options);
      await revokeSigningKey(rotationContext(opened), kid);
    }
    const json = { ...radiusJson(radius), state: 'revoked', revoked: true };
    cli.output.result(json, () => `Revoked.\n${told}`);
  });
}
