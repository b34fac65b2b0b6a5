import { Secret } from '../../src/config/config.js';
import { readRootKeyReference } from '../../src/config/root-key-reference.js';
import { Pkcs11Token } from '../../src/crypto/pkcs11.js';
import type { RootKey } from '../../src/crypto/root-key.js';
import { createGuardedFetch } from '../../src/outbound/guarded-fetch.js';
import { VaultClient } from '../../src/outbound/vault-client.js';
import { gcpKmsRootKey } from '../../src/root-keys/gcp-kms-root-key.js';
import { openRootKey, type RootKeyPlaces } from '../../src/root-keys/open-root-key.js';
import { KmsServer } from '../support/kms-server.js';
import { makeSoftToken, type SoftToken, skipWithoutSoftHsm } from '../support/softhsm.js';
import { VaultServer } from '../support/vault-server.js';

/** Somewhere a root key lives, that a test can replace, break and take away. */
export interface Place {
  readonly backend: RootKey['backend'];
  start(context: Mocha.Context): Promise<void>;
  /** The root key by its name, as a node that starts opens it. */
  rootKey(name?: string): RootKey;
  /** From now on there is another key under the name. */
  exchange(): Promise<void>;
  leave(): Promise<void>;
  stop(): Promise<void>;
}

const nowhere = (): never => {
  throw new Error('another place than this test expects');
};
const NOWHERE: RootKeyPlaces = { vault: nowhere, token: nowhere, fetch: nowhere };

function transit(): Place {
  const server = new VaultServer();
  let client: VaultClient;
  const make = (name: string) => client.createKey('transit', name, 'aes256-gcm96');
  return {
    backend: 'transit',
    async start() {
      const address = await server.listen();
      const authentication = { kind: 'token', token: new Secret(server.rootToken) } as const;
      client = new VaultClient({ address, authentication, wait: async () => undefined });
      await make('claviger');
      await make('other');
    },
    rootKey: (name = 'claviger') =>
      openRootKey(new Secret(`transit:${name}`), { ...NOWHERE, vault: () => client }),
    async exchange() {
      await client.deleteKey('transit', 'claviger');
      await make('claviger');
    },
    leave: () => server.close(),
    stop: async () => undefined,
  };
}

function pkcs11(): Place {
  let soft: SoftToken;
  const opened: Pkcs11Token[] = [];
  const connect = () => {
    const { modulePath, tokenLabel, pin } = soft;
    const options = { modulePath, tokenLabel, pin: new Secret(pin), sessions: 1 };
    const token = new Pkcs11Token(options, soft.connect);
    opened.push(token);
    return token;
  };
  async function makeToken(): Promise<void> {
    soft = makeSoftToken();
    const token = connect();
    await token.generateAesKey('claviger');
    await token.generateAesKey('other');
    token.close();
  }
  return {
    backend: 'pkcs11',
    async start(context) {
      skipWithoutSoftHsm(context);
      await makeToken();
    },
    rootKey: (name = 'claviger') => openRootKey(new Secret(`pkcs11:${name}`), { ...NOWHERE, token: connect }),
    async exchange() {
      soft.drop();
      await makeToken();
    },
    async leave() {
      for (const token of opened) token.close();
      soft.takeAway();
    },
    async stop() {
      for (const token of opened) token.close();
      soft?.drop();
    },
  };
}

const ARN = 'arn:aws:kms:eu-central-1:111122223333:key/';
const AWS_ENVIRONMENT = ['AWS_ENDPOINT_URL_KMS', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'] as const;

function awsKms(): Place {
  const server = new KmsServer();
  const before = new Map<string, string | undefined>();
  const idOf = (name: string) => `${name}-1234-5678`;
  return {
    backend: 'aws-kms',
    async start() {
      await server.listen();
      for (const name of AWS_ENVIRONMENT) before.set(name, process.env[name]);
      process.env.AWS_ENDPOINT_URL_KMS = `http://${server.host}`;
      process.env.AWS_ACCESS_KEY_ID = 'AKIATEST';
      process.env.AWS_SECRET_ACCESS_KEY = 'a secret for a test';
      for (const name of ['claviger', 'other']) server.createKey(`${ARN}${idOf(name)}`);
    },
    rootKey: (name = 'claviger') => openRootKey(new Secret(`aws-kms:${ARN}${idOf(name)}`), NOWHERE),
    exchange: async () => server.createKey(`${ARN}${idOf('claviger')}`),
    leave: () => server.close(),
    async stop() {
      await server.close();
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    },
  };
}

const RING = 'projects/p/locations/europe-west3/keyRings/r/cryptoKeys/';

function gcpKms(): Place {
  const server = new KmsServer();
  let endpoint = '';
  return {
    backend: 'gcp-kms',
    async start() {
      await server.listen();
      endpoint = `http://${server.host}`;
      for (const name of ['claviger', 'other']) server.createKey(`${RING}${name}`);
    },
    rootKey(name = 'claviger') {
      const reading = readRootKeyReference(`gcp-kms:${RING}${name}`);
      if ('problem' in reading || reading.reference.backend !== 'gcp-kms')
        throw new Error('no such reference');
      return gcpKmsRootKey(reading.reference, {
        fetch: createGuardedFetch(['127.0.0.1']),
        endpoint,
        accessToken: async () => server.accessToken,
      });
    },
    exchange: async () => server.createKey(`${RING}claviger`),
    leave: () => server.close(),
    stop: () => server.close(),
  };
}

export const PLACES: readonly (() => Place)[] = [transit, pkcs11, awsKms, gcpKms];
