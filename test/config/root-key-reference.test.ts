import { expect } from 'chai';
import { loadConfig } from '../../src/config/load.js';
import { readRootKeyReference, showRootKeyReference } from '../../src/config/root-key-reference.js';
import { AppError } from '../../src/errors.js';

describe('the name of a root key', () => {
  for (const [text, shown] of [
    ['transit:claviger', 'transit:transit/claviger'],
    ['transit:teams/id/claviger', 'transit:teams/id/claviger'],
    ['pkcs11:claviger-root', 'pkcs11:claviger-root'],
    ['aws-kms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab', ''],
    ['aws-kms:arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab', ''],
    ['gcp-kms:projects/p-1/locations/europe-west3/keyRings/id/cryptoKeys/root', ''],
  ] as const) {
    it(`is understood: ${text}`, () => {
      const reading = readRootKeyReference(text);
      if ('problem' in reading) throw new Error(reading.problem);
      expect(showRootKeyReference(reading.reference)).to.equal(shown === '' ? text : shown);
    });
  }

  for (const text of [
    'transit:',
    'transit:../sys/seal',
    'transit:a//b',
    'pkcs11:',
    'pkcs11:two words',
    'aws-kms:alias/claviger',
    'aws-kms:arn:aws:kms:eu-central-1:111122223333:alias/claviger',
    'gcp-kms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1',
    'gcp-kms:projects/../x',
    'gcp-kms:projects/p/locations/l/keyRings/../cryptoKeys/k',
  ]) {
    it(`is refused with the form it must have: ${text}`, () => {
      const reading = readRootKeyReference(text);
      expect('problem' in reading && reading.problem).to.match(/^must be written \S+/);
    });
  }

  const env = {
    CLAVIGER_ENVIRONMENT: 'production',
    CLAVIGER_ISSUER: 'https://id.example.test',
    CLAVIGER_DATABASE_URL: 'sqlite:/var/lib/claviger/claviger.sqlite',
  };

  it('may stand in the open and is shown, because it opens nothing', () => {
    const name = 'aws-kms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
    const { config, sources } = loadConfig({ flags: { rootKey: name }, env, cwd: '/nonexistent' });
    expect(config.rootKey?.reveal()).to.equal(name);
    expect(sources.find(source => source.name === 'rootKey')?.shown).to.equal(name);
  });

  it('is refused at loading when it is none, and so is one whose place is not given', () => {
    for (const [rootKey, at] of [
      ['aws-kms:alias/claviger', 'rootKey'],
      ['transit:claviger', 'vault.address'],
      ['pkcs11:claviger', 'pkcs11.module'],
    ] as const) {
      try {
        loadConfig({ env: { ...env, CLAVIGER_ROOT_KEY: rootKey }, cwd: '/nonexistent' });
        throw new Error(`accepted ${rootKey}`);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        expect(error.faults.map(fault => fault.at)).to.include(at);
      }
    }
  });
});
