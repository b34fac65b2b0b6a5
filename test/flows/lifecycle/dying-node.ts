/**
 * A whole node as a process of its own that dies by SIGKILL between the commit of a token request and its answer: at
 * the first byte of a 200 of the token endpoint, which leaves only after everything is in the database.
 */
import { ServerResponse } from 'node:http';
import { Secret } from '../../../src/config/config.js';
import { loadConfig } from '../../../src/config/load.js';
import { createLogger } from '../../../src/log.js';
import { startServer } from '../../../src/server.js';
import { installMovedTime } from '../../support/moved-time.js';

export interface DyingNodeAssignment {
  readonly env: Readonly<Record<string, string>>;
  readonly rootKey: string;
  /** Milliseconds by which time has been moved. */
  readonly offset: number;
}

const { env, rootKey, offset } = JSON.parse(process.argv[2] ?? '') as DyingNodeAssignment;
const time = installMovedTime({ offset });
const { config } = loadConfig({ env: { ...env, CLAVIGER_ROOT_KEY: rootKey }, cwd: '/nonexistent' });
const node = await startServer({
  config,
  rootKey: new Secret(rootKey),
  log: createLogger(config.log, { write: () => undefined }),
  clock: time.clock,
  databaseClockOffset: time.databaseClockOffset,
});

const { writeHead } = ServerResponse.prototype;
ServerResponse.prototype.writeHead = function (this: ServerResponse, ...args: never[]) {
  if (this.req.url === '/oauth2/token' && this.statusCode === 200) process.kill(process.pid, 'SIGKILL');
  return (writeHead as (...all: never[]) => ServerResponse).apply(this, args);
} as typeof writeHead;

// The parent is gone: so are we, however it ended.
process.on('disconnect', () => process.exit(0));
process.send?.(node.port);
