import { spawnSync } from 'node:child_process';

function ip(...args: string[]): boolean {
  return spawnSync('ip', args, { stdio: 'ignore' }).status === 0;
}

/**
 * A network of its own for one machine, joined to ours by a virtual cable, where a test may make one (as root, on
 * Linux). The database has an address there whose packets can be lost without anybody being told.
 */
export class NetworkNamespace {
  readonly name: string;
  /** Where the machine is reached. */
  readonly address: string;
  /** Where the machine reaches the database. */
  readonly databaseAddress: string;

  private constructor(name: string, subnet: string) {
    this.name = name;
    this.address = `${subnet}.3`;
    this.databaseAddress = `${subnet}.2`;
  }

  /** @returns undefined where a test may not make one. */
  static open(slot: number): NetworkNamespace | undefined {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
    const name = `cvg${process.pid}n${slot}`;
    if (!ip('netns', 'add', name)) return undefined;
    const subnet = `10.${100 + (process.pid % 100)}.${slot}`;
    const made = new NetworkNamespace(name, subnet);
    const cable = `cvg${process.pid % 100_000}h${slot}`;
    const isReady =
      ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'wire', 'netns', name) &&
      ip('addr', 'add', `${subnet}.1/24`, 'dev', cable) &&
      ip('addr', 'add', `${made.databaseAddress}/24`, 'dev', cable) &&
      ip('link', 'set', cable, 'up') &&
      made.#inside('addr', 'add', `${made.address}/24`, 'dev', 'wire') &&
      made.#inside('link', 'set', 'wire', 'up') &&
      made.#inside('link', 'set', 'lo', 'up');
    if (isReady) return made;
    made.remove();
    return undefined;
  }

  /** The command that runs a program in it. */
  get entrance(): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.name];
  }

  /** Every packet to the database goes to a machine that does not exist. */
  cut(): void {
    this.#inside(
      'neigh',
      'replace',
      this.databaseAddress,
      'lladdr',
      '02:00:00:00:00:99',
      'dev',
      'wire',
      'nud',
      'permanent',
    );
  }

  mend(): void {
    this.#inside('neigh', 'del', this.databaseAddress, 'dev', 'wire');
  }

  remove(): void {
    ip('netns', 'del', this.name);
  }

  #inside(...args: string[]): boolean {
    return ip('-n', this.name, ...args);
  }
}
