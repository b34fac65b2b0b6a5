import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { makeDevelopmentCertificate } from '../../certs/make-dev-certs.js';
import {
  createGuardedFetch,
  type GuardedFetch,
  type GuardOptions,
  OutboundError,
} from '../../src/outbound/guarded-fetch.js';

/** V8 gives its collector to contexts that are made after the flag is set. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

async function listening(answer: RequestListener, host: string): Promise<Server> {
  const server = createServer(answer);
  await new Promise<void>(ready => server.listen(0, host, ready));
  return server;
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof OutboundError) return error.reason;
    throw error;
  }
  return 'answered';
}

/** As an attacker would spell addresses that only this server can reach. */
function forbidden(port: number): string[] {
  const hosts = [
    '127.0.0.1',
    '127.1',
    '127.0.0.2',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '017700000001',
    '0177.0.0.1',
    '0',
    '0.0.0.0',
    'localhost',
    'LOCALHOST.',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::127.0.0.1]',
    '[64:ff9b:1::7f00:1]',
    '[2002:7f00:1::]',
    '[2001:0:7f00:1::1]',
    '[fe80::1]',
    '[fec0::1]',
    '[fc00::1]',
    '[fd00:ec2::254]',
    '[ff02::1]',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.254',
    '192.168.1.1',
    '100.64.0.1',
    '100.100.100.200',
    '169.254.169.254',
    '168.63.129.16',
    '192.0.0.192',
    '192.0.2.1',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '１２７.０.０.１',
    'inside.example',
    'both.example',
  ];
  return hosts.flatMap(host => [`http://${host}:${port}/x`, `https://${host}:${port}/x`]);
}

const RECORDS: Readonly<Record<string, readonly string[]>> = {
  localhost: ['127.0.0.1', '::1'],
  'localhost.': ['127.0.0.1'],
  'inside.example': ['127.0.0.1'],
  'both.example': ['93.184.215.14', '127.0.0.1'],
};

const resolve: GuardOptions['resolve'] = async host => RECORDS[host] ?? [];

