import type { Command } from 'commander';
import type { LoadedConfig } from '../config/load.js';
import { isAppError } from '../errors.js';
import { checkDatabase } from './check-database.js';
import { checkIssuer } from './check-issuer.js';
import { checkConfiguration, checkFiles, checkNode } from './check-machine.js';
import { checkDataKeys } from './check-root-keys.js';
import { checkSigningBackends } from './check-signing-backends.js';
import type { Cli } from './cli.js';
import { CommandFailed } from './command.js';
import { assertExists, open, rootKeyOf, settled } from './context.js';
import { type Finding, found, type Severity } from './finding.js';
import type { Style } from './output.js';

const STYLES: Readonly<Record<Severity, Style>> = {
  ok: 'green',
  note: 'dim',
  warning: 'yellow',
  error: 'red',
};

async function checkInstallation(cli: Cli, loaded: LoadedConfig): Promise<Finding[]> {
  const { env, cwd, clock } = cli.surroundings;
  const config = settled(loaded.config, cwd);
  const findings = checkFiles(loaded, config, env, cwd);
  let isRunning = false;
  try {
    assertExists(config);
    const rootKey = rootKeyOf(config, cwd);
    const database = open(config);
    try {
      const checked = await checkDatabase(database, config, rootKey.id, clock);
      findings.push(...checked.findings);
      isRunning = checked.nodes.length > 0;
      if (checked.findings.some(({ id, severity }) => id === 'identity' && severity === 'ok')) {
        findings.push(...(await checkDataKeys(database, rootKey)));
        findings.push(...(await checkSigningBackends(database, config, clock.monotonic)));
      }
    } finally {
      rootKey.close();
      await database.close();
    }
  } catch (error) {
    if (!isAppError(error)) throw error;
    const id = error.code.startsWith('root_key') ? 'root_key' : 'database';
    findings.push(found(id, 'error', error.message, 'See the finding.'));
  }
  return [...findings, ...(await checkIssuer(config, isRunning))];
}

async function doctor(cli: Cli): Promise<void> {
  const findings = [checkNode(process.versions.node)];
  try {
    const loaded = await cli.loadConfig();
    findings.push(...checkConfiguration(loaded), ...(await checkInstallation(cli, loaded)));
  } catch (error) {
    if (!isAppError(error, 'configuration_invalid')) throw error;
    for (const { at, problem } of error.faults) {
      findings.push(found('configuration', 'error', `${at} ${problem}`, `Change ${at} as it says.`));
    }
  }
  const isHealthy = findings.every(({ severity }) => severity !== 'error');
  cli.output.result({ ok: isHealthy, checks: findings }, () =>
    findings
      .map(({ id, severity, finding, remedy }) => {
        const mark = cli.output.paint(severity.padEnd(7), STYLES[severity]);
        const advice = severity === 'ok' || remedy === '' ? '' : `\n         → ${remedy}`;
        return `${mark}  ${id}: ${finding}${advice}`;
      })
      .join('\n'),
  );
  if (!isHealthy) throw new CommandFailed();
}

export function doctorCommand(program: Command, cli: Cli): void {
  program
    .command('doctor')
    .description('what is wrong with this installation, and what to do; exit code 1 when something is')
    .action(() => doctor(cli));
}
