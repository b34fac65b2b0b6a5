/**
 * What a signature costs where: `npx tsx test/bench/signing-backends.ts [seconds per figure]`. PKCS#11 is SoftHSM 2 (software,
 * on this machine); Transit is a small server that answers as Vault does (real HTTP and keys, no Vault in it), so both
 * show what the way there costs, not what a device or a Vault adds.
 */
import { createPrivateKey, type JsonWebKey, randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { ExternalAlgorithm } from '../../src/config/signing-places.js';
import { Pkcs11Token } from '../../src/crypto/pkcs11.js';
import { generateSigningKey } from '../../src/keys/generate-signing-key.js';
import { pkcs11Backend } from '../../src/keys/signing-backends/pkcs11-backend.js';
import { transitBackend } from '../../src/keys/signing-backends/transit-backend.js';
import { signWith } from '../../src/oidc/signing-keys.js';
import { VaultClient } from '../../src/outbound/vault-client.js';
import { makeSoftToken } from '../support/softhsm.js';
import { VaultServer } from '../support/vault-server.js';

type Sign = (input: Uint8Array) => Buffer | Promise<Buffer>;

const AT_ONCE = 32;
const seconds = Number(process.argv[2] ?? 2);
const input = randomBytes(600);

async function measure(sign: Sign): Promise<{ alone: number; rate: number }> {
  for (let count = 0; count < 50; count += 1) await sign(input);
  const times: number[] = [];
  const until = performance.now() + (seconds * 1000) / 4;
  while (performance.now() < until) {
    const began = performance.now();
    await sign(input);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  let count = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (performance.now() - began < seconds * 1000) {
        await sign(input);
        count += 1;
        // A signature made here is over without a turn of the event loop.
        if (count % 64 === 0) await new Promise(resolve => setImmediate(resolve));
      }
    }),
  );
  return {
    alone: times[Math.floor(times.length / 2)] ?? 0,
    rate: count / ((performance.now() - began) / 1000),
  };
}

const soft = makeSoftToken();
const token = new Pkcs11Token({ ...soft, pin: { reveal: () => soft.pin } }, soft.connect);
const pkcs11 = pkcs11Backend(token);
const vault = new VaultServer();
const address = await vault.listen();
const transit = transitBackend(
  new VaultClient({ address, authentication: { kind: 'token', token: { reveal: () => vault.rootToken } } }),
  'transit',
);

const lines: string[] = [];
for (const alg of ['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256'] satisfies ExternalAlgorithm[]) {
  const local = await generateSigningKey(alg);
  const key = createPrivateKey({ key: local.privateJwk as JsonWebKey, format: 'jwk' });
  const reference = randomBytes(16).toString('hex');
  await pkcs11.generate(reference, alg, 'bench');
  await transit.generate(reference, alg, 'bench');
  const here = await measure(bytes => signWith(alg, key, bytes));
  for (const [place, sign] of [
    ['local', undefined],
    ['pkcs11', pkcs11],
    ['transit', transit],
  ] as const) {
    const figure = sign === undefined ? here : await measure(bytes => sign.sign(reference, alg, bytes));
    const ratio = here.rate / figure.rate;
    lines.push(
      `| ${alg} | ${place} | ${figure.alone.toFixed(2)} ms | ${Math.round(figure.rate)} | ${ratio.toFixed(1)} |`,
    );
  }
}
token.close();
await vault.close();
soft.drop();
process.stdout.write(
  `| algorithm | place | one alone (median) | signatures/s, ${AT_ONCE} at once | local is faster by |\n|---|---|---|---|---|\n${lines.join('\n')}\n`,
);
