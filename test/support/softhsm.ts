import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
];

export const SOFTHSM_MODULE = MODULES.find(path => existsSync(path));

/** A token of SoftHSM 2 in a folder of its own: the real PKCS#11 interface, in software. */
export interface SoftToken {
  readonly modulePath: string;
  readonly tokenLabel: string;
  readonly pin: string;
  readonly environment: { readonly SOFTHSM2_CONF: string };
  /** Starts the host process with this token, whatever the environment of the tests says. */
  connect(): ChildProcess;
  /** As if the device was pulled out. */
  takeAway(): void;
  putBack(): void;
  readonly isAway: boolean;
  drop(): void;
}

/** Without it, says so on the screen: a skipped protection must not look like a tested one. */
export function skipWithoutSoftHsm(context: Mocha.Context): void {
  if (SOFTHSM_MODULE !== undefined) return;
  process.stderr.write('SKIPPED: PKCS#11 is not tested, SoftHSM 2 is missing (apt-get install softhsm2)\n');
  context.skip();
}

export function makeSoftToken(tokenLabel = 'claviger'): SoftToken {
  if (SOFTHSM_MODULE === undefined) throw new Error('SoftHSM 2 is not installed');
  const folder = mkdtempSync(join(tmpdir(), 'claviger-softhsm-'));
  const tokens = join(folder, 'tokens');
  mkdirSync(tokens, { mode: 0o700 });
  const configuration = join(folder, 'softhsm2.conf');
  writeFileSync(
    configuration,
    `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  );
  const environment = { SOFTHSM2_CONF: configuration };
  const pin = '4711-0815';
  execFileSync(
    'softhsm2-util',
    ['--init-token', '--free', '--label', tokenLabel, '--so-pin', '12345678', '--pin', pin],
    { env: { ...process.env, ...environment }, stdio: 'ignore' },
  );
  return {
    modulePath: SOFTHSM_MODULE,
    tokenLabel,
    pin,
    environment,
    connect: () =>
      fork(join(import.meta.dirname, '../../src/crypto/pkcs11-host.ts'), [], {
        execArgv: ['--import', 'tsx'],
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        env: { ...process.env, ...environment },
      }),
    takeAway: () => renameSync(tokens, `${tokens}-away`),
    putBack: () => renameSync(`${tokens}-away`, tokens),
    get isAway() {
      return !existsSync(tokens);
    },
    drop: () => rmSync(folder, { recursive: true, force: true }),
  };
}
