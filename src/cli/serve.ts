import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { DEVELOPMENT } from '../config/config.js';
import { createLogger } from '../log.js';
import type { Cli } from './cli.js';
import { FAILED, type Surroundings } from './command.js';
import { firstRootKey, loadSettled } from './context.js';

/**
 * One Ctrl-C reaches a program that npm started twice: from the terminal and from npm. Requests this close together
 * are one request.
 */
const SAME_REQUEST_WITHIN_MS = 1_000;

/** Seconds in which clients with open connections are told, with their next answer, to open the next one elsewhere. */
const DRAIN_FOR = 1;

/** Resolves at the first request to stop; a second one ends everything at once. */
export function untilStopped(
  surroundings: Surroundings,
  onFirst: () => void = () => undefined,
): Promise<void> {
  const { clock } = surroundings;
  return new Promise(resolve => {
    let firstAt: number | undefined;
    surroundings.onStop(() => {
      if (firstAt === undefined) {
        firstAt = clock.monotonic();
        onFirst();
        resolve();
      } else if (clock.monotonic() - firstAt > SAME_REQUEST_WITHIN_MS) surroundings.abandon(FAILED);
    });
  });
}

/**
 * By default V8 lets the heap grow to four times what is alive before it collects, because the machine's memory is
 * large. A server that keeps ten thousand clients in memory would take a quarter of a gigabyte for half of it.
 */
function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=150');
}

async function serve(cli: Cli): Promise<void> {
  keepHeapSmall();
  const { surroundings } = cli;
  const config = await loadSettled(cli);
  const log = createLogger(config.log, surroundings.log);
  // A request to stop that comes while the server starts is not lost.
  const stopped = untilStopped(surroundings, () =>
    log.info({ event: 'server.stopping' }, 'stopping: requests under way are finished first'),
  );
  const rootKey = await firstRootKey(config, surroundings.cwd);
  const { startServer } = await import('../server.js');
  const { providers, warnings } = await cli.loadProviders(config);
  for (const { at, problem } of warnings) log.warn({ event: 'configuration.warning', at }, problem);
  if (config.mail.url === '' && config.environment !== DEVELOPMENT) {
    log.warn(
      { event: 'mail.missing' },
      'mail.url is not set: mails to people wait in the outbox for two days',
    );
  }
  const server = await startServer({
    config,
    rootKey,
    log,
    clock: surroundings.clock,
    drainFor: DRAIN_FOR,
    upstreamProviders: providers,
  });
  log.info(
    {
      event: 'server.ready',
      issuer: server.issuer,
      port: server.port,
      operations_port: server.operationsPort,
      node_id: server.nodeId,
    },
    'claviger: ready',
  );
  await stopped;
  await server.close();
  log.info({ event: 'server.stopped' }, 'stopped');
}

export function serveCommand(program: Command, cli: Cli): void {
  program
    .command('serve')
    .description('run the server until SIGTERM or SIGINT')
    .action(() => serve(cli));
}
