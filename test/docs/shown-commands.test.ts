import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadUpstreamProviders } from '../../src/config/federation-file.js';
import { loadConfig } from '../../src/config/load.js';
import { freshFolder } from '../cli/captured-run.js';
import { blocksOf, DOCUMENTS, ROOT, scriptOf } from './fenced-blocks.js';
import { type ReadersFolder, type RunningDemo, readersFolder, startDemo } from './running-demo.js';

const hasCurl = spawnSync('curl', ['--version']).error === undefined;

function skipLoudly(context: Mocha.Context, why: string): void {
  process.stderr.write(`SKIPPED: ${why}\n`);
  context.skip();
}

describe('the commands that the documents show', function () {
  this.timeout(300_000);

  describe('beside a running demo', () => {
    let demo: RunningDemo;
    before(async () => {
      demo = await startDemo();
    });
    after(() => demo.stop());

    it('get, verify and introspect a token, as the README shows it', async function () {
      if (!hasCurl) return skipLoudly(this, 'there is no curl on this machine, so the README is not run');
      const { exitCode, stdout, stderr } = await demo.run(scriptOf('README.md', 'demo'));
      expect(exitCode, stderr).to.equal(0);
      expect(stdout).to.include('"access_token"').and.include('yes: signature, issuer, audience and times');
      expect(stdout).to.include('"active": true').and.include('token.introspected');
      expect(stdout).to.not.include(demo.facts.client_secret);
    });

    it('look at, rotate and revoke signing keys, as docs/signing-keys.md shows it', async () => {
      const database = { CLAVIGER_DATABASE_URL: 'sqlite:.claviger/demo.sqlite' };
      // A node reports the ring it serves with its second heartbeat, some seconds after its start.
      const isWaiting = async () => {
        const plan = await demo.run('npx claviger key rotate --now --dry-run --json', database);
        expect(plan.exitCode, plan.stderr).to.equal(0);
        return plan.stdout.includes('waits_for_nodes');
      };
      while (await isWaiting());
      const { exitCode, stdout, stderr } = await demo.run(scriptOf('docs/signing-keys.md', 'demo'));
      expect(exitCode, `${stdout}\n${stderr}`).to.equal(0);
      expect(stdout).to.include('signs from now on').and.include('Revoked.').and.include('BEGIN PUBLIC KEY');
      expect(stderr).to.match(/openid-client, oauth4webapi, Auth\.js: up to \d+s/);
    });

    it('list audit events, as docs/audit-events.md shows it', async () => {
      await demo.token();
      const { exitCode, stdout, stderr } = await demo.run(scriptOf('docs/audit-events.md', 'demo'));
      expect(exitCode, stderr).to.equal(0);
      expect(stdout).to.include('token.issued');
    });

    it('put tokens into a status list, as docs/revocation.md shows it', async () => {
      const { exitCode, stdout, stderr } = await demo.run(scriptOf('docs/revocation.md', 'demo'));
      expect(exitCode, `${stdout}\n${stderr}`).to.equal(0);
      expect(stdout).to.match(/^revocation +status-list$/m);
      for (;;) {
        const [, payload = ''] = (await demo.token()).split('.');
        // The node learns of it within a second.
        if (Buffer.from(payload, 'base64url').toString('utf8').includes('/status-lists/')) break;
      }
    });

    it('push a request and ask for a device code, as docs/integrating-clients.md shows it', async function () {
      if (!hasCurl) return skipLoudly(this, 'there is no curl on this machine, so the guide is not run');
      const { exitCode, stdout, stderr } = await demo.run(scriptOf('docs/integrating-clients.md', 'demo'));
      expect(exitCode, `${stdout}\n${stderr}`).to.equal(0);
      expect(stdout).to.include('"authorization_endpoint"').and.include('urn:ietf:params:oauth:request_uri:');
      expect(stdout).to.include('"user_code"');
    });

    for (const document of ['README.md', 'docs/integrating-clients.md']) {
      it(`walk a sign-in to verified claims, as ${document} shows it`, async () => {
        const { exitCode, stdout, stderr } = await demo.signIn(scriptOf(document, 'sign-in'));
        expect(exitCode, `${stdout}\n${stderr}`).to.equal(0);
        expect(stderr).to.include('Claims of the ID token, verified').and.include(demo.facts.user.email);
      });
    }

    it('register clients, look after people and move them, as docs/signing-people-in.md shows it', async () => {
      const { exitCode, stdout, stderr } = await demo.run(scriptOf('docs/signing-people-in.md', 'demo'));
      expect(exitCode, `${stdout}\n${stderr}`).to.equal(0);
      expect(stdout).to.include('Invited grace@example.com').and.include('alan@example.com');
      expect(stdout).to.include('de: Ihre Bestellungen sehen');
      expect(stdout).to.include('1 would be imported').and.include('1 imported');
      expect(readFileSync(join(demo.path, '.claviger/everybody.jsonl'), 'utf8').split('\n')).to.have.length(
        4,
      );
    });
  });

  describe('in a new installation', () => {
    let folder: ReadersFolder;
    before(() => {
      folder = readersFolder();
    });
    after(() => folder.remove());

    it('make one for production and examine it, as the README shows it', async () => {
      const { exitCode, stdout, stderr } = await folder.run(scriptOf('README.md', 'installation'));
      expect(exitCode, `${stdout}\n${stderr}`).to.equal(0);
      expect(stdout).to.include('client_secret  cvg_cs_').and.include('signing_keys: ES256: an active key');
    });

    it('make a root key, migrate and exchange a secret, as docs/operating.md shows it', async () => {
      const clients = await folder.run('npx claviger client list --json');
      const [client] = JSON.parse(clients.stdout) as { client_id: string }[];
      const script = scriptOf('docs/operating.md', 'installation');
      const { exitCode, stdout, stderr } = await folder.run(script, { client_id: client?.client_id ?? '' });
      expect(exitCode, `${stdout}\n${stderr}`).to.equal(0);
      expect(stdout)
        .to.match(/^0001-foundation +applied$/m)
        .and.include('cvg_cs_')
        .and.include('expiring');
      expect(readFileSync(join(folder.path, 'root-key'), 'utf8')).to.match(/^[\w-]{43}\n$/);
    });
  });

  it('are scripts of package.json where they are npm scripts, and .ci/run runs the same', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const shown = DOCUMENTS.flatMap(document => blocksOf(document))
      .filter(({ mark }) => mark === 'commands')
      .flatMap(({ text }) => text.trim().split(/ && |\n/));
    expect(shown).to.include.members(['npm ci', 'npm run demo', 'npm test']);
    for (const command of shown) {
      const script = /^npm (?:run )?(\S+)$/.exec(command)?.[1];
      if (script !== 'ci') expect(scripts, command).to.have.property(script ?? command);
    }
    const ci = readFileSync(join(ROOT, '.ci/run'), 'utf8').split('\n');
    expect(ci).to.include.members(['npm ci', 'npm test']);
  });

  it('include settings that a production server accepts without a warning', () => {
    const folder = freshFolder();
    try {
      const secrets = {
        'database-url': 'postgres://claviger:W9xVqk2w@db.example.com/claviger?sslmode=verify-full',
        'root-key': 'qg9vK2Tn0yXw7Zs1uRb5LfPjHcMdAeYi3oNtVxQ8kJ4',
        'mail-url': 'smtps://claviger:W9xVqk2w@mail.example.com',
        'example-secret': 'W9xVqk2wqg9vK2Tn0yXw7Zs1uRb5LfPj',
      };
      for (const [name, text] of Object.entries(secrets)) {
        writeFileSync(join(folder.path, name), `${text}\n`, { mode: 0o600 });
      }
      const yaml = DOCUMENTS.flatMap(document => blocksOf(document)).filter(
        ({ language }) => language === 'yaml',
      );
      const blocks = yaml.filter(({ mark }) => mark === 'settings');
      expect(blocks).to.not.have.length(0);
      const lists = yaml.filter(({ mark }) => mark === 'providers');
      expect(lists).to.have.length(1);
      writeFileSync(
        join(folder.path, 'providers.yaml'),
        lists[0]?.text.replaceAll('/etc/claviger', folder.path) ?? '',
      );
      for (const { text } of blocks) {
        writeFileSync(join(folder.path, 'claviger.yaml'), text.replaceAll('/etc/claviger', folder.path));
        const { config, warnings } = loadConfig({ env: {}, cwd: folder.path });
        expect(config.environment).to.equal('production');
        expect(config.database.url).to.equal(secrets['database-url']);
        expect(warnings).to.deep.equal([]);
        const { providersFile } = config.federation;
        const loaded = loadUpstreamProviders(config, {}, folder.path);
        expect(loaded.warnings).to.deep.equal([]);
        expect(loaded.providers).to.have.length(providersFile === '' ? 0 : 1);
      }
    } finally {
      folder.remove();
    }
  });
});
