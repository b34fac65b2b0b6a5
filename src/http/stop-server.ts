import type { Server, ServerResponse } from 'node:http';

/** Milliseconds in which open connections learn, with an answer, that it is their last. */
const LINGER_FOR = 100;

/**
 * Ends a server without cutting anybody's request. Node alone leaves a kept-alive connection open after its answer,
 * so a busy server would go on until the deadline and then cut what is under way.
 *
 * @returns to be called once: no new connections; those under way get their answer, and at most `seconds` to take it.
 */
export function stoppable(server: Server): (seconds: number) => Promise<void> {
  const underWay = new Set<ServerResponse>();
  let isStopping = false;
  server.prependListener('request', (_req, res) => {
    if (isStopping) res.shouldKeepAlive = false;
    underWay.add(res);
    res.once('close', () => underWay.delete(res));
  });
  return async seconds => {
    isStopping = true;
    // Becomes `Connection: close`, after which the caller sends nothing more on this connection (RFC 9112 §9.6).
    for (const res of underWay) res.shouldKeepAlive = false;
    // `close` cuts a connection whose next request is on its way and not yet read; it gets a moment to arrive.
    if ((await connectionsOf(server)) > 0) {
      await new Promise(resolve => setTimeout(resolve, Math.min(LINGER_FOR, seconds * 1000)));
    }
    await new Promise<void>(resolve => {
      const deadline = setTimeout(() => server.closeAllConnections(), seconds * 1000);
      server.close(() => {
        clearTimeout(deadline);
        resolve();
      });
      server.closeIdleConnections();
    });
  };
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise(resolve => server.getConnections((error, count) => resolve(error === null ? count : 0)));
}
