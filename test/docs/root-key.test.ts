import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadConfig } from '../../src/config/load.js';
import { ROOT_KEY_BACKENDS } from '../../src/config/root-key-reference.js';
import { configuredRootKey } from '../../src/root-keys/configured-root-key.js';
import { freshFolder, run } from '../cli/captured-run.js';
import { blocksOf } from './fenced-blocks.js';

const ASSIGNMENT = /^export ([A-Z_]+)=(\S+)$/;

/** Words of a line as a shell reads them, as far as the guide needs it. */
function wordsOf(line: string, values: Readonly<Record<string, string>>): string[] {
  return (line.match(/"[^"]*"|\S+/g) ?? []).map(word =>
    word.replace(/^"(.*)"$/, '$1').replace(/\$([A-Z_]+)/g, (_, name: string) => values[name] ?? ''),
  );
}

describe('docs/root-key.md', function () {
  this.timeout(120_000);

  it('shows settings for every place that a production server accepts without a warning', () => {
    const folder = freshFolder();
    try {
      writeFileSync(join(folder.path, 'hsm-pin'), '4711\n', { mode: 0o600 });
      const env = {
        CLAVIGER_ENVIRONMENT: 'production',
        CLAVIGER_ISSUER: 'https://id.example.com',
        CLAVIGER_DATABASE_URL: 'sqlite:/var/lib/claviger/claviger.sqlite',
      };
      const backends = blocksOf('docs/root-key.md')
        .filter(({ language }) => language === 'yaml')
        .map(({ text }) => {
          writeFileSync(join(folder.path, 'claviger.yaml'), text.replaceAll('/etc/claviger', folder.path));
          const { config, warnings } = loadConfig({ env, cwd: folder.path });
          expect(warnings).to.deep.equal([]);
          if (config.rootKey === undefined) throw new Error('no root key');
          return configuredRootKey(config, config.rootKey).backend;
        });
      expect(backends).to.deep.equal(ROOT_KEY_BACKENDS.filter(backend => backend !== 'local'));
    } finally {
      folder.remove();
    }
  });

  it('leads through recovery key, change, loss and leak, command by command, and the installation stays what it was', async () => {
    const folder = freshFolder();
    const env: Record<string, string> = {};
    const told: string[] = [];
    const claviger = async (args: readonly string[]) => {
      const ran = await run(args, { cwd: folder.path, env });
      expect(ran.exitCode, `${args.join(' ')}: ${ran.stderr}`).to.equal(0);
      told.push(ran.stdout);
      return ran;
    };
    const currentId = async () => String((await claviger(['root-key', 'status', '--json'])).json().current);
    try {
      await claviger(['init']);
      await claviger(['resource', 'create', '--identifier', 'https://api.example.com', '--scope', 'a.read']);
      const keysBefore = (await claviger(['key', 'export'])).stdout;
      const values: Record<string, string> = { OLD: await currentId() };
      const lines = blocksOf('docs/root-key.md').flatMap(({ language, mark, text }) =>
        mark === 'root-key' && language === 'sh' ? text.split('\n').map(line => line.trim()) : [],
      );
      let commands = 0;
      for (const line of lines.filter(each => each !== '')) {
        const [, name, value] = ASSIGNMENT.exec(line) ?? [];
        if (name !== undefined && value !== undefined) {
          // The one that is about to be lost.
          if (value === 'found-root-key') values.LOST = await currentId();
          env[name] = value;
        } else if (line.startsWith('npx claviger ')) {
          commands += 1;
          await claviger(wordsOf(line, values).slice(2));
        } else {
          const { status, stderr } = spawnSync('sh', ['-euc', line], { cwd: folder.path, encoding: 'utf8' });
          expect(status, `${line}: ${stderr}`).to.equal(0);
        }
      }
      expect(commands).to.equal(15);
      const shown = told.join('\n');
      expect(shown).to.include('root_key.recovered').and.include('Would wrap 7 data keys');
      const { root_keys } = (await claviger(['root-key', 'status', '--json'])).json() as {
        root_keys: { role: string; state: string; root_key_id: string }[];
      };
      expect(root_keys.map(({ state }) => state).sort()).to.deep.equal(['current', 'recovery']);
      expect((await claviger(['key', 'export'])).stdout).to.equal(keysBefore);
      expect((await claviger(['resource', 'list'])).stdout).to.include('https://api.example.com');
      // Nothing that opens anything was shown on the way.
      for (const file of ['next-root-key', 'found-root-key', 'after-leak', '.claviger/root-key']) {
        expect(shown, file).to.not.include(readFileSync(join(folder.path, file), 'utf8').trim());
      }
      const { d } = JSON.parse(readFileSync(join(folder.path, 'recovery-key.json'), 'utf8')) as { d: string };
      expect(shown).to.not.include(d);
    } finally {
      folder.remove();
    }
  });
});