describe('the guarded fetch (requirement 80)', () => {
  let canary: Server;
  let port: number;
  let seen = 0;
  let sockets = 0;
  let respond: RequestListener;
  const count = () => {
    sockets += 1;
  };

  before(async () => {
    // All addresses of this machine, as an IPv6 socket that takes IPv4 too.
    canary = await listening((request, response) => respond(request, response), '::');
    canary.on('connection', () => {
      seen += 1;
    });
    port = (canary.address() as AddressInfo).port;
    subscribe('net.client.socket', count);
  });

  beforeEach(() => {
    seen = 0;
    sockets = 0;
    respond = (_request, response) => response.end('canary');
  });

  after(() => {
    unsubscribe('net.client.socket', count);
    canary.closeAllConnections();
    canary.close();
  });

  const guarded = createGuardedFetch([], { resolve });
  const open = (options: GuardOptions = {}): GuardedFetch =>
    createGuardedFetch(['127.0.0.0/8'], { resolve, ...options });
  const target = (path = '/') => `http://127.0.0.1:${port}${path}`;

  it('opens no connection for any spelling of an address that is not public', async () => {
    const urls = forbidden(port);
    expect(urls.length).to.be.at.least(30);
    for (const url of urls) expect(await reasonOf(guarded(url)), url).to.equal('forbidden');
    expect({ seen, sockets }).to.deep.equal({ seen: 0, sockets: 0 });
  });

  it('would have opened them without the guard (control)', async () => {
    for (const host of ['127.1', '2130706433', '0x7f000001', '017700000001', '127.0.0.1']) {
      const answer = await fetch(`http://${host}:${port}/x`);
      expect(await answer.text()).to.equal('canary');
    }
    expect(seen).to.be.at.least(1);
    expect(sockets).to.be.at.least(1);
  });

  it('calls nothing but http and https, and no URL with credentials', async () => {
    for (const url of [
      'ftp://93.184.215.14/',
      'file:///etc/passwd',
      '//127.0.0.1/',
      'http://256.256.256.256/',
      'gopher://127.0.0.1/',
      `http://user@127.0.0.1:${port}/`,
      `http://user:word@127.0.0.1:${port}/`,
    ]) {
      expect(await reasonOf(open()(url)), url).to.equal('forbidden');
    }
    expect(seen).to.equal(0);
  });

  it('repeats nothing of a header that cannot be sent', async () => {
    const headers = { authorization: 'Bearer two\nlines' };
    const refused = await open()(target(), { headers }).catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(OutboundError);
    expect(inspect(refused)).to.not.include('lines');
    // The platform itself does (control).
    expect(() => new Request(target(), { headers })).to.throw(/lines/);
  });

  it('calls public addresses by https only', async () => {
    const publicly = createGuardedFetch([], { resolve: async () => ['93.184.215.14'] });
    expect(await reasonOf(publicly('http://public.example/'))).to.equal('forbidden');
    expect(sockets).to.equal(0);
  });

  it('connects to the address it has checked, whatever the name says later (DNS rebinding)', async () => {
    let asked = 0;
    const rebinding = createGuardedFetch(['127.0.0.0/8'], {
      resolve: async () => {
        asked += 1;
        return asked === 1 ? ['127.0.0.1'] : ['10.0.0.1'];
      },
    });
    const answer = await rebinding(`http://rebinding.example:${port}/`);
    expect(await answer.text()).to.equal('canary');
    expect(asked).to.equal(1);
    expect(await reasonOf(rebinding(`http://rebinding.example:${port}/`))).to.equal('forbidden');
    expect(seen).to.equal(1);
  });

  it('calls an address in an allowed network, sends what it is given, and answers with a real Response', async () => {
    respond = async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method: request.method, body, type: request.headers['content-type'] }));
    };
    const answer = await open()(target(), { method: 'POST', body: new URLSearchParams({ a: 'b' }) });
    expect(answer).to.be.instanceOf(Response);
    expect(answer.headers.get('content-type')).to.equal('application/json');
    expect(await answer.json()).to.deep.equal({
      method: 'POST',
      body: 'a=b',
      type: 'application/x-www-form-urlencoded;charset=UTF-8',
    });
  });

  it('calls an allowed IPv6 address, and an IPv4 address not in IPv6 clothes', async () => {
    const six = createGuardedFetch(['::1']);
    expect(await (await six(`http://[::1]:${port}/`)).text()).to.equal('canary');
    expect(await reasonOf(open()(`http://[::ffff:127.0.0.1]:${port}/`))).to.equal('forbidden');
    expect(seen).to.equal(1);
  });

  it('asks the pinned address for the certificate of the name, and refuses one that nobody it trusts signed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'claviger-outbound-'));
    const made = makeDevelopmentCertificate(folder);
    const names: string[] = [];
    const server = createTlsServer(
      {
        key: readFileSync(made.key),
        cert: readFileSync(made.certificate),
        SNICallback: (name, done) => {
          names.push(name);
          done(null);
        },
      },
      (_request, response) => response.end('answered'),
    );
    rmSync(folder, { recursive: true });
    await new Promise<void>(ready => server.listen(0, '127.0.0.1', ready));
    try {
      const named = createGuardedFetch(['127.0.0.1'], { resolve: async () => ['127.0.0.1'] });
      const { port: tlsPort } = server.address() as AddressInfo;
      expect(await reasonOf(named(`https://named.example:${tlsPort}/`))).to.equal('failed');
    } finally {
      await new Promise(closed => server.close(closed));
    }
    expect(names).to.deep.equal(['named.example']);
  });

  it('follows no redirect', async () => {
    respond = (request, response) => {
      expect(request.url).to.equal('/');
      response.writeHead(302, { location: target('/inside') }).end();
    };
    const answer = await open()(target(), { redirect: 'follow' });
    expect(answer.status).to.equal(302);
    expect(seen).to.equal(1);
  });

  it('ends an answer at 64 KiB, also one that is compressed or never ends', async () => {
    respond = (_request, response) => response.end(Buffer.alloc(65_536, 'a'));
    expect((await (await open()(target())).text()).length).to.equal(65_536);

    respond = (_request, response) => response.end(Buffer.alloc(65_537, 'a'));
    expect(await reasonOf(open()(target()))).to.equal('too_large');

    respond = (_request, response) => {
      response.setHeader('content-encoding', 'gzip');
      response.end(gzipSync(Buffer.alloc(10_000_000)));
    };
    expect(await reasonOf(open()(target()))).to.equal('too_large');

    respond = (_request, response) => {
      const more = () => {
        while (response.write(Buffer.alloc(16_384)));
      };
      response.on('drain', more);
      more();
    };
    expect(await reasonOf(open()(target()))).to.equal('too_large');
  });

  it('gives the whole exchange one time limit', async () => {
    const quick = open({ timeoutAfter: 0.1 });
    respond = () => undefined;
    expect(await reasonOf(quick(target()))).to.equal('timed_out');

    // Each byte in time, the whole never.
    respond = (_request, response) => {
      const dripping = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(dripping));
    };
    expect(await reasonOf(quick(target()))).to.equal('timed_out');

    // Whoever calls may have less time.
    respond = () => undefined;
    const caller = new AbortController();
    const called = reasonOf(open()(target(), { signal: caller.signal }));
    caller.abort();
    expect(await called).to.equal('timed_out');
    expect(await reasonOf(open()(target(), { signal: caller.signal }))).to.equal('timed_out');

    // A signal that only weak references hold does not get lost.
    const pending = reasonOf(quick(target()));
    const collectGarbage = garbageCollector();
    const collect = setInterval(collectGarbage, 5);
    expect(await pending).to.equal('timed_out');
    clearInterval(collect);

    const slowNames = createGuardedFetch([], {
      resolve: () => new Promise(() => undefined),
      timeoutAfter: 0.1,
    });
    expect(await reasonOf(slowNames('https://slow.example/'))).to.equal('timed_out');
  });

  it('takes no proxy from the environment', async () => {
    const { http_proxy: former } = process.env;
    process.env.http_proxy = 'http://127.0.0.1:1';
    try {
      expect((await open()(target())).status).to.equal(200);
    } finally {
      if (former === undefined) delete process.env.http_proxy;
      else process.env.http_proxy = former;
    }
  });

  it('refuses an allowed network that is none', () => {
    expect(() => createGuardedFetch(['everything'])).to.throw(TypeError);
  });
});
