import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type BenchClient, STATIC_BENCH_CLIENT, STATIC_WEB_CLIENT } from './bench-names.js';
import { type Children, SERVER_CORE } from './children.js';

/** `claviger-plain`: the same server as `claviger`, asked without what a case is about. */
export type SideName = 'claviger' | 'claviger-plain' | 'bare' | 'bare-sqlite';

/** A running server under measurement. */
export interface Side {
  readonly name: SideName;
  readonly child: ChildProcess & { pid: number };
  readonly url: string;
  readonly clients: readonly BenchClient[];
  /** To which people sign in. */
  readonly webClient: BenchClient;
  readonly paths: {
    authorization: string;
    token: string;
    jwks: string;
    discovery: string;
    introspection: string;
  };
  readonly logFile: string;
}

/** What a server said last: the reason for most failures. */
export function lastWordsOf({ logFile }: { readonly logFile: string }): string {
  return readFileSync(logFile, 'utf8').trim().split('\n').slice(-20).join('\n');
}

const BARE_PATHS = {
  authorization: '/auth',
  token: '/token',
  jwks: '/jwks',
  discovery: '/.well-known/openid-configuration',
  introspection: '/token/introspection',
};
const CLAVIGER_PATHS = {
  authorization: '/oauth2/authorize',
  token: '/oauth2/token',
  jwks: '/.well-known/jwks.json',
  discovery: '/.well-known/openid-configuration',
  introspection: '/oauth2/introspect',
};

export interface StartOptions {
  readonly children: Children;
  readonly workFolder: string;
  readonly clients: readonly BenchClient[];
  readonly webClient: BenchClient;
}

/** Each server gets only the environment named here: no setting of the person's own shell tips the scales. */
function startServer(
  options: StartOptions,
  name: SideName,
  args: readonly string[],
  env: Record<string, string>,
) {
  const logFile = join(options.workFolder, `${name}.log`);
  const log = openSync(logFile, 'a');
  const child = options.children.start(SERVER_CORE, args, {
    cwd: options.workFolder,
    env,
    // Claviger runs as it is shipped, with no channel to whoever started it.
    stdio: ['ignore', log, log, ...(name === 'claviger' ? [] : (['ipc'] as const))],
  });
  closeSync(log);
  return { child, logFile };
}

export async function startBare(options: StartOptions, script: string, file?: string): Promise<Side> {
  const name = file === undefined ? 'bare' : 'bare-sqlite';
  const { child, logFile } = startServer(options, name, file === undefined ? [script] : [script, file], {});
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message: { port: number }) => resolve(message.port));
    child.once('exit', () => reject(new Error(`${name} ended: ${lastWordsOf({ logFile })}`)));
  });
  return {
    name,
    child,
    logFile,
    url: `http://localhost:${port}`,
    clients: file === undefined ? [STATIC_BENCH_CLIENT] : options.clients,
    webClient: STATIC_WEB_CLIENT,
    paths: BARE_PATHS,
  };
}

export interface ClavigerSettings {
  readonly main: string;
  readonly port: number;
  readonly databaseUrl: string;
  readonly rootKey: string;
  readonly environment: string;
}

/** @returns the side, and the milliseconds from starting the program to its first 200 on /readyz. */
export async function startClaviger(options: StartOptions, settings: ClavigerSettings) {
  const url = `http://localhost:${settings.port}`;
  const startedAt = performance.now();
  const { child, logFile } = startServer(options, 'claviger', [settings.main, 'serve'], {
    CLAVIGER_ENVIRONMENT: settings.environment,
    CLAVIGER_ISSUER: url,
    CLAVIGER_HTTP_PORT: String(settings.port),
    CLAVIGER_DATABASE_URL: settings.databaseUrl,
    CLAVIGER_ROOT_KEY: settings.rootKey,
    CLAVIGER_LOG_LEVEL: 'warn',
  });
  while ((await statusOf(`${url}/readyz`)) !== 200) {
    if (child.exitCode !== null) throw new Error(`claviger ended: ${lastWordsOf({ logFile })}`);
    if (performance.now() - startedAt > 20_000) {
      throw new Error(`claviger not ready after 20 s: ${lastWordsOf({ logFile })}`);
    }
    await pause(5);
  }
  const readyMs = performance.now() - startedAt;
  const side: Side = {
    name: 'claviger',
    child,
    logFile,
    url,
    clients: options.clients,
    webClient: options.webClient,
    paths: CLAVIGER_PATHS,
  };
  return { side, readyMs };
}

function statusOf(url: string): Promise<number | undefined> {
  return new Promise(resolve => {
    const request = get(url, { agent: false, timeout: 1000 }, response => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}

/** A port that is free together with the next one, where Claviger answers its operators. */
export async function freePortPair(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const port = await listenOnce(0);
    if (port !== undefined && (await listenOnce(port + 1)) !== undefined) return port;
  }
  throw new Error('no two free ports side by side');
}

function listenOnce(port: number): Promise<number | undefined> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}
