import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Starts a host that hangs, tells its number, and waits to be killed. */
const host = fileURLToPath(new URL('./hanging-host.ts', import.meta.url));
const child = fork(host, process.argv.slice(2), { execArgv: ['--import', 'tsx'] });
child.on('message', () => process.send?.(child.pid));
