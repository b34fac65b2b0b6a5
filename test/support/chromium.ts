import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import axeCore from 'axe-core';
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core';

const ROOT = join(import.meta.dirname, '..', '..');
const SCREENSHOTS = join(ROOT, 'test', 'browser', 'screenshots');
const PACKAGE = join(ROOT, 'node_modules', '@sparticuz', 'chromium');
const NAME = 'chromium';
/** Web Content Accessibility Guidelines 2.2, levels A and AA. */
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

let shared: Promise<Browser> | undefined;

/** Unpacks the package's binary once per version, beside the packages: others must not be able to put theirs there. */
async function executable(): Promise<string> {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as { version: string };
  const cache = join(ROOT, 'node_modules', '.cache');
  const folder = join(cache, `chromium-${version}`);
  if (existsSync(join(folder, NAME))) return join(folder, NAME);
  mkdirSync(cache, { recursive: true });
  const fresh = mkdtempSync(join(cache, 'chromium-'));
  const { TMPDIR } = process.env;
  // The package unpacks into the temporary folder and would reuse another version that lies there.
  process.env.TMPDIR = fresh;
  try {
    const { default: chromium } = await import('@sparticuz/chromium');
    await chromium.executablePath();
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
  try {
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another run was faster.
    if (!existsSync(join(folder, NAME))) throw error;
  }
  return join(folder, NAME);
}

/**
 * Libraries that a bare machine lacks come with the package, too: they are put before the system's only then, because
 * the system's own fit it better.
 */
function libraries(executablePath: string): Readonly<Record<string, string>> {
  const needed = spawnSync('ldd', [executablePath], { encoding: 'utf8' });
  if (!needed.stdout?.includes('not found')) return {};
  const folder = join(executablePath, '..');
  const archive = brotliDecompressSync(readFileSync(join(PACKAGE, 'bin', 'al2023.tar.br')));
  spawnSync('tar', ['-x', '-C', folder], { input: archive });
  return { LD_LIBRARY_PATH: join(folder, 'lib') };
}

async function launch(): Promise<Browser> {
  try {
    const { chromium } = await import('playwright-core');
    const executablePath = await executable();
    const fonts = join(executablePath, '..', 'fonts');
    const env = existsSync('/etc/fonts/fonts.conf') ? {} : { FONTCONFIG_PATH: fonts };
    return await chromium.launch({
      executablePath,
      // As root there is no sandbox to have; nothing else of the browser's own rules is switched off.
      args: ['--no-sandbox'],
      env: { ...(process.env as Record<string, string>), ...env, ...libraries(executablePath) },
    });
  } catch (cause) {
    throw new Error(
      'Chromium cannot be started, so nothing in a browser has been tested. It comes with the package ' +
        '@sparticuz/chromium, for Linux on x86-64 and arm64: run `npm ci`, then see the cause.',
      { cause },
    );
  }
}

/** One browser a process; each test has a context of its own in it. */
async function browser(): Promise<Browser> {
  shared ??= launch();
  return shared;
}

export async function closeChromium(): Promise<void> {
  const running = shared;
  shared = undefined;
  await (await running?.catch(() => undefined))?.close();
}

export interface OpenedPage {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the page logged as an error: a refusal by its own Content-Security-Policy is one. */
  readonly problems: readonly string[];
  close(): Promise<void>;
}

export interface PageOptions {
  readonly locale?: 'en' | 'de';
  readonly colorScheme?: 'light' | 'dark';
  /** CSS pixels. */
  readonly width?: number;
  readonly javaScriptEnabled?: boolean;
}

export async function openPage(options: PageOptions = {}): Promise<OpenedPage> {
  const { locale = 'en', colorScheme = 'light', width = 1280, javaScriptEnabled = true } = options;
  const context = await (await browser()).newContext({
    locale,
    colorScheme,
    javaScriptEnabled,
    viewport: { width, height: 900 },
    reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('console', message => {
    if (message.type() === 'error') problems.push(message.text());
  });
  page.on('pageerror', error => problems.push(String(error)));
  return { context, page, problems, close: () => context.close() };
}

/** A platform authenticator that always finds its user present and verified, as long as `isUserVerified` says so. */
export interface VirtualAuthenticator {
  credentialIds(): Promise<string[]>;
  setUserVerified(isUserVerified: boolean): Promise<void>;
  remove(): Promise<void>;
}

export async function addAuthenticator({ context, page }: OpenedPage): Promise<VirtualAuthenticator> {
  const session: CDPSession = await context.newCDPSession(page);
  await session.send('WebAuthn.enable', { enableUI: false });
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return {
    async credentialIds() {
      const { credentials } = await session.send('WebAuthn.getCredentials', { authenticatorId });
      return credentials.map(({ credentialId }) => credentialId);
    },
    async setUserVerified(isUserVerified) {
      await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
    },
    async remove() {
      await session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
    },
  };
}

/** What axe-core finds wrong, a line each; with `rules` only by these. */
export async function axe(page: Page, rules?: readonly string[]): Promise<string[]> {
  // By the debugger's channel: the page's policy lets no foreign script in, and stays as it is.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axeCore.source);
  const runOnly =
    rules === undefined
      ? { type: 'tag' as const, values: TAGS }
      : { type: 'rule' as const, values: [...rules] };
  return page.evaluate(async only => {
    const { axe: core } = globalThis as unknown as { axe: typeof axeCore };
    const { violations } = await core.run(document, { runOnly: only, resultTypes: ['violations'] });
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary}`),
    );
  }, runOnly);
}

/** Pixels by which the page is wider than its window. */
export async function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** For people to look at: test/browser/screenshots, which git ignores. */
export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  const file = `${name.replaceAll(/[^\w.-]+/g, '-')}.png`;
  await page.screenshot({ path: join(SCREENSHOTS, file), fullPage: true, animations: 'disabled' });
}

/** For an issuer whose address a browser can reach: it has to be known before the server starts. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>(resolve => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
