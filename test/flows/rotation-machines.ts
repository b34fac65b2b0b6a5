import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrokenNetwork } from '../support/broken-network.js';
import { installMovedTime, type MovedTime } from '../support/moved-time.js';
import { NetworkNamespace } from './rotation-namespace.js';
import type { ChaosAssignment } from './rotation-node.js';

/** Everybody's time, also that of processes that are stopped: a file of numbers (see rotation-node.ts). */
export class FiledTime {
  readonly moved: MovedTime = installMovedTime();
  readonly #folder = mkdtempSync(join(tmpdir(), 'claviger-time-'));
  readonly file = join(this.#folder, 'time');
  readonly #handle = openSync(this.file, 'w');
  readonly #numbers = new Float64Array(8);

  constructor() {
    this.#write();
  }

  moveBy(seconds: number): void {
    this.#numbers[0] = this.moved.offset + seconds * 1000;
    this.#write();
    this.moved.moveBy(seconds);
  }

  /** Sets one machine's wall clock this many seconds off. */
  skew(slot: number, seconds: number): void {
    this.#numbers[slot] = seconds * 1000;
    this.#write();
  }

  remove(): void {
    this.moved.restore();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #write(): void {
    writeSync(this.#handle, this.#numbers, 0, this.#numbers.byteLength, 0);
  }
}

/** One machine: a node, its network to the database, its clock; all of which can break. */
export class Machine {
  readonly slot: number;
  readonly agent = new Agent({ keepAlive: true });
  port = 0;
  /** What is broken now; undefined: nothing. */
  fault: string | undefined;
  readonly #assignment: ChaosAssignment;
  readonly #time: FiledTime;
  readonly #network: BrokenNetwork;
  readonly #namespace: NetworkNamespace | undefined;
  #child: ChildProcess | undefined;
  #said = '';

  private constructor(
    assignment: ChaosAssignment,
    time: FiledTime,
    network: BrokenNetwork,
    namespace: NetworkNamespace | undefined,
  ) {
    this.slot = assignment.slot;
    this.#assignment = assignment;
    this.#time = time;
    this.#network = network;
    this.#namespace = namespace;
  }

  /** @param isOwnNetwork a network of its own, where the test may make one; else what passes goes through a proxy. */
  static async build(
    slot: number,
    time: FiledTime,
    databaseUrl: string,
    given: Pick<ChaosAssignment, 'env' | 'rootKey' | 'servesForever'>,
    isOwnNetwork = false,
  ): Promise<Machine> {
    const namespace = isOwnNetwork ? NetworkNamespace.open(slot) : undefined;
    const { network, url } = await BrokenNetwork.inFrontOf(databaseUrl, namespace?.databaseAddress);
    const host = namespace === undefined ? {} : { CLAVIGER_HTTP_HOST: namespace.address };
    const env = { ...given.env, ...host, CLAVIGER_DATABASE_URL: url };
    return new Machine({ ...given, env, slot, timeFile: time.file }, time, network, namespace);
  }

  get hasOwnNetwork(): boolean {
    return this.#namespace !== undefined;
  }

  urlOf(path: string): string {
    return `http://${this.#namespace?.address ?? '127.0.0.1'}:${this.port}${path}`;
  }

  async start(): Promise<void> {
    const [program, ...args] = [
      ...(this.#namespace?.entrance ?? []),
      process.execPath,
      '--import',
      'tsx',
      join(import.meta.dirname, 'rotation-node.ts'),
      JSON.stringify(this.#assignment),
    ] as [string, ...string[]];
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    child.stderr?.on('data', (bytes: Buffer) => {
      this.#said = `${this.#said}${bytes}`.slice(-4000);
    });
    this.#child = child;
    const ended = once(child, 'exit').then(() => {
      throw new Error(`a node did not start: ${this.#said}`);
    });
    const [port] = (await Promise.race([once(child, 'message'), ended])) as [number];
    ended.catch(() => undefined);
    this.port = port;
  }

  /**
   * Lets the node do what its timers would do, and waits for it so many milliseconds at most: it goes on meanwhile.
   *
   * @returns whether it is done
   */
  async tick(limit: number): Promise<boolean> {
    const child = this.#child;
    if (child === undefined || !child.connected) return false;
    const told = once(child, 'message', { signal: AbortSignal.timeout(limit) });
    child.send('tick', () => undefined);
    return told.then(
      () => true,
      () => false,
    );
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  cut(): void {
    if (this.#namespace === undefined) this.#network.become('drop');
    else this.#namespace.cut();
  }

  mend(): void {
    this.#namespace?.mend();
    this.#network.become('pass');
  }

  setClock(seconds: number): void {
    this.#time.skew(this.slot, seconds);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    this.port = 0;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  async remove(): Promise<void> {
    this.#network.become('pass');
    await this.kill();
    this.agent.destroy();
    await this.#network.close();
    this.#namespace?.remove();
  }
}

const HOUR = 3600;

/** How something breaks, for how many steps of time, and how it comes back. */
export interface Fault {
  readonly kind: string;
  readonly steps: number;
  begin(machine: Machine): void | Promise<void>;
  end(machine: Machine): void | Promise<void>;
}

/** @param long steps that outlast an announcement */
export function faults(long: number): readonly Fault[] {
  const pause = { begin: (one: Machine) => one.pause(), end: (one: Machine) => one.resume() };
  const cut = { begin: (one: Machine) => one.cut(), end: (one: Machine) => one.mend() };
  const clock = (seconds: number) => ({
    begin: (one: Machine) => one.setClock(seconds),
    end: (one: Machine) => one.setClock(0),
  });
  return [
    { kind: 'SIGKILL', steps: 3, begin: one => one.kill(), end: one => one.start() },
    { kind: 'SIGSTOP 40 s', steps: 2, ...pause },
    { kind: 'SIGSTOP over a rotation', steps: long, ...pause },
    { kind: 'cut off 60 s', steps: 3, ...cut },
    { kind: 'cut off over a rotation', steps: long, ...cut },
    { kind: 'clock +1 h', steps: 3, ...clock(HOUR) },
    { kind: 'clock -1 h', steps: 3, ...clock(-HOUR) },
    { kind: 'clock +400 d', steps: 3, ...clock(400 * 24 * HOUR) },
  ];
}
