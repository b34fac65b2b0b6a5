import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { createGuardedFetch } from '../../src/outbound/guarded-fetch.js';
import {
  fieldOf,
  SecretStoreError,
  type SecretStoreParts,
  SecretStores,
} from '../../src/outbound/secret-stores.js';

const SECRET = 'correct-horse-battery-staple';
const VERSION = 'projects/p/secrets/s/versions/latest';
const AZURE = { vaultUrl: 'https://v.vault.azure.net', name: 'root-key', version: undefined };

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

async function failure(work: Promise<unknown>): Promise<SecretStoreError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof SecretStoreError) return error;
    throw error;
  }
  throw new Error('it succeeded');
}

describe('secret stores of clouds', () => {
  let server: Server;
  let origin: string;
  let seen: Seen[];
  /** What the next requests get, first come first served. */
  let answers: { status: number; body: unknown }[];
  const { signal } = new AbortController();

  before(async () => {
    server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { method = '', url = '', headers } = request;
      seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      const { status, body } = answers.shift() ?? { status: 500, body: {} };
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
    });
    await new Promise<void>(ready => server.listen(0, '127.0.0.1', ready));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  beforeEach(() => {
    seen = [];
    answers = [];
  });

  after(async () => {
    server.closeAllConnections();
    await new Promise(done => server.close(done));
  });

  function stores(more: SecretStoreParts = {}): SecretStores {
    const guarded = createGuardedFetch(['127.0.0.1']);
    return new SecretStores({
      // The names of clouds are fixed; what is asked there is asked here.
      fetch: (url, init) => guarded(String(url).replace(/^https:\/\/[^/]+/, origin), init),
      googleToken: async () => 'ya29.google',
      azureToken: async scope => `azure token for ${scope}`,
      aws: {
        endpoint: origin,
        region: 'eu-central-1',
        credentials: { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'not-a-real-one' },
      },
      ...more,
    });
  }

  describe('AWS Secrets Manager, by its own library', () => {
    it('is asked by signed requests for a secret that is text or bytes', async () => {
      const binary = Buffer.from(SECRET).toString('base64');
      answers = [
        { status: 200, body: { Name: 'claviger', SecretString: SECRET } },
        { status: 200, body: { Name: 'claviger', SecretBinary: binary } },
      ];
      const asking = stores();
      expect(await asking.readAws('prod/claviger', signal)).to.equal(SECRET);
      expect(await asking.readAws('prod/claviger', signal)).to.equal(SECRET);
      const [first] = seen;
      expect(first?.headers['x-amz-target']).to.equal('secretsmanager.GetSecretValue');
      expect(first?.headers.authorization).to.match(/^AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE\//);
      expect(JSON.parse(first?.body ?? '')).to.deep.equal({ SecretId: 'prod/claviger' });
    });

    it('says what to do when it refuses', async () => {
      const refusal = (name: string) => ({ status: 400, body: { __type: name, message: `${name} it is` } });
      answers = [
        refusal('ResourceNotFoundException'),
        refusal('AccessDeniedException'),
        refusal('SomethingNew'),
      ];
      const asking = stores();
      expect((await failure(asking.readAws('none', signal))).message).to.match(
        /no such secret in this region/,
      );
      expect((await failure(asking.readAws('mine', signal))).message).to.match(
        /grant secretsmanager:GetSecretValue/,
      );
      expect((await failure(asking.readAws('mine', signal))).message).to.match(/SomethingNew it is/);
    });
  });

  describe('Google Secret Manager', () => {
    it('is asked for a version, with one access token for all', async () => {
      let asked = 0;
      const data = Buffer.from(SECRET).toString('base64');
      answers = [
        { status: 503, body: {} },
        { status: 200, body: { name: VERSION, payload: { data } } },
        { status: 200, body: { payload: { data } } },
      ];
      const asking = stores({
        googleToken: async () => {
          asked += 1;
          return 'ya29.google';
        },
      });
      expect(await asking.readGoogle(VERSION, signal)).to.equal(SECRET);
      expect(await asking.readGoogle(VERSION, signal)).to.equal(SECRET);
      expect(asked).to.equal(1);
      expect(seen.map(({ url }) => url)).to.deep.equal(Array(3).fill(`/v1/${VERSION}:access`));
      expect(seen[0]?.headers.authorization).to.equal('Bearer ya29.google');
    });

    it('is asked where the secret lives, if it lives in one region', async () => {
      const urls: string[] = [];
      const asking = stores({
        fetch: async url => {
          urls.push(String(url));
          return Response.json({ payload: { data: '' } });
        },
      });
      await asking.readGoogle('projects/p/locations/europe-west3/secrets/s/versions/1', signal);
      expect(new URL(urls[0] ?? '').host).to.equal('secretmanager.europe-west3.rep.googleapis.com');
    });
  });

  describe('Azure Key Vault', () => {
    it('is asked for a secret, with a token for the vaults of that cloud', async () => {
      answers = [
        { status: 200, body: { value: SECRET, id: 'https://v.vault.azure.net/secrets/root-key/1' } },
        { status: 200, body: { value: SECRET } },
      ];
      const asking = stores();
      expect(await asking.readAzure(AZURE, signal)).to.equal(SECRET);
      await asking.readAzure({ ...AZURE, vaultUrl: 'https://v.vault.azure.cn', version: 'abc' }, signal);
      expect(seen.map(({ url }) => url)).to.deep.equal([
        '/secrets/root-key?api-version=7.4',
        '/secrets/root-key/abc?api-version=7.4',
      ]);
      expect(seen.map(({ headers }) => headers.authorization)).to.deep.equal([
        'Bearer azure token for https://vault.azure.net/.default',
        'Bearer azure token for https://vault.azure.cn/.default',
      ]);
    });

    it('needs a package that is not part of the installation, and names it', async () => {
      const asking = new SecretStores();
      expect((await failure(asking.readAzure(AZURE, signal))).message).to.equal(
        'Its package is missing. Run: npm install @azure/identity',
      );
    });
  });

  it('tell refusals apart, and repeat neither a token nor what was read', async () => {
    const says = { error: { message: 'Bearer ya29.google is not allowed' } };
    answers = [
      { status: 403, body: says },
      { status: 404, body: {} },
      { status: 400, body: {} },
      { status: 200, body: { payload: { data: 5 } } },
    ];
    const asking = stores();
    const denied = await failure(asking.readGoogle(VERSION, signal));
    expect(denied.message).to.match(/grant this machine reading of the secret \(it says: .*\[redacted\]/);
    expect(inspect(denied)).to.not.include('ya29.google');
    expect((await failure(asking.readGoogle(VERSION, signal))).message).to.match(/no such secret/);
    expect((await failure(asking.readGoogle(VERSION, signal))).message).to.match(/it answers 400/);
    expect(await asking.readGoogle(VERSION, signal)).to.equal('');
    const gone = stores({ fetch: createGuardedFetch([]) });
    expect(
      (await failure(gone.readAzure({ ...AZURE, vaultUrl: 'https://10.0.0.1' }, signal))).message,
    ).to.match(/Azure Key Vault cannot be reached \(10\.0\.0\.1 is 10\.0\.0\.1, which is not public/);
  });

  it('give one field of a secret that is JSON, and no hint of the rest', () => {
    expect(fieldOf(JSON.stringify({ password: SECRET, port: 5432, on: true }), 'password')).to.equal(SECRET);
    expect(fieldOf('{"port":5432}', 'port')).to.equal('5432');
    for (const [secret, field, says] of [
      [SECRET, 'password', /no JSON object/],
      [`{"password":"${SECRET}"`, 'password', /no JSON object/],
      [`{"password":"${SECRET}"}`, 'pasword', /no field pasword/],
      [`{"password":["${SECRET}"]}`, 'password', /is no text/],
      ['{}', '__proto__', /no field/],
      ['{}', 'constructor', /no field/],
    ] as const) {
      expect(() => fieldOf(secret, field))
        .to.throw(SecretStoreError, says)
        .with.property('message')
        .that.does.not.include('horse');
    }
  });
});
