import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { isAppError } from '../errors.js';
import { auditCommands } from './audit.js';
import { Cli } from './cli.js';
import { clientCommands } from './client.js';
import { secretCommands } from './client-secret.js';
import { CommandFailed, DONE, FAILED, type Surroundings, USAGE, UsageError } from './command.js';
import { configCommands } from './config.js';
import { databaseCommands } from './database.js';
import { demoCommand } from './demo.js';
import { doctorCommand } from './doctor.js';
import { grantCommands } from './grant.js';
import { initCommand } from './init.js';
import { keyCommands } from './key.js';
import { migrateCommand } from './migrate.js';
import { collectSetting } from './options.js';
import { performCommands } from './perform.js';
import { resourceCommands } from './resource.js';
import { rootKeyCommands } from './root-key.js';
import { serveCommand } from './serve.js';
import { sessionCommands } from './session.js';
import { tokenCommands } from './token.js';
import { userCommands } from './user.js';

/** Arguments stand in the list of running programs and in shell histories, for everybody on the machine to read. */
const SECRET_OPTION = /^--?(?:client[-_]?)?(?:secret|password|passphrase|api[-_]?key|root[-_]?key)(?:=|$)/i;
const SECRET_VALUE = /cvg_(?:cs|ak|rt)_[0-9A-Za-z]|-----BEGIN [A-Z ]*PRIVATE KEY-----/;

function assertNoSecrets(args: readonly string[]): void {
  // Neither is repeated in the message: what was typed may be the secret itself.
  if (args.some(arg => SECRET_OPTION.test(arg) || SECRET_VALUE.test(arg))) {
    throw new UsageError(
      'A secret must not stand on the command line, where every user of this machine can read it. Give it by --secret-file, on standard input, or in the environment variable CLIENT_SECRET. If it is a real one, replace it: claviger client secret add.',
    );
  }
}

/** The same package from source and as built. */
function version(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const found: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (typeof found === 'object' && found !== null && 'version' in found) return String(found.version);
    } catch {
      // Not here: the other one.
    }
  }
  return 'unknown';
}

function createProgram(surroundings: Surroundings): { program: Command; cli: Cli } {
  const program = new Command('claviger')
    .description('The keeper of the keys: an OAuth 2.0 authorization server and the tools to run it.')
    .version(version())
    .option('--config <file>', 'configuration file (default: claviger.yaml, if there is one)')
    .option('--set <name=value>', 'a setting, for this run; repeatable; not for secrets', collectSetting, {})
    .option('--json', 'results as JSON on standard output')
    .option('--no-color', 'no colours')
    .showHelpAfterError('(--help says what there is)')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .configureOutput({
      writeOut: text => surroundings.stdout.write(text),
      writeErr: text => surroundings.stderr.write(text),
    });
  const cli = new Cli(surroundings, program);
  initCommand(program, cli);
  serveCommand(program, cli);
  demoCommand(program, cli);
  migrateCommand(program, cli);
  doctorCommand(program, cli);
  resourceCommands(program, cli);
  secretCommands(clientCommands(program, cli), cli);
  userCommands(program, cli);
  keyCommands(program, cli);
  rootKeyCommands(program, cli);
  tokenCommands(program, cli);
  sessionCommands(program, cli);
  grantCommands(program, cli);
  performCommands(program, cli);
  auditCommands(program, cli);
  databaseCommands(program, cli);
  configCommands(program, cli);
  return { program, cli };
}

/** The sentence for the person; an error nobody expected also shows where it came from. */
function described(error: unknown): { code: string; message: string; exitCode: number } {
  if (error instanceof UsageError) return { code: 'usage', message: error.message, exitCode: USAGE };
  if (isAppError(error)) {
    const exitCode = error.code === 'configuration_invalid' ? USAGE : FAILED;
    return { code: error.code, message: error.message, exitCode };
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') {
    const port = error instanceof Error && 'port' in error ? String(error.port) : 'asked for';
    const message = `The port ${port} is in use. Stop the program that listens there, or choose another: PORT=4500 for the demo, http.port (and http.operationsPort) for serve.`;
    return { code: 'port_in_use', message, exitCode: FAILED };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'unexpected', message, exitCode: FAILED };
}

/**
 * Runs one command.
 *
 * @param args without the interpreter and the script.
 * @returns the exit code: 0 done, 1 failed, 2 usage.
 */
export async function runCli(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { program, cli } = createProgram(surroundings);
  try {
    assertNoSecrets(args);
    await program.parseAsync([...args], { from: 'user' });
    return DONE;
  } catch (error) {
    if (error instanceof CommandFailed) return FAILED;
    // commander has written its own message; asking for help or the version is no mistake.
    if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : USAGE;
    const { code, message, exitCode } = described(error);
    // parsing may have failed before --json was read
    if (cli.output.isJson || args.includes('--json')) {
      const faults = isAppError(error) && error.faults.length > 0 ? { faults: error.faults } : {};
      surroundings.stderr.write(`${JSON.stringify({ error: code, message, ...faults })}\n`);
    } else cli.output.say(message);
    return exitCode;
  }
}
