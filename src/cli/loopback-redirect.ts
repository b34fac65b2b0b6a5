import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError } from '../errors.js';

/** Seconds in which the person has to sign in. */
const PATIENCE_FOR = 300;
const LONGEST_URL = 8192;

export interface LoopbackRedirect {
  readonly redirectUri: string;
  /** @throws AppError `not_ready` when nobody came back in time. */
  answer(): Promise<URLSearchParams>;
  close(): void;
}

/** RFC 8252 §7.3: a program on this machine waits for the browser on a port of the loopback interface. */
export async function waitOnLoopback(wanted: URL): Promise<LoopbackRedirect> {
  let arrived: (parameters: URLSearchParams) => void = () => undefined;
  const parameters = new Promise<URLSearchParams>(resolve => {
    arrived = resolve;
  });
  const server = createServer((req, res) => {
    const url =
      (req.url ?? '').length > LONGEST_URL ? undefined : new URL(req.url ?? '/', 'http://127.0.0.1');
    // A browser asks for an icon, too.
    if (url?.pathname !== wanted.pathname) {
      res.writeHead(404).end();
      return;
    }
    res.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' });
    res.end('The answer has arrived. Go back to the terminal; this page can be closed.\n');
    arrived(url.searchParams);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // `localhost` is left to this machine: browsers try both of its addresses.
    server.listen(Number(wanted.port), wanted.hostname.replace(/[[\]]/g, ''), resolve);
  });
  const redirectUri = new URL(wanted);
  redirectUri.port = String((server.address() as AddressInfo).port);
  return {
    redirectUri: redirectUri.href,
    async answer() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () =>
            reject(new AppError('not_ready', 'Nobody came back from the sign-in in 5 minutes. Begin again.')),
          PATIENCE_FOR * 1000,
        );
      });
      try {
        return await Promise.race([parameters, late]);
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => server.close(),
  };
}
