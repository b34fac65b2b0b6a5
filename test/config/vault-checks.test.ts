import { expect } from 'chai';
import { loadConfig } from '../../src/config/load.js';
import { type Fault, isAppError } from '../../src/errors.js';

const TOKEN = 'hvs.not-a-real-one';
const ADDRESS = 'https://vault.example.com:8200';

describe('how Vault is reached', () => {
  function faults(vault: Record<string, string>, environment = 'development'): readonly Fault[] {
    const entries = Object.entries(vault).map(([name, value]) => [`CLAVIGER_VAULT_${name}`, value]);
    const env = { CLAVIGER_ENVIRONMENT: environment, ...Object.fromEntries(entries) };
    try {
      loadConfig({ env, cwd: '/nonexistent' });
      return [];
    } catch (error) {
      if (!isAppError(error, 'configuration_invalid')) throw error;
      return error.faults.filter(({ at }) => at.startsWith('vault.'));
    }
  }

  it('is said in one of four ways', () => {
    for (const way of [
      { TOKEN },
      { AGENT_TOKEN_FILE: '/run/vault/token' },
      { ROLE: 'claviger', SECRET_ID: 'x' },
      {
        ROLE: 'claviger',
        JWT_FILE: '/var/run/secrets/kubernetes.io/serviceaccount/token',
        LOGIN_PATH: 'eu/k8s',
      },
    ])
      expect(faults({ ADDRESS, ...way }), JSON.stringify(way)).to.deep.equal([]);
  });

  for (const [fact, given, at, says] of [
    ['no way to log in', { ADDRESS }, 'vault.address', /no way to log in; give vault\.agentTokenFile/],
    ['a way, but no address', { TOKEN }, 'vault.address', /is missing, but vault\.token is given/],
    [
      'two ways',
      { ADDRESS, TOKEN, JWT_FILE: '/jwt', ROLE: 'r' },
      'vault.token',
      /together with vault\.jwtFile/,
    ],
    [
      'a credential without its role',
      { ADDRESS, SECRET_ID: 'x' },
      'vault.role',
      /is missing; vault\.secretId/,
    ],
    ['a role that nothing uses', { ADDRESS, TOKEN, ROLE: 'r' }, 'vault.role', /logs nobody in/],
    [
      'an address with credentials',
      { ADDRESS: 'https://u:p@vault', TOKEN },
      'vault.address',
      /without credentials/,
    ],
  ] as const) {
    it(`is refused with ${fact}`, () => {
      const [fault, ...more] = faults(given);
      expect(more).to.deep.equal([]);
      expect(fault?.at).to.equal(at);
      expect(fault?.problem).to.match(says);
    });
  }

  it('crosses a network by https only, outside development', () => {
    const remote = { ADDRESS: 'http://vault.internal:8200', TOKEN };
    expect(faults(remote, 'production')[0]?.problem).to.match(/readable over the network/);
    expect(faults(remote), 'control').to.deep.equal([]);
    expect(faults({ ADDRESS: 'http://127.0.0.1:8100', TOKEN }, 'production')).to.deep.equal([]);
  });

  it('does not let a token stand in a file or on the command line', () => {
    const env = { CLAVIGER_ENVIRONMENT: 'production' };
    for (const name of ['vault.token', 'vault.secretId']) {
      const load = () => loadConfig({ env, cwd: '/nonexistent', flags: { [name]: TOKEN } });
      expect(load)
        .to.throw(/is a secret and must not be given by/)
        .with.property('message')
        .that.does.not.include(TOKEN);
    }
  });
});
