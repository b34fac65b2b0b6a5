import { expect } from 'chai';
import { Secret } from '../../src/config/config.js';
import { readRootKeyReference } from '../../src/config/root-key-reference.js';
import { bound, type RootKey } from '../../src/crypto/root-key.js';
import { createGuardedFetch } from '../../src/outbound/guarded-fetch.js';
import { VaultClient } from '../../src/outbound/vault-client.js';
import { type GcpKmsParts, gcpKmsRootKey } from '../../src/root-keys/gcp-kms-root-key.js';
import { assertWorks } from '../../src/root-keys/probe.js';
import { transitRootKey } from '../../src/root-keys/transit-root-key.js';
import { KmsServer } from '../support/kms-server.js';
import { VaultServer } from '../support/vault-server.js';
import { refusalOf } from './installations.js';

const KEY = Buffer.from('0123456789abcdef0123456789abcdef');
const NAME = 'projects/p/locations/europe-west3/keyRings/r/cryptoKeys/claviger';

function reference<B extends 'transit' | 'gcp-kms'>(text: `${B}:${string}`) {
  const reading = readRootKeyReference(text);
  if ('problem' in reading) throw new Error(reading.problem);
  return reading.reference;
}

describe('a root key in a Vault that ignores associated data', () => {
  const server = new VaultServer();
  let client: VaultClient;
  before(async () => {
    const address = await server.listen();
    client = new VaultClient({
      address,
      authentication: { kind: 'token', token: new Secret(server.rootToken) },
      wait: async () => undefined,
    });
    await client.createKey('transit', 'claviger', 'aes256-gcm96');
  });
  after(() => server.close());

  /** As versions before 1.9 do, without a word. */
  const forgetful = () => ({
    encrypt: (mount: string, key: string, plaintext: Uint8Array) => client.encrypt(mount, key, plaintext),
    decrypt: (mount: string, key: string, ciphertext: string) => client.decrypt(mount, key, ciphertext),
  });

  it('opens what it wrapped in its own row only', async () => {
    const found = reference('transit:claviger');
    if (found.backend !== 'transit') throw new Error('another backend');
    const rootKey = transitRootKey(found, forgetful);
    const wrapped = await rootKey.wrap(KEY, 'data_key:pepper:a');
    expect((await rootKey.unwrap(wrapped, 'data_key:pepper:a')).equals(KEY)).to.equal(true);
    const refused = await refusalOf(rootKey.unwrap(wrapped, 'data_key:cookie:b'));
    expect(refused.code).to.equal('sealed_value_damaged');
  });

  it('would open it in every row without the hash of the row beside it (control)', async () => {
    const { encrypt, decrypt } = forgetful();
    const wrapped = await encrypt('transit', 'claviger', KEY);
    expect((await decrypt('transit', 'claviger', wrapped)).equals(KEY)).to.equal(true);
    expect(bound(KEY, 'data_key:pepper:a').equals(bound(KEY, 'data_key:cookie:b'))).to.equal(false);
  });

  it('names what to do when the token may not use the key, and never the token', async () => {
    const found = reference('transit:claviger');
    if (found.backend !== 'transit') throw new Error('another backend');
    const stranger = new Secret('hvs.stranger0000000000');
    const denied = transitRootKey(
      found,
      () =>
        new VaultClient({
          address: server.address,
          authentication: { kind: 'token', token: stranger },
          wait: async () => undefined,
        }),
    );
    const refused = await refusalOf(denied.wrap(KEY, 'c'));
    expect(refused.code).to.equal('root_key_unavailable');
    expect(refused.message).to.include('policy').and.include('transit:transit/claviger');
    expect(`${refused.message}${refused.detail}`).to.not.include(stranger.reveal());
  });
});

describe('a root key in Google Cloud KMS', function () {
  this.timeout(20_000);
  const server = new KmsServer();
  const before_ = new Map<string, string | undefined>();
  const ENVIRONMENT = ['GCE_METADATA_HOST', 'METADATA_SERVER_DETECTION', 'GOOGLE_APPLICATION_CREDENTIALS'];

  before(async () => {
    await server.listen();
    server.createKey(NAME);
    for (const name of ENVIRONMENT) before_.set(name, process.env[name]);
    process.env.GCE_METADATA_HOST = server.host;
    process.env.METADATA_SERVER_DETECTION = 'assume-present';
    delete process.env.GOOGLE_APPLICATION_CREDENTIALS;
  });
  after(async () => {
    for (const [name, value] of before_) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await server.close();
  });

  function rootKey(parts: Partial<GcpKmsParts> = {}): RootKey {
    const found = reference(`gcp-kms:${NAME}`);
    if (found.backend !== 'gcp-kms') throw new Error('another backend');
    return gcpKmsRootKey(found, {
      fetch: createGuardedFetch(['127.0.0.1']),
      endpoint: `http://${server.host}`,
      ...parts,
    });
  }

  it('is used with the access token of the machine, which the metadata server gives', async () => {
    await assertWorks(rootKey());
    expect(server.requests.filter(line => line.includes('/service-accounts/default/token'))).to.have.length(
      1,
    );
  });

  it('is asked again when it fails in passing', async () => {
    server.faults.push(503, 429);
    await assertWorks(rootKey({ accessToken: async () => server.accessToken }));
  });

  it('is named in no error together with what was sent, even when the other side repeats it', async () => {
    const sent: string[] = [];
    const echo: GcpKmsParts['fetch'] = async (_url, init) => {
      sent.push(JSON.parse(String(init?.body)).plaintext as string);
      const message = `Invalid value at 'plaintext': ${sent[0]}, with ${new Headers(init?.headers).get('authorization')}`;
      return Response.json({ error: { status: 'INVALID_ARGUMENT', message } }, { status: 400 });
    };
    const refused = await refusalOf(
      rootKey({ fetch: echo, accessToken: async () => 'ya29.something' }).wrap(KEY, 'c'),
    );
    expect(sent[0]).to.equal(bound(KEY, 'c').toString('base64'));
    expect(refused.message).to.include("Invalid value at 'plaintext'");
    expect(`${refused.message}${refused.detail}`).to.not.include(sent[0]).and.not.include('ya29');
  });

  it('is not called with a token that is no good twice, and the token appears nowhere', async () => {
    const before = server.requests.length;
    const refused = await refusalOf(assertWorks(rootKey({ accessToken: async () => 'ya29.expired' })));
    expect(server.requests.length - before).to.equal(1);
    expect(refused.code).to.equal('root_key_unavailable');
    expect(refused.message).to.include('401 UNAUTHENTICATED');
    expect(`${refused.message}${refused.detail}`).to.not.include('ya29');
  });
});
