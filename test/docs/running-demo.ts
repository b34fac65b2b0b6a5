import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePorts, freshFolder } from '../cli/captured-run.js';
import { type Child, spawnCli } from '../cli/child-run.js';
import { FormBrowser } from '../support/form-browser.js';
import { ROOT } from './fenced-blocks.js';

const MAIN = join(ROOT, 'src/cli/main.ts');
const BUILT = join(ROOT, 'dist/src/cli/main.js');
export const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Longest time for one script of a document. */
const SCRIPT_ENDS_WITHIN = 240_000;

/** Sign-in, second thoughts, consent: no flow has more pages. */
const MOST_PAGES = 8;

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder as a reader has it before them: `npx claviger` and `npm run build` work in it. */
export interface ReadersFolder {
  readonly path: string;
  /** Runs what a document shows, in a shell that stops at the first failure. */
  run(
    script: string,
    env?: Readonly<Record<string, string>>,
    whileRunning?: (child: ChildProcess) => void,
  ): Promise<Ran>;
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
  // A whole run of the tests has built it, which starts in a third of the time.
  const claviger = process.env.IS_BUILT === '1' ? `'${BUILT}'` : `--import '${TSX}' '${MAIN}'`;
  program(bin, 'npx', `test "$1" = claviger || exit 64\nshift\nexec '${process.execPath}' ${claviger} "$@"`);
  program(bin, 'npm', 'test "$*" = "run build" || exit 64');
  return {
    path: folder.path,
    remove: folder.remove,
    run: (script, env = {}, whileRunning = () => undefined) =>
      new Promise(done => {
        const { PATH = '' } = process.env;
        const child = execFile(
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
        whileRunning(child);
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
  /** A person's browser without scripts. */
  browser(): FormBrowser;
  /** Signs the demo's person in and says yes, until the browser leaves or nothing more is asked. */
  answerPages(browser: FormBrowser): Promise<void>;
  /** Runs what prints an address to sign in at, and signs in there. */
  signIn(script: string): Promise<Ran>;
  stop(): Promise<void>;
}

export async function startDemo(): Promise<RunningDemo> {
  const folder = readersFolder();
  const port = await freePorts();
  const child = spawnCli(['demo'], { cwd: folder.path, env: { PORT: String(port) } });
  await whenReady(child);
  const facts = JSON.parse(readFileSync(join(folder.path, '.claviger/demo.json'), 'utf8')) as DemoFacts;
  const here = (text: string) => text.replaceAll('localhost:4400', `localhost:${port}`);
  // The commands find the issuer by the settings' port, as they do by default on 4400.
  const run: ReadersFolder['run'] = (script, env = {}, whileRunning) =>
    folder.run(here(script), { CLAVIGER_HTTP_PORT: String(port), ...env }, whileRunning);
  const browser = () => new FormBrowser({ issuer: facts.issuer, pick: () => `http://127.0.0.1:${port}` });
  return {
    ...folder,
    port,
    facts,
    here,
    run,
    browser,
    answerPages: visitor => answerPages(visitor, facts.user),
    async signIn(script) {
      let told = '';
      let isFollowed: Promise<void> | undefined;
      const ran = await run(script, {}, child => {
        child.stderr?.on('data', chunk => {
          told += String(chunk);
          const [, address] = /Open this address[^\n]*\n\s+(http\S+)\n/.exec(told) ?? [];
          if (address === undefined || isFollowed !== undefined) return;
          isFollowed = follow(browser(), address, facts.user).catch(error => {
            child.kill();
            throw error;
          });
        });
      });
      await isFollowed;
      return ran;
    },
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

async function follow(browser: FormBrowser, address: string, user: DemoFacts['user']): Promise<void> {
  await browser.get(address);
  await answerPages(browser, user);
  const { departure } = browser.landing;
  if (departure === undefined) throw new Error(`it does not go on: ${browser.describe()}`);
  await fetch(departure.url);
}

async function answerPages(browser: FormBrowser, { email, password }: DemoFacts['user']): Promise<void> {
  for (let count = 0; count < MOST_PAGES && browser.landing.departure === undefined; count += 1) {
    if (browser.has('input[name="password"]')) {
      const fields = browser.has('input[name="email"]') ? { email, password } : { password };
      await browser.submit('form:has(input[name="password"])', fields);
    } else if (browser.has('button[value="allow"]')) {
      const button = 'button[value="allow"]';
      await browser.submit(`form:has(${button})`, {}, { button });
    } else return;
  }
}
