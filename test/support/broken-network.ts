import { connect, createServer, type Server, type Socket } from 'node:net';

/** `drop`: connections stand and nothing gets through, as behind a firewall that forgot them. */
export type NetworkMode = 'pass' | 'drop' | 'refuse';

/** Stands between nodes and their database, and breaks when a test says so. */
export class BrokenNetwork {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  readonly #muted = new WeakSet<Socket>();
  readonly #server: Server;
  #mode: NetworkMode = 'pass';

  constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#server = createServer(client => this.#accept(client));
  }

  /**
   * @param host where it listens: an address of this machine
   * @returns `url` with this network's address in it.
   */
  static async inFrontOf(url: string, host = '127.0.0.1'): Promise<{ network: BrokenNetwork; url: string }> {
    const moved = new URL(url);
    const network = new BrokenNetwork({ host: moved.hostname, port: Number(moved.port) });
    moved.hostname = host;
    moved.port = String(await network.#listen(host));
    return { network, url: moved.href };
  }

  /** Refusing cuts what stands; dropping lets it stand, silent. */
  become(mode: NetworkMode): void {
    // What was swallowed is lost: a connection that missed packets cannot go on.
    if (mode === 'refuse' || this.#mode === 'drop') this.#cut();
    this.#mode = mode;
  }

  /** What stands stays silent for ever; new connections pass. */
  muteStanding(): void {
    for (const socket of this.#sockets) this.#muted.add(socket);
  }

  async close(): Promise<void> {
    this.#cut();
    await new Promise(done => this.#server.close(done));
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  #listen(host: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, host, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  #accept(client: Socket): void {
    if (this.#mode === 'refuse') {
      client.destroy();
      return;
    }
    const database = connect(this.#target);
    for (const [from, to] of [
      [client, database],
      [database, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('data', (bytes: Buffer) => {
        if (this.#mode === 'pass' && !this.#muted.has(from)) to.write(bytes);
      });
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
