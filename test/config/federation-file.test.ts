import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadUpstreamProviders } from '../../src/config/federation-file.js';
import { type AppError, isAppError } from '../../src/errors.js';

describe('the list of providers to sign in with', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'claviger-federation-'));
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  function load(yaml: string, environment = 'production', env: Record<string, string> = {}) {
    writeFileSync(join(folder, 'providers.yaml'), yaml);
    return loadUpstreamProviders(
      { federation: { providersFile: 'providers.yaml' }, environment },
      env,
      folder,
    );
  }

  function refusal(yaml: string, environment?: string): AppError {
    try {
      load(yaml, environment);
    } catch (error) {
      if (isAppError(error, 'configuration_invalid')) return error;
      throw error;
    }
    throw new Error('it was not refused');
  }

  it('is empty when no file is named or the file is empty', () => {
    const none = { federation: { providersFile: '' }, environment: 'production' };
    expect(loadUpstreamProviders(none, {}, folder).providers).to.deep.equal([]);
    expect(load('# nothing yet\n').providers).to.deep.equal([]);
  });

  it('reads providers, with defaults, frozen, and with secrets that do not print', () => {
    writeFileSync(join(folder, 'secret'), 'from a file\n');
    chmodSync(join(folder, 'secret'), 0o600);
    const { providers, warnings } = load(
      `- id: acme
  name: Acme
  issuer: https://id.acme.example
  client_id: claviger
  client_secret: env:ACME_SECRET
- id: other-1
  name: Other
  issuer: https://other.example/realms/a
  client_id: "42"
  client_secret: file:secret
  scopes: [openid, email]
  allow_sign_up: true
`,
      'production',
      { ACME_SECRET: 'from the environment' },
    );
    expect(warnings).to.deep.equal([]);
    expect(providers).to.have.length(2);
    expect(providers[0]).to.deep.include({
      id: 'acme',
      scopes: ['openid', 'email', 'profile'],
      allowsSignUp: false,
    });
    expect(providers[1]).to.deep.include({ clientId: '42', scopes: ['openid', 'email'], allowsSignUp: true });
    expect(providers.map(({ clientSecret }) => clientSecret.reveal())).to.deep.equal([
      'from the environment',
      'from a file',
    ]);
    expect(JSON.stringify(providers)).not.to.contain('from');
    expect(Object.isFrozen(providers) && Object.isFrozen(providers[0])).to.equal(true);
  });

  it('tells every fault at once, and no secret', () => {
    const { faults, message } = refusal(`- id: Acme!
  name: "<b>"
  issuer: http://id.acme.example
  client_secret: literal-secret
  scope: openid
  scopes: [email]
  allow_sign_up: perhaps
- id: twice
  name: A
  issuer: https://a.example?x=1
  client_id: a
  client_secret: env:NOT_SET
- id: twice
  name: B
  issuer: nonsense
  client_id: b
  client_secret: env:NOT_SET
- just a word
`);
    expect(faults.map(({ at }) => at).sort()).to.deep.equal(
      [
        ...['id', 'name', 'issuer', 'client_id', 'client_secret', 'scope', 'scopes', 'allow_sign_up'].map(
          key => `providers.yaml[0].${key}`,
        ),
        ...['issuer', 'client_secret'].map(key => `providers.yaml[1].${key}`),
        ...['issuer', 'client_secret'].map(key => `providers.yaml[2].${key}`),
        'providers.yaml[3]',
        'providers.yaml',
      ].sort(),
    );
    expect(message).to.contain('Did you mean scopes?').and.not.to.contain('literal-secret');
  });

  it('quotes nothing of a file that is not YAML', () => {
    expect(refusal('- client_secret: "open-secret').message).not.to.contain('open-secret');
    expect(refusal('id: acme').faults[0]?.problem).to.contain('list of providers');
  });

  it('takes http and a literal secret in development only', () => {
    const yaml = `- id: dev
  name: Dev
  issuer: http://127.0.0.1:4000
  client_id: a
  client_secret: literal
`;
    expect(load(yaml, 'development').providers).to.have.length(1);
    expect(refusal(yaml).faults).to.have.length(2);
  });

  it('tells that the file is missing', () => {
    const missing = { federation: { providersFile: 'nowhere.yaml' }, environment: 'production' };
    expect(() => loadUpstreamProviders(missing, {}, folder)).to.throw(/nowhere\.yaml.*ENOENT/s);
  });
});
