import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { Command } from 'commander';
import { AppError } from '../errors.js';
import { nextEvents, revokePlan, type UpcomingEvent } from '../keys/key-schedule.js';
import { isPublished } from '../keys/key-state.js';
import { publishJwks } from '../keys/published-jwks.js';
import { revokeSigningKey } from '../keys/rotate.js';
import type { KeyState } from '../keys/signing-key.js';
import { SIGNING_ALGORITHMS } from '../protocol.js';
import type { Cli, Consent } from './cli.js';
import { rotationContext, withInstallation } from './context.js';
import { choiceOption, destructive } from './options.js';
import type { Cell, Style } from './output.js';
import { type RotateOptions, rotate } from './rotate-key.js';
import { seeRing } from './see-ring.js';
import { ringJson } from './wire.js';

const STATE_STYLES: Readonly<Record<KeyState, Style>> = {
  active: 'green',
  announced: 'yellow',
  retained: 'bold',
  retired: 'dim',
  revoked: 'red',
};

function told({ kind, alg, kid, waitsForNodeIds }: UpcomingEvent): string {
  const name = kid === undefined ? '' : ` ${kid.slice(0, 12)}…`;
  const waits = waitsForNodeIds.length === 0 ? '' : `, once ${waitsForNodeIds.join(', ')} publish it`;
  switch (kind) {
    case 'create':
      return `the first ${alg} keys are made`;
    case 'announce':
      return `a successor is announced for ${alg}`;
    case 'activate':
      return `${alg}${name} begins to sign, its predecessor is retained, a successor is announced${waits}`;
    case 'retire':
      return `${alg}${name} is withdrawn: no token of it can be alive`;
  }
}

async function status(cli: Cli): Promise<void> {
  await withInstallation(cli, async opened => {
    const { ring, leases, now } = await seeRing(opened);
    const events = nextEvents(ring, opened.policy, leases, now);
    const json = ringJson(ring, events);
    cli.output.result(json, () => {
      const rows = json.keys.map((key): Cell[] => [
        key.kid,
        key.alg,
        { text: key.state, style: STATE_STYLES[key.state] },
        key.announced_at,
        key.activated_at ?? '',
        key.activates_at ?? key.retires_at ?? key.retired_at ?? key.revoked_at ?? '',
      ]);
      const table = cli.output.table(['KID', 'ALG', 'STATE', 'ANNOUNCED', 'SIGNS SINCE', 'CHANGES'], rows);
      const next = events.map((event, index) => `  ${json.next[index]?.at}  ${told(event)}`);
      return [`Key ring, version ${ring.version}`, '', table, '', 'Next', ...next].join('\n');
    });
  });
}

async function revoke(cli: Cli, kid: string, options: Consent): Promise<void> {
  await withInstallation(cli, async opened => {
    const { ring } = await seeRing(opened);
    const key = ring.keys.find(each => each.kid === kid);
    if (key === undefined) {
      throw new AppError('not_found', 'There is no such signing key. List their kids: claviger key status');
    }
    const plan = revokePlan(ring, opened.policy, kid);
    const successor = plan?.kind === 'revoke' ? plan.activates : undefined;
    const json = {
      kid,
      alg: key.alg,
      state: key.state,
      activates: successor ?? null,
      announces: plan?.kind === 'revoke' && plan.announces,
    };
    if (plan === undefined) {
      cli.output.result({ ...json, revoked: true }, () => 'It was revoked before; nothing was changed.');
      return;
    }
    const effects = [
      `${kid} (${key.alg}, ${key.state}) leaves the JWKS and signs no more; introspection calls its tokens inactive.`,
      ...(successor === undefined ? [] : [`${successor}, announced before, signs from now on.`]),
      ...(key.state === 'active' && successor === undefined
        ? [`There is no successor: ${key.alg} signs nothing until a new key has been announced.`]
        : []),
      `Verifiers that cached the JWKS go on accepting it until their cache ends (max-age ${opened.policy.jwksMaxAgeFor} s; some keep it longer): restart those that matter.`,
    ];
    if (options.dryRun === true) {
      cli.output.result({ ...json, revoked: false }, () => effects.join('\n'));
      return;
    }
    await cli.confirm(`${effects.join('\n')}\nRevoke it?`, options);
    await revokeSigningKey(rotationContext(opened), kid);
    cli.output.result({ ...json, state: 'revoked', revoked: true }, () => `Revoked.\n${effects.join('\n')}`);
  });
}

async function exportKeys(cli: Cli, { format }: { readonly format: 'jwks' | 'pem' }): Promise<void> {
  await withInstallation(cli, async opened => {
    const { ring } = await seeRing(opened);
    const published = ring.keys.filter(isPublished);
    if (published.length === 0) {
      throw new AppError(
        'not_ready',
        'There are no signing keys yet: the first start makes them (claviger serve).',
      );
    }
    const jwks = JSON.parse(publishJwks(ring).body.toString('utf8')) as { keys: JsonWebKey[] };
    if (format === 'jwks') {
      cli.output.result(jwks, () => JSON.stringify(jwks, null, 2));
      return;
    }
    const keys = jwks.keys.map(jwk => ({
      kid: String(jwk.kid),
      alg: String(jwk.alg),
      pem: createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString(),
    }));
    cli.output.result({ keys }, () =>
      keys.map(({ kid, alg, pem }) => `# kid ${kid}, ${alg}\n${pem.trimEnd()}`).join('\n'),
    );
  });
}

export function keyCommands(program: Command, cli: Cli): void {
  const noun = program.command('key').description('signing keys');

  noun
    .command('status')
    .description('every key, and what happens next by itself')
    .action(() => status(cli));

  destructive(noun.command('rotate'))
    .description('let the announced successor sign, if its announcement is complete')
    .addOption(choiceOption('--alg <alg>', 'only this algorithm', SIGNING_ALGORITHMS))
    .option('--now', 'skip the rest of the announcement')
    .action((options: RotateOptions) => rotate(cli, options));

  destructive(noun.command('revoke <kid>'))
    .description('emergency: trust this key no more, from any state')
    .action((kid: string, options: Consent) => revoke(cli, kid, options));

  noun
    .command('export')
    .description('the published public keys')
    .addOption(choiceOption('--format <format>', 'form', ['jwks', 'pem']).default('jwks'))
    .action((options: { format: 'jwks' | 'pem' }) => exportKeys(cli, options));
}
