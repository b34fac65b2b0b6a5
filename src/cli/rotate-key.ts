import { showDuration } from '../config/duration.js';
import { planRotation, type RotationDecision } from '../keys/key-schedule.js';
import { requireKey } from '../keys/key-state.js';
import { readRing } from '../keys/key-store.js';
import { refuseDamaged, rotateNow } from '../keys/rotate.js';
import { refusesNewKeyFor, refusingKeyPublishedFor, WIDELY_KNOWN_AFTER } from '../keys/verifier-kinds.js';
import type { SigningAlgorithm } from '../protocol.js';
import type { Cli, Consent } from './cli.js';
import { CommandFailed } from './command.js';
import { type Opened, rotationContext, withInstallation } from './context.js';
import { type SeenRing, seeRing } from './see-ring.js';
import { decisionJson, instant } from './wire.js';

export interface RotateOptions extends Consent {
  readonly alg?: SigningAlgorithm;
  readonly now?: boolean;
}

/** One sentence per decision: what happened, or when to ask again. */
function told(decision: RotationDecision, isDone: boolean): string {
  const { alg } = decision;
  switch (decision.outcome) {
    case 'rotates': {
      const kid = 'kid' in decision.transition ? decision.transition.kid : '';
      return isDone ? `${alg}: ${kid} signs from now on.` : `${alg}: ${kid} can sign now.`;
    }
    case 'waits_for_announcement':
      return `${alg}: ${decision.kid} is announced until ${instant(decision.until)} and takes over after that when asked. With --now it can sign from ${instant(decision.nowFrom)} on without risk for caches that obey max-age.`;
    case 'waits_for_nodes':
      return `${alg}: ${decision.kid} is not published yet by ${decision.nodeIds.join(', ')}. Ask again in some seconds; a node that is gone counts for 30 s.`;
    case 'waits_for_verifiers':
      return `${alg}: ${decision.kid} has not been fetched yet by ${decision.verifiers.join(', ')}. It is held back until ${instant(decision.until)} at most; --now does not wait for them.`;
    case 'needs_acceptance':
      return `${alg}: ${decision.kid} was announced a moment ago: until ${instant(decision.safeAt)} caches may lack it. --yes accepts that.`;
    case 'successor_damaged':
      return `${alg}: ${decision.kid} cannot be opened and would sign nothing, so the old key goes on. Revoke it, and another one is announced: claviger key revoke ${decision.kid}`;
    case 'not_in_policy':
      return `${alg} has no signing keys: add it to keys.algorithms.`;
    case 'no_successor':
      return `${alg} has no announced successor yet; a running server announces one by itself.`;
  }
}

/** Who would refuse tokens of a key that was published only a moment ago. */
function risksOf(decision: RotationDecision, { ring, now }: SeenRing): string[] {
  const kid =
    decision.outcome === 'needs_acceptance'
      ? decision.kid
      : decision.outcome === 'rotates' && decision.transition.kind === 'activate'
        ? decision.transition.kid
        : undefined;
  if (kid === undefined) return [];
  const publishedFor = Math.max(0, Math.floor((now - requireKey(ring, kid).announcedAt) / 1000));
  if (publishedFor >= WIDELY_KNOWN_AFTER) return [];
  const losers = refusingKeyPublishedFor(publishedFor).map(kind => {
    const refusesFor = refusesNewKeyFor(kind) - publishedFor;
    const until = Number.isFinite(refusesFor) ? `up to ${showDuration(refusesFor)}` : 'until somebody acts';
    return `  ${kind.name}: ${until}`;
  });
  return [
    `${decision.alg}: ${kid} has been published for ${showDuration(publishedFor)} only. Verifiers that cached the JWKS before and do not look again refuse its tokens:`,
    ...losers,
  ];
}

function asked(
  options: RotateOptions,
  seen: SeenRing,
  { keys }: Pick<Opened, 'keys'>,
): readonly RotationDecision[] {
  const intent = { alg: options.alg, now: options.now === true, acceptsRisk: false };
  const plan = planRotation(seen.ring, seen.policy, seen.leases, seen.now, intent, seen.held);
  return refuseDamaged(plan, seen.ring, keys.signingKeyEnvelope);
}

function isAsked({ outcome }: RotationDecision): boolean {
  return outcome === 'rotates' || outcome === 'needs_acceptance';
}

export async function rotate(cli: Cli, options: RotateOptions): Promise<void> {
  await withInstallation(cli, async opened => {
    const seen = await seeRing(opened);
    const plan = asked(options, seen, opened);
    const risks = options.now === true ? plan.flatMap(decision => risksOf(decision, seen)) : [];
    if (options.dryRun === true) {
      const json = { version: seen.ring.version, rotations: plan.map(decisionJson), risks };
      cli.output.result(json, () => [...plan.map(each => told(each, false)), ...risks].join('\n'));
      return;
    }
    // A complete announcement is the normal course and asks nobody; haste does.
    if (risks.length > 0) {
      for (const line of risks) cli.output.say(line);
      await cli.confirm('Rotate all the same?', options);
    }
    const decisions = plan.some(isAsked)
      ? await rotateNow(rotationContext(opened), {
          alg: options.alg,
          now: options.now === true,
          acceptsRisk: risks.length > 0,
        })
      : plan;
    const { version } = await opened.database.read(readRing);
    const json = { version, rotations: decisions.map(decisionJson) };
    cli.output.result(json, () => decisions.map(each => told(each, true)).join('\n'));
    if (!decisions.every(({ outcome }) => outcome === 'rotates')) throw new CommandFailed();
  });
}
