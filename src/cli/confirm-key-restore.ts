import { confirmRestore, planRestore, type RestoreOutcome } from '../keys/confirm-restore.js';
import type { Cli, Consent } from './cli.js';
import { rotationContext, withInstallation } from './context.js';

function json({ before, after, nodes, broughtBack, setAside, revokedAgain }: RestoreOutcome) {
  return {
    restored_version: before.version,
    version: after.version,
    nodes: nodes.map(({ nodeId, version }) => ({ node_id: nodeId, version })),
    brought_back: broughtBack,
    set_aside: setAside,
    revoked_again: revokedAgain,
  };
}

function told({ before, after, nodes, broughtBack, setAside, revokedAgain }: RestoreOutcome): string {
  return [
    `The database holds version ${before.version} of the key ring; these nodes have served another past and have stopped:`,
    ...nodes.map(({ nodeId, version }) => `  ${nodeId}  version ${version}`),
    `Both become version ${after.version}: every published key of either stays published, and the active keys are those that verifiers know.`,
    `Keys brought back: ${broughtBack.length}. Set aside, because only the restored past has used them: ${setAside.length}. Revoked again: ${revokedAgain.length}.`,
    'Nothing else that happened since the backup comes back: revoke again the tokens, secrets and clients of that time.',
  ].join('\n');
}

export async function confirmKeyRestore(cli: Cli, options: Consent): Promise<void> {
  await withInstallation(cli, async opened => {
    const { database } = opened;
    const plan = await database.read(async on => planRestore(on, await database.now(on)));
    if (plan === undefined) {
      const nothing = 'No running node has served another key ring than this one; nothing was changed.';
      cli.output.result({ confirmed: false, nodes: [] }, () => nothing);
      return;
    }
    if (options.dryRun === true) {
      cli.output.result({ confirmed: false, ...json(plan) }, () => told(plan));
      return;
    }
    await cli.confirm(`${told(plan)}\nGo on with this database?`, options);
    const done = (await confirmRestore(rotationContext(opened))) ?? plan;
    cli.output.result({ confirmed: true, ...json(done) }, () => `Confirmed.\n${told(done)}`);
  });
}
