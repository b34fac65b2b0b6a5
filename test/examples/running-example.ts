import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ROOT, scriptOf } from '../docs/fenced-blocks.js';
import { type Ran, type RunningDemo, startDemo } from '../docs/running-demo.js';
import { freePort } from '../support/chromium.js';

export interface RunningExample {
  said(): string;
  complaints(): string;
  /** Until it has written what the expression finds. */
  saying(words: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<number | null>;
  stop(): Promise<void>;
}

/** The demo, the example's resource server, and examples started with the commands that their READMEs show. */
export class Examples {
  readonly demo: RunningDemo;
  readonly port: number;
  readonly #apiPort: number;
  readonly #children: ChildProcess[] = [];

  private constructor(demo: RunningDemo, port: number, apiPort: number) {
    this.demo = demo;
    this.port = port;
    this.#apiPort = apiPort;
  }

  static async open(): Promise<Examples> {
    if (!existsSync(join(ROOT, 'dist/src/verifier/verify-access-token.js'))) {
      throw new Error('The examples import claviger/verifier as it is built: run `npm run build` first.');
    }
    const examples = new Examples(await startDemo(), await freePort(), await freePort());
    symlinkSync(join(ROOT, 'docs'), join(examples.demo.path, 'docs'));
    const api = examples.#started('orders-api', 'example-api', { PORT: String(examples.#apiPort) });
    await api.saying(/orders at/);
    return examples;
  }

  get issuer(): string {
    return this.demo.facts.issuer;
  }

  /** Registers the example's client and starts it. */
  async start(example: string, env: Readonly<Record<string, string>> = {}): Promise<RunningExample> {
    const registered = await this.demo.run(
      this.#here(scriptOf(`docs/examples/${example}/README.md`, 'example-register')),
    );
    if (registered.exitCode !== 0) throw new Error(registered.stderr);
    return this.#started(example, 'example-run', { PORT: String(this.port), ...env });
  }

  /** A command beside the running demo. */
  onDatabase(script: string): Promise<Ran> {
    return this.demo.run(script, { CLAVIGER_DATABASE_URL: 'sqlite:.claviger/demo.sqlite' });
  }

  async close(): Promise<void> {
    for (const child of this.#children) await stop(child);
    await this.demo.stop();
  }

  #here(script: string): string {
    return script.replaceAll('localhost:3000', `localhost:${this.port}`);
  }

  #started(example: string, mark: string, env: Readonly<Record<string, string>>): RunningExample {
    const { PATH = '' } = process.env;
    const script = this.#here(scriptOf(`docs/examples/${example}/README.md`, mark));
    const child = spawn('sh', ['-euc', script.replace(/^node /m, 'exec node ')], {
      cwd: this.demo.path,
      env: {
        PATH: [join(process.execPath, '..'), PATH].join(delimiter),
        ISSUER: this.issuer,
        API_URL: `http://localhost:${this.#apiPort}/orders`,
        SPA_ORIGIN: `http://localhost:${this.port}`,
        ...env,
      },
    });
    this.#children.push(child);
    let [said, complaints] = ['', ''];
    child.stdout?.on('data', chunk => {
      said += String(chunk);
    });
    child.stderr?.on('data', chunk => {
      complaints += String(chunk);
    });
    return {
      said: () => said,
      complaints: () => complaints,
      stop: () => stop(child),
      ended: once(child, 'close').then(([code]) => code as number | null),
      async saying(words) {
        for (;;) {
          const found = words.exec(said);
          if (found !== null) return found;
          if (child.exitCode !== null) throw new Error(`${example} ended: ${said}${complaints}`);
          await new Promise(done => setTimeout(done, 20));
        }
      },
    };
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
