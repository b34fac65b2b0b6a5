import { expect } from 'chai';
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  importJWK,
  type JSONWebKeySet,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';
import { Secret } from '../../src/config/config.js';
import { dataKeyContext } from '../../src/crypto/data-key.js';
import { Envelope } from '../../src/crypto/envelope.js';
import { generateRootKey, localRootKey } from '../../src/crypto/root-key.js';
import { isAppError } from '../../src/errors.js';
import { sealContext } from '../../src/keys/rotate.js';
import { createLogger } from '../../src/log.js';
import { type RunningServer, startServer } from '../../src/server.js';
import { forEachDatabase } from '../support/databases.js';
import { type Dump, dumpOf } from '../support/dump.js';
import { Cluster, get, token } from '../support/nodes.js';

const PRIVATE_PARAMETERS = ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const;

/** What a thief of the dump does with a root key: unwrap the data key, then open each private half. */
async function recover(dump: Dump, rootKey: string): Promise<JWK[]> {
  const root = localRootKey(rootKey);
  const stored = dump.data_keys?.find(({ purpose }) => purpose === 'signing_key');
  const id = String(stored?.id);
  const key = await root.unwrap(String(stored?.wrapped), dataKeyContext('signing_key', id));
  const envelope = new Envelope({ id, key });
  return (dump.signing_keys ?? [])
    .filter(({ sealed_private }) => sealed_private !== null)
    .map(({ kid, sealed_private }) =>
      JSON.parse(envelope.open(String(sealed_private), sealContext(String(kid))).toString()),
    );
}

/** Every way the value could stand in a text: as it is, in hex, in base64. */
function appearancesOf(secret: string, text: string): number {
  const bytes = Buffer.from(secret, 'base64url');
  const forms = [
    secret,
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    bytes.toString('base64'),
  ];
  return forms.filter(form => text.includes(form)).length;
}

describe('private keys at rest (requirement 67)', () => {
  forEachDatabase((_name, fresh) => {
    let cluster: Cluster;
    let node: RunningServer;

    before(async () => {
      cluster = new Cluster({ url: (await fresh()).url });
      node = await cluster.start({ hasTimers: false });
      await cluster.resourceServer();
      await token(node, await cluster.client());
    });

    after(() => cluster.close());

    const dump = async () => dumpOf((await cluster.operator()).database);
    const startWith = (rootKey: string) =>
      startServer({
        config: cluster.config,
        rootKey: new Secret(rootKey),
        log: createLogger(cluster.config.log, { write: () => undefined }),
        hasTimers: false,
      });

    it('can be recovered from a dump with the root key, and sign (control)', async () => {
      const recovered = await recover(await dump(), cluster.rootKey);
      expect(recovered.length).to.equal(4);
      const jwks = (await get(node, '/.well-known/jwks.json')).json as unknown as JSONWebKeySet;
      for (const jwk of recovered) {
        const alg = String(jwk.alg);
        const header = { alg, kid: await calculateJwkThumbprint(jwk, 'sha256') };
        const jwt = await new SignJWT({}).setProtectedHeader(header).sign(await importJWK(jwk, alg));
        await jwtVerify(jwt, createLocalJWKSet(jwks));
      }
    });

    it('cannot be recovered from a dump without it', async () => {
      const stolen = await dump();
      const text = JSON.stringify(stolen);
      let sought = 0;
      for (const jwk of await recover(stolen, cluster.rootKey)) {
        for (const name of PRIVATE_PARAMETERS) {
          const value = jwk[name];
          if (typeof value !== 'string') continue;
          sought += 1;
          expect(appearancesOf(value, text), `${jwk.kid} ${name}`).to.equal(0);
        }
        // Control: the public half of the same key is found, so a private one would be.
        expect(appearancesOf(String(jwk.x ?? jwk.n), text)).to.be.greaterThan(0);
      }
      expect(sought).to.equal(2 + 2 * PRIVATE_PARAMETERS.length);
      expect(text).to.not.include(cluster.rootKey);
      for (let guess = 0; guess < 100; guess += 1) {
        const error = await recover(stolen, generateRootKey()).catch((caught: unknown) => caught);
        expect(isAppError(error, 'root_key_wrong')).to.equal(true);
      }
      // The fingerprint that names the root key is public; naming it right opens nothing.
      const { data_keys: rows = [], ...rest } = stolen;
      const forged = rows.map(row => {
        const guess = localRootKey(generateRootKey());
        return { row, guess, wrapped: String(row.wrapped).replace(/^v1\.[^.]+/, `v1.${guess.id}`) };
      });
      for (const { row, guess, wrapped } of forged) {
        const context = dataKeyContext(row.purpose as 'signing_key', String(row.id));
        const error = await guess.unwrap(wrapped, context).catch((caught: unknown) => caught);
        expect(isAppError(error, 'sealed_value_damaged')).to.equal(true);
      }
      expect(Object.keys(rest)).to.include('signing_keys');
    });

    it('keep a server with a wrong root key from starting, and nothing is changed', async () => {
      const before = await dump();
      const error = await startWith(generateRootKey()).catch((caught: unknown) => caught);
      expect(isAppError(error, 'root_key_wrong')).to.equal(true);
      expect(String(error)).to.match(/Provide the right root key; nothing was changed/);
      expect(await dump()).to.deep.equal(before);
    });

    it('let a server with the right root key start, which the same comparison sees (control)', async () => {
      const before = await dump();
      const other = await startWith(cluster.rootKey);
      try {
        expect(await dump()).to.not.deep.equal(before);
        expect((await dump()).signing_keys).to.deep.equal(before.signing_keys);
      } finally {
        await other.close();
      }
    });

    it('open only as the private half of their own kid', async () => {
      const stolen = await dump();
      const [first, second] = (stolen.signing_keys ?? []).filter(({ alg }) => alg === 'ES256');
      const { keys } = await cluster.operator();
      const swapped = () =>
        keys.signingKeyEnvelope.open(String(first?.sealed_private), sealContext(String(second?.kid)));
      expect(swapped).to.throw().with.property('code', 'sealed_value_damaged');
    });
  });
});
