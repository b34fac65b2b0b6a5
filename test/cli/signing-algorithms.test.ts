import { expect } from 'chai';
import { freshFolder, resultOf, run } from './captured-run.js';

const WITH_ED_DSA = { CLAVIGER_KEYS_ALGORITHMS: 'ES256,RS256,EdDSA' };
const INVOICES = 'https://api.example.test/invoices';

describe('claviger and the set of signing algorithms', () => {
  const folder = freshFolder();
  const at = { cwd: folder.path };
  after(() => folder.remove());

  before(async () => {
    await resultOf(['init'], { ...at, env: WITH_ED_DSA });
  });

  const create = (identifier: string, ...more: string[]) => [
    ...['resource', 'create', '--identifier', identifier, '--scope', 'invoices.read'],
    ...more,
  ];

  it('gives a resource server the default of its day', async () => {
    const env = { ...WITH_ED_DSA, CLAVIGER_KEYS_ACCESS_TOKEN_ALGORITHM: 'EdDSA' };
    expect(await resultOf(create(INVOICES), { ...at, env })).to.include({ alg: 'EdDSA' });
    expect(await resultOf(create(`${INVOICES}/2`), at)).to.include({ alg: 'ES256' });
  });

  it('tells in status and doctor who keeps one alive that was taken off the list', async () => {
    const { algorithms, keys } = await resultOf(['key', 'status'], at);
    expect(algorithms).to.have.length(1);
    const [found] = algorithms as { alg: string; finding: string; used_by: unknown }[];
    expect(found?.alg).to.equal('EdDSA');
    expect(found?.finding).to.include(
      `EdDSA is not in keys.algorithms, but is used by resource server ${INVOICES}`,
    );
    expect(found?.used_by).to.deep.equal({ resource_servers: [INVOICES], clients: [] });
    // It goes on: its next change stands in the list, though this configuration does not name it.
    const shown = keys as { alg: string; state: string; activates_at: string | null }[];
    const successor = shown.find(({ alg, state }) => alg === 'EdDSA' && state === 'announced');
    expect(successor?.activates_at).to.be.a('string');
    expect((await run(['key', 'status'], at)).stdout).to.include(`used by resource server ${INVOICES}`);

    const { checks } = await resultOf(['doctor'], at);
    const check = (checks as { id: string; severity: string; remedy: string }[]).find(
      ({ id }) => id === 'signing_algorithms',
    );
    expect(check?.severity).to.equal('warning');
    expect(check?.remedy).to.include('Give them another algorithm');
  });

  it('refuses to choose it newly, or one without keys, and says what to choose', async () => {
    const given = await run(create(`${INVOICES}/3`, '--alg', 'EdDSA'), at);
    expect(given.exitCode).to.equal(1);
    expect(given.stderr).to.include('EdDSA is being given up').and.include('Choose ES256 or RS256');
    const none = await run(['client', 'create', '--name', 'x', '--id-token-alg', 'PS256'], at);
    expect(none.exitCode).to.equal(1);
    expect(none.stderr).to.include('PS256 has no signing key: add it to keys.algorithms');
    const added = { ...at, env: { CLAVIGER_KEYS_ALGORITHMS: 'ES256,RS256,PS256' } };
    const early = await run(create(`${INVOICES}/4`, '--alg', 'PS256'), added);
    expect(early.stderr).to.include('a running server announces one');
  });
});
