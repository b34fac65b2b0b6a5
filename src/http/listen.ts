import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Rejects when the address is taken or not ours. */
export function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
}

/** The one it got, where it was to take any. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
