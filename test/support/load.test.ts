import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { startLoad } from './load.js';

describe('load generator', () => {
  it('keeps N connections busy and counts every answer and every failure', async () => {
    let connections = 0;
    let requests = 0;
    let release: () => void = () => undefined;
    const enough = new Promise<void>(done => {
      release = done;
    });
    const server = createServer((incoming, outgoing) => {
      requests += 1;
      if (requests === 400) release();
      if (requests % 100 === 0) incoming.socket.destroy();
      else outgoing.writeHead(requests % 10 === 0 ? 503 : 200).end(incoming.method);
    });
    server.on('connection', () => {
      connections += 1;
    });
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const seen: string[] = [];
    const load = startLoad({
      connections: 8,
      next: count => ({ url: `http://127.0.0.1:${port}/${count}`, body: 'a=b' }),
      onResponse: ({ body }) => {
        seen.push(body);
      },
    });
    await enough;
    const result = await load.stop();
    server.close();
    expect(result.responses + result.errors.length).to.equal(requests);
    expect(result.errors.length).to.equal(Math.floor(requests / 100));
    expect([...result.statuses.keys()].sort()).to.deep.equal([200, 503]);
    expect(seen).to.have.lengthOf(result.responses).and.to.include('POST');
    expect(connections).to.be.within(8, 8 + result.errors.length);
  });

  it('tells what an answer was judged to be wrong', async () => {
    const server = createServer((_incoming, outgoing) => outgoing.end('x'));
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    let judged: () => void = () => undefined;
    const first = new Promise<void>(done => {
      judged = done;
    });
    const load = startLoad({
      connections: 2,
      next: () => ({ url: `http://127.0.0.1:${port}/` }),
      onResponse: () => {
        judged();
        throw new Error('a wrong answer');
      },
    });
    await first;
    const ended = await load.stop().catch((error: Error) => error.message);
    server.close();
    expect(ended).to.equal('a wrong answer');
  });
});
