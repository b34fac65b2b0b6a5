import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { environmentOfOthers } from '../config/environment.js';
import { AppError } from '../errors.js';
import type {
  NumberedAnswer,
  NumberedRequest,
  OpenToken,
  Pkcs11Answer,
  Pkcs11Fault,
  Pkcs11Request,
} from './pkcs11-messages.js';

/** Waiting for one process; what comes on top is told to come again. */
const MOST_PENDING = 256;
/** Milliseconds. A process that could not be opened is not started again for each request that comes. */
const START_AGAIN_AFTER = 1000;

/** Seconds. A process has to start and load its module; a smart card takes half a minute to find two primes. */
const OPEN_WITHIN = 10;
const GENERATE_WITHIN = 60;

export type Pkcs11Connector = () => ChildProcess;

export interface Pkcs11ConnectionOptions {
  readonly connect: Pkcs11Connector;
  /** Seconds */
  readonly answerWithin: number;
  readonly token: () => OpenToken;
}

interface Pending {
  readonly resolve: (answer: Pkcs11Answer) => void;
  readonly reject: (error: AppError) => void;
  readonly timer: NodeJS.Timeout;
}

/** From the sources (tests) or from the build; the flags of the parent only where it needs them to read TypeScript. */
export function startHost(): ChildProcess {
  const isSource = import.meta.url.endsWith('.ts');
  const url = new URL(isSource ? './pkcs11-host.ts' : './pkcs11-host.js', import.meta.url);
  return fork(fileURLToPath(url), [], {
    execArgv: isSource ? ['--import', 'tsx'] : [],
    serialization: 'advanced',
    // Vendors are configured by variables of their own; the root key may stand in one of ours.
    env: environmentOfOthers(),
    // Vendors' modules print what they like.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}

/** One process with one session. Starts when it is first asked, and again after it has died or was ended. */
export class Pkcs11Connection {
  readonly #options: Pkcs11ConnectionOptions;
  readonly #pending = new Map<number, Pending>();
  #child: ChildProcess | undefined;
  #opening: Promise<unknown> | undefined;
  #isOpen = false;
  #isClosed = false;
  #number = 0;
  #failed: { readonly error: AppError; readonly at: number } | undefined;

  constructor(options: Pkcs11ConnectionOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get pending(): number {
    return this.#pending.size;
  }

  async ask(request: Pkcs11Request): Promise<Pkcs11Answer> {
    if (this.#isClosed) throw unavailable('it was closed');
    this.#assertMayTry();
    const child = this.#child ?? this.#start();
    this.#opening ??= this.#open(child);
    await this.#opening;
    return this.#send(child, request);
  }

  close(): void {
    this.#isClosed = true;
    this.#end('it was closed');
  }

  #start(): ChildProcess {
    const child = this.#options.connect();
    this.#child = child;
    child.on('message', message => this.#take(message as NumberedAnswer));
    const ended = () => {
      if (this.#child === child) this.#end('its process ended');
    };
    child.on('exit', ended);
    child.on('error', ended);
    // An idle token must not keep a command line from ending.
    child.unref();
    child.channel?.unref();
    return child;
  }

  async #open(child: ChildProcess): Promise<void> {
    try {
      await this.#send(child, { ask: 'open', token: this.#options.token() });
      this.#isOpen = true;
      this.#failed = undefined;
    } catch (error) {
      this.#opening = undefined;
      if (error instanceof AppError) this.#failed = { error, at: performance.now() };
      throw error;
    }
  }

  /** A wrong PIN is final until the program starts again; anything else may be tried again after a moment. */
  #assertMayTry(): void {
    if (this.#failed === undefined || this.#opening !== undefined) return;
    const { error, at } = this.#failed;
    if (error.code === 'backend_misconfigured' || performance.now() - at < START_AGAIN_AFTER) throw error;
  }

  #send(child: ChildProcess, request: Pkcs11Request): Promise<Pkcs11Answer> {
    if (this.#pending.size >= MOST_PENDING) throw unavailable('too many requests wait for it');
    if (this.#child !== child) throw unavailable('its process ended');
    this.#number += 1;
    const numbered: NumberedRequest = { number: this.#number, request };
    return new Promise((resolve, reject) => {
      const within = this.#answerWithin(request);
      const timer = setTimeout(() => this.#end(`no answer for ${within} s`, child), within * 1000);
      this.#pending.set(numbered.number, { resolve, reject, timer });
      child.channel?.ref();
      child.send(numbered, error => {
        if (error !== null) this.#end('its process cannot be reached', child);
      });
    });
  }

  #answerWithin({ ask }: Pkcs11Request): number {
    if (ask === 'open') return Math.max(OPEN_WITHIN, this.#options.answerWithin);
    if (ask === 'generate-pair') return Math.max(GENERATE_WITHIN, this.#options.answerWithin);
    return this.#options.answerWithin;
  }

  #take(told: NumberedAnswer): void {
    const pending = this.#pending.get(told.number);
    if (pending === undefined) return;
    this.#pending.delete(told.number);
    clearTimeout(pending.timer);
    if (this.#pending.size === 0) this.#child?.channel?.unref();
    if ('answer' in told) pending.resolve(told.answer);
    else pending.reject(refusalOf(told.fault, told.detail));
  }

  /** A call into a module that hangs cannot be taken back; the process it hangs in can be ended. */
  #end(detail: string, child = this.#child): void {
    if (child === undefined || child !== this.#child) return;
    this.#child = undefined;
    this.#opening = undefined;
    this.#isOpen = false;
    child.kill('SIGKILL');
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(unavailable(detail));
    }
    this.#pending.clear();
  }
}

function unavailable(detail: string): AppError {
  return new AppError('backend_unavailable', 'The PKCS#11 token does not answer. Try again shortly.', {
    detail: `PKCS#11: ${detail}`,
  });
}

function refusalOf(fault: Pkcs11Fault, detail: string): AppError {
  switch (fault) {
    case 'unavailable':
      return unavailable(detail);
    case 'not_found':
      return new AppError('not_found', `The PKCS#11 token cannot be used: ${detail}.`);
    case 'refused':
      return new AppError(
        'sealed_value_damaged',
        'The PKCS#11 token does not open a wrapped key: it was changed.',
        {
          detail,
        },
      );
    case 'misconfigured':
      return new AppError(
        'backend_misconfigured',
        `The PKCS#11 token cannot be used: ${detail}. Check pkcs11.module, pkcs11.token and pkcs11.pin.`,
      );
  }
}
