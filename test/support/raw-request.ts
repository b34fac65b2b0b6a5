import { connect } from 'node:net';

/** Sends bytes as they are, and returns what came back until the server closed or fell silent for `silence` ms. */
export async function rawRequest(port: number, bytes: string | Buffer, silence = 2_000): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.setTimeout(silence, () => resolve());
    socket.on('data', chunk => chunks.push(chunk));
    socket.once('close', () => resolve());
    socket.once('error', error => (chunks.length > 0 ? resolve() : reject(error)));
    socket.write(bytes);
  });
  socket.destroy();
  return Buffer.concat(chunks).toString('latin1');
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
}
