import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import type { ExternalAlgorithm } from '../../src/config/signing-places.js';
import { EXTERNAL_ALGORITHMS } from '../../src/config/signing-places.js';
import { AppError } from '../../src/errors.js';
import type { SigningBackend } from '../../src/keys/signing-backends/signing-backend.js';
import { isBackendFailure, SigningBackends } from '../../src/keys/signing-backends/signing-backends.js';
import { transitBackend } from '../../src/keys/signing-backends/transit-backend.js';
import { isSignatureOf } from '../../src/keys/signing-backends/verify-signature.js';
import type { SigningKey } from '../../src/keys/signing-key.js';
import { VaultClient } from '../../src/outbound/vault-client.js';
import { VaultServer } from '../support/vault-server.js';

const INPUT = Buffer.from('eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9');

async function failureOf(attempt: Promise<unknown>): Promise<AppError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).to.be.instanceOf(AppError);
  return error as AppError;
}

describe('signing backends', () => {
  let vault: VaultServer;
  let transit: SigningBackend;
  let now: number;
  let backends: SigningBackends;

  before(async () => {
    vault = new VaultServer();
    const address = await vault.listen();
    const token = vault.rootToken;
    const client = new VaultClient({
      address,
      authentication: { kind: 'token', token: { reveal: () => token } },
      wait: async () => undefined,
    });
    transit = transitBackend(client, 'transit');
  });
  after(() => vault.close());
  beforeEach(() => {
    now = 0;
    vault.isSealed = false;
    backends = backendsWith(transit);
  });

  function backendsWith(backend: SigningBackend): SigningBackends {
    const missing = () => {
      throw new AppError('backend_misconfigured', 'not here');
    };
    return new SigningBackends({
      placeOf: () => 'transit',
      open: { pkcs11: missing, transit: () => backend },
      monotonic: () => now,
    });
  }

  async function keyIn(
    alg: ExternalAlgorithm = 'ES256',
  ): Promise<SigningKey & { readonly reference: string }> {
    const reference = randomBytes(16).toString('hex');
    const publicJwk = await backends.generate('transit', reference, alg, 'test');
    const times = { announcedVersion: 1, createdAt: 0, announcedAt: 0, activatedAt: 0 };
    const external = { place: 'transit', reference } as const;
    return { kid: `kid-${reference}`, alg, state: 'active', ...times, publicJwk, external, reference };
  }

  for (const alg of EXTERNAL_ALGORITHMS) {
    it(`make, use and destroy a ${alg} key in Vault Transit`, async () => {
      const key = await keyIn(alg);
      const signature = await backends.signerOf(key)(INPUT);
      expect(isSignatureOf(key.publicJwk, alg, INPUT, signature)).to.equal(true);
      expect(isSignatureOf(key.publicJwk, alg, randomBytes(8), signature), 'control').to.equal(false);
      await backends.destroy('transit', key.reference);
      await backends.destroy('transit', key.reference);
      expect((await failureOf(backends.signerOf(key)(INPUT))).code).to.equal('backend_unavailable');
    });
  }

  it('name a key that cannot sign until it can again, and ask a silent backend once a second', async () => {
    const key = await keyIn();
    const sign = backends.signerOf(key);
    vault.isSealed = true;
    expect((await failureOf(sign(INPUT))).code).to.equal('backend_unavailable');
    const asked = vault.requests.length;
    for (let count = 0; count < 50; count += 1) await failureOf(sign(INPUT));
    expect(vault.requests.length).to.equal(asked);
    now += 45_000;
    expect(backends.problems.map(({ kid, failingFor }) => [kid, failingFor])).to.deep.equal([[key.kid, 45]]);
    vault.isSealed = false;
    await backends.probe([key]);
    expect(backends.problems).to.deep.equal([]);
    await sign(INPUT);
  });

  it('say nothing of where keys are to whoever asked for a token', async () => {
    const key = await keyIn();
    vault.isSealed = true;
    const failure = await failureOf(backends.signerOf(key)(INPUT));
    expect(failure.message).to.not.match(/vault|transit|seal|kid/i);
    expect(failure.detail).to.include('transit').and.include(key.kid);
  });

  it('release no first signature that the public half does not verify', async () => {
    const key = await keyIn();
    const other = await keyIn();
    const wrong: SigningBackend = {
      ...transit,
      sign: (_, alg, input) => transit.sign(other.reference, alg, input),
    };
    const misled = backendsWith(wrong);
    const signature = await wrong.sign(key.reference, 'ES256', INPUT);
    expect(isSignatureOf(key.publicJwk, 'ES256', INPUT, signature), 'control').to.equal(false);
    await failureOf(misled.signerOf(key)(INPUT));
    expect(misled.problems[0]?.problem).to.include('does not verify');
  });

  it('announce no key that cannot sign', async () => {
    const mute: SigningBackend = {
      ...transit,
      sign: async () => Buffer.alloc(64),
    };
    const failure = await failureOf(
      backendsWith(mute).generate('transit', randomBytes(16).toString('hex'), 'ES256', 'test'),
    );
    expect(isBackendFailure(failure)).to.equal(true);
    expect(failure.code).to.equal('backend_misconfigured');
  });
});
