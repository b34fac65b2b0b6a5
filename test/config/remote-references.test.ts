import { expect } from 'chai';
import {
  type ReadRemote,
  RemoteReferences,
  readRemoteReference,
} from '../../src/config/remote-references.js';

describe('references to other machines', () => {
  it('have forms that lead nowhere else', () => {
    for (const text of [
      'vault:secret/claviger#root_key',
      'awssm:prod/claviger',
      'awssm:arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/claviger-AbCdEf#password',
      'gcpsm:projects/my-project/secrets/root-key',
      'gcpsm:projects/1234/secrets/root_key/versions/3',
      'azurekv:https://my-vault.vault.azure.net/secrets/root-key/0123456789abcdef',
    ])
      expect(readRemoteReference(text), text).to.have.nested.property('reference.text', text);
    for (const text of [
      'vault:',
      'vault:secret/claviger',
      'vault:secret/claviger#',
      'vault:secret/cla viger#x',
      'awssm:',
      'awssm:a b',
      'gcpsm:secrets/x',
      'gcpsm:projects/p/secrets/s/versions/1/../2',
      'gcpsm:projects/p/secrets/s?alt=media',
      'azurekv:https://evil.example.com/secrets/root-key',
      'azurekv:https://v.vault.azure.net.evil.example.com/secrets/root-key',
      'azurekv:http://v.vault.azure.net/secrets/root-key',
      'azurekv:https://v.vault.azure.net@evil.example.com/secrets/root-key',
    ])
      expect(readRemoteReference(text), text).to.have.property('problem');
    for (const text of ['Vault:x', 'transit:mount/key', 'secret', 'https://vault:8200'])
      expect(readRemoteReference(text), text).to.equal(undefined);
  });

  it('give a machine that does not answer up, each at the limit of its own', async () => {
    const references = new RemoteReferences();
    const look = (text: string) => {
      const read = readRemoteReference(text);
      if (read === undefined || 'problem' in read) throw new Error(`${text} is no reference`);
      return references.look(read.reference);
    };
    look('awssm:silent');
    look('awssm:quick');
    const signals: AbortSignal[] = [];
    const read: ReadRemote = (reference, signal) => {
      signals.push(signal);
      return reference.text === 'awssm:quick' ? Promise.resolve('value') : new Promise(() => undefined);
    };
    await references.ask(read, 0.05);
    expect(look('awssm:quick')).to.deep.equal({ value: 'value', isLiteral: false });
    expect(look('awssm:silent')).to.deep.equal({
      problem: 'cannot be read: There was no answer within 0.05 s.',
    });
    expect(signals.map(({ aborted }) => aborted)).to.deep.equal([true, false]);
  });

  it('are a hundred at most', async () => {
    const references = new RemoteReferences();
    const asked: string[] = [];
    const all = Array.from({ length: 102 }, (_, index) => `awssm:secret-${index}`).map(text => {
      const read = readRemoteReference(text);
      if (read === undefined || 'problem' in read) throw new Error(`${text} is no reference`);
      return read.reference;
    });
    for (const reference of all) references.look(reference);
    await references.ask(async ({ text }) => {
      asked.push(text);
      return 'value';
    });
    expect(asked).to.have.length(100);
    const refused = all.map(reference => references.look(reference)).filter(reading => 'problem' in reading);
    expect(refused).to.have.length(2);
  });
});
