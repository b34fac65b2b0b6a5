import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadConfig } from '../../src/config/load.js';
import { signingPlaceOf } from '../../src/config/signing-places.js';
import { AppError } from '../../src/errors.js';
import { blocksOf } from '../docs/fenced-blocks.js';

const TOKEN = {
  CLAVIGER_PKCS11_MODULE: '/usr/lib/softhsm/libsofthsm2.so',
  CLAVIGER_PKCS11_TOKEN: 'claviger',
  CLAVIGER_PKCS11_PIN: '4711',
};

function faultsOf(env: Record<string, string>): string[] {
  try {
    loadConfig({ env, cwd: '/nonexistent' });
    return [];
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return error.faults.map(({ at, problem }) => `${at} ${problem}`);
  }
}

describe('settings of signing keys elsewhere', () => {
  it('leave every algorithm here when nothing is given', () => {
    const { config } = loadConfig({ env: {}, cwd: '/nonexistent' });
    expect(config.keys.signing).to.deep.equal([]);
    expect(signingPlaceOf(config.keys.signing, 'ES256')).to.equal('local');
  });

  it('are read as docs/signing-backends.md shows them', () => {
    const folder = mkdtempSync(join(tmpdir(), 'claviger-signing-'));
    try {
      for (const name of ['hsm-pin', 'token']) writeFileSync(join(folder, name), '4711\n', { mode: 0o600 });
      const [block] = blocksOf('docs/signing-backends.md').filter(({ mark }) => mark === 'signing');
      const yaml = block?.text.replaceAll('/run/secrets', folder).replaceAll('/run/vault', folder) ?? '';
      writeFileSync(join(folder, 'claviger.yaml'), yaml);
      const { config } = loadConfig({ env: {}, cwd: folder });
      const places = (['ES256', 'RS256', 'EdDSA', 'ML-DSA-44'] as const).map(alg =>
        signingPlaceOf(config.keys.signing, alg),
      );
      expect(places).to.deep.equal(['pkcs11', 'transit', 'local', 'local']);
      expect(config.pkcs11.pin?.reveal()).to.equal('4711');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('name what is missing for a place, and an algorithm that is there twice or not to be had there', () => {
    expect(faultsOf({ CLAVIGER_KEYS_SIGNING: 'ES256:pkcs11' })).to.deep.equal([
      'pkcs11.module is missing, but keys.signing names a PKCS#11 token.',
      'pkcs11.token is missing, but keys.signing names a PKCS#11 token.',
      'pkcs11.pin is missing, but keys.signing names a PKCS#11 token.',
    ]);
    expect(faultsOf({ CLAVIGER_KEYS_SIGNING: 'ES256:transit' })).to.deep.equal([
      'vault.address is missing, but keys.signing names Transit.',
    ]);
    expect(faultsOf({ ...TOKEN, CLAVIGER_KEYS_SIGNING: 'ES256:pkcs11,ES256:local' })[0]).to.include('twice');
    expect(faultsOf({ CLAVIGER_KEYS_SIGNING: 'ML-DSA-44:pkcs11' })[0]).to.include('ALG:PLACE');
    expect(faultsOf({ ...TOKEN, CLAVIGER_KEYS_SIGNING: 'ES256:pkcs11' })).to.deep.equal([]);
  });

  it('never show the PIN', () => {
    const loaded = loadConfig({ env: TOKEN, cwd: '/nonexistent' });
    expect(JSON.stringify(loaded)).to.not.include('4711');
    const faults = faultsOf({ ...TOKEN, CLAVIGER_PKCS11_MODULE: 'relative.so' });
    expect(faults).to.have.length.above(0);
    expect(faults.join()).to.not.include('4711');
  });
});
