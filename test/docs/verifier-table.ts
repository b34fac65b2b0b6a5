import { showDuration } from '../../src/config/duration.js';
import { VERIFIER_KINDS, type VerifierKind } from '../../src/keys/verifier-kinds.js';

function time(seconds: number): string {
  return Number.isFinite(seconds) ? showDuration(seconds) : 'until restarted';
}

function looksAgain({ refetchesOnUnknownKid, cooldownFor, remembersMissFor }: VerifierKind): string {
  if (!refetchesOnUnknownKid) return 'no';
  const cooldown = cooldownFor === 0 ? 'yes' : `yes, after ${showDuration(cooldownFor)}`;
  return remembersMissFor === 0 ? cooldown : `${cooldown}; a miss is kept ${showDuration(remembersMissFor)}`;
}

/** What docs/signing-keys.md says of verifiers, from what the program knows. */
export function verifierTable(): string {
  const rows = VERIFIER_KINDS.map(
    kind =>
      `| ${kind.name} | ${time(kind.cachesFor)} | ${looksAgain(kind)} | ${time(kind.acceptsRemovedFor)} |`,
  );
  return [
    '| verifier | keeps keys | looks again at an unknown `kid` | accepts a revoked key |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n');
}
