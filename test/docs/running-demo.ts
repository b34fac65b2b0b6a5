import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePorts, freshFolder } from '../cli/captured-run.js';
import { type Child, spawnCli } from '../cli/child-run.js';
import { ROOT } from './fenced-blocks.js';

const MAIN = join(ROOT, 'src/cli/main.ts');
export const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Longest time for one script of a document. */
const SCRIPT_ENDS_WITHIN = 90_000;

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder as a reader has it before them: `npx claviger` and `npm run build` work in it. */
export interface ReadersFolder {
  readonly path: string;
  /** Runs what a document shows, in a shell that stops at the first failure. */
  run(script: string, env?: Readonly<Record<string, string>>): Promise<Ran>;
  remove(): void;
}

function program(folder: string, name: string, lines: string): void {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${lines}\n`);
  chmodSync(path, 0o755);
}

export function readersFolder(): ReadersFolder {
  const folder = freshFolder();
  const bin = join(folder.path, 'bin');
  mkdirSync(bin);
  // From source, so that a single test needs no build; npx itself would look for a package of this name.
  program(
    bin,
    'npx',
    `test "$1" = claviger || exit 64\nshift\nexec '${process.execPath}' --import '${TSX}' '${MAIN}' "$@"`,
  );
  program(bin, 'npm', 'test "$*" = "run build" || exit 64');
  return {
    path: folder.path,
    remove: folder.remove,
    run: (script, env = {}) =>
      new Promise(done => {
        const { PATH = '' } = process.env;
        execFile(
          'sh',
          ['-euc', script],
          {
            cwd: folder.path,
            timeout: SCRIPT_ENDS_WITHIN,
            env: { PATH: [bin, PATH].join(delimiter), HOME: folder.path, ...env },
          },
          (error, stdout, stderr) =>
            done({ exitCode: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
        );
      }),
  };
}

export interface DemoFacts {
  readonly issuer: string;
  readonly client_id: string;
  readonly client_secret: string;
  readonly resource: string;
  readonly user: { readonly email: string; readonly password: string };
  readonly redirect_client: { readonly client_id: string };
}

export interface RunningDemo extends ReadersFolder {
  readonly port: number;
  readonly facts: DemoFacts;
  /** A document's text, with the demo's address as it is here. */
  here(text: string): string;
  token(): Promise<string>;
  stop(): Promise<void>;
}

export async function startDemo(): Promise<RunningDemo> {
  const folder = readersFolder();
  const port = await freePorts();
  const child = spawnCli(['demo'], { cwd: folder.path, env: { PORT: String(port) } });
  await whenReady(child);
  const facts = JSON.parse(readFileSync(join(folder.path, '.claviger/demo.json'), 'utf8')) as DemoFacts;
  const here = (text: string) => text.replaceAll('localhost:4400', `localhost:${port}`);
  return {
    ...folder,
    port,
    facts,
    here,
    // The commands find the issuer by the settings' port, as they do by default on 4400.
    run: (script, env = {}) => folder.run(here(script), { CLAVIGER_HTTP_PORT: String(port), ...env }),
    async token() {
      const { client_id, client_secret, issuer } = facts;
      const answer = await fetch(`${issuer}/oauth2/token`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`,
        },
        body: new URLSearchParams({ grant_type: 'client_credentials' }),
      });
      const body = (await answer.json()) as { access_token: string };
      return body.access_token;
    },
    async stop() {
      if (child.child.exitCode === null) {
        child.child.kill('SIGTERM');
        await once(child.child, 'exit');
      }
      folder.remove();
    },
  };
}

export async function whenReady({ child, said, complaints }: Child): Promise<void> {
  while (!/^claviger: ready$/m.test(said())) {
    if (child.exitCode !== null) throw new Error(`the demo ended: ${complaints()}`);
    await new Promise(done => setTimeout(done, 20));
  }
}
