import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { SIGNAL_NAMES } from '../../src/alerts/signals.js';
import { AUDIT_EVENTS } from '../../src/audit/events.js';
import { loadConfig } from '../../src/config/load.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { type LimitName, limitOf } from '../../src/rate-limits/limits.js';
import { PASSWORD_LENGTHS } from '../../src/users/password-policy.js';
import { freshFolder, run } from '../cli/captured-run.js';
import { blocksOf, DOCUMENTS, type FencedBlock, ROOT, readDocument } from './fenced-blocks.js';
import { verifierTable } from './verifier-table.js';

/** Run by test/examples. */
const EXAMPLES = ['device-cli', 'native-loopback', 'server-side', 'spa'].map(
  name => `docs/examples/${name}/README.md`,
);

/** What runs a block; pictures and other programs' settings are not ours to run. */
function isRun({ language, mark, document }: FencedBlock): boolean {
  if (language === 'text' || language === 'nginx') return mark === '';
  if (language === 'sh') {
    if (mark === 'commands') return true;
    const documents: Record<string, readonly string[]> = {
      demo: [
        ...['README.md', 'docs/signing-keys.md', 'docs/audit-events.md', 'docs/verifying-tokens.md'],
        ...['docs/signing-people-in.md', 'docs/integrating-clients.md', 'docs/revocation.md'],
      ],
      'sign-in': ['README.md', 'docs/integrating-clients.md'],
      'example-api': ['docs/examples/orders-api/README.md'],
      'example-register': EXAMPLES,
      'example-run': EXAMPLES,
      installation: ['README.md', 'docs/operating.md'],
      drill: ['docs/signing-keys.md'],
      restore: ['docs/signing-keys.md'],
      'root-key': ['docs/root-key.md'],
    };
    return documents[mark]?.includes(document) ?? false;
  }
  if (language === 'yaml')
    return ['settings', 'providers', 'root-key', 'elsewhere', 'signing'].includes(mark);
  return language === 'ts' && mark.startsWith('verifier-');
}

function anchorsOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe('the documents', () => {
  it('show nothing that no test runs', () => {
    const blocks = DOCUMENTS.flatMap(document => blocksOf(document));
    expect(blocks).to.have.length.above(15);
    const unrun = blocks.filter(block => !isRun(block)).map(({ document, line }) => `${document}:${line}`);
    expect(unrun).to.deep.equal([]);
    expect(isRun({ document: 'README.md', line: 1, language: 'sh', mark: '', text: '' })).to.equal(false);
  });

  it('link only to files and headings that are there', () => {
    for (const document of DOCUMENTS) {
      for (const [, target = ''] of readDocument(document).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? document : join(dirname(document), path);
        expect(existsSync(join(ROOT, file)), `${document} → ${target}`).to.equal(true);
        if (anchor === undefined) continue;
        expect(anchorsOf(readDocument(file)), `${document} → ${target}`).to.include(anchor);
      }
    }
  });

  it('name only commands that there are', async function () {
    this.timeout(60_000);
    const folder = freshFolder();
    try {
      const named = new Set<string>();
      for (const document of DOCUMENTS) {
        const text = readDocument(document);
        for (const [, words = ''] of text.matchAll(/`(?:npx )?claviger ([a-z][a-z -]*[a-z])/g))
          named.add(words);
        for (const [, words = ''] of text.matchAll(
          /^npx claviger ([a-z]+(?:-[a-z]+)*(?: [a-z]+(?:-[a-z]+)*(?![\w:/@-]))*)/gm,
        ))
          named.add(words);
      }
      expect(named.size).to.be.above(15);
      const wrong: string[] = [];
      for (const words of named) {
        const args = words.split(' ').filter(word => !word.startsWith('-'));
        const { exitCode, stdout } = await run([...args, '--help'], { cwd: folder.path });
        const usage = `Usage: claviger ${args.join(' ')}`;
        if (exitCode !== 0 || !stdout.startsWith(usage)) wrong.push(words);
      }
      expect(wrong).to.deep.equal([]);
    } finally {
      folder.remove();
    }
  });

  it('tell of every audit event, in the order of the catalogue, and of no other', () => {
    const told = [...readDocument('docs/audit-events.md').matchAll(/^\| `([a-z_]+\.[a-z_]+)` \|/gm)];
    expect(told.map(([, event]) => event)).to.deep.equal([...AUDIT_EVENTS]);
  });

  it('give the times that follow from the default settings', () => {
    const { config } = loadConfig({ env: {}, cwd: import.meta.dirname });
    const { retainFor, serveJwksFor, staleWhileRevalidateFor } = deriveKeyPolicy(config);
    const text = readDocument('docs/signing-keys.md');
    expect(text).to.include(`| retained for | about ${Math.round(retainFor / 3600)}h |`);
    expect(text).to.include(`\`stale-while-revalidate\` is ${staleWhileRevalidateFor} s`);
    expect(readDocument('docs/operating.md')).to.include(`for about ${Math.round(serveJwksFor / 3600)} h`);
  });

  it('give the limits on attempts that hold', () => {
    const text = readDocument('docs/signing-people-in.md');
    const minutes = (name: LimitName) => limitOf('production', name).windowFor / 60;
    const rows: readonly (readonly [string, LimitName])[] = [
      ['wrong passwords', 'account_password'],
      ['wrong passwords', 'account_password_network'],
      ['wrong passwords on a known device', 'device_password'],
      ['wrong codes of an authenticator app', 'second_factor'],
      ['wrong recovery codes', 'recovery_code'],
      ['wrong user codes (devices)', 'user_code_session'],
      ['mails to reset a password', 'reset_mail'],
      ['sign-ups', 'sign_up'],
      ['links from mails', 'email_link'],
    ];
    for (const [what, name] of rows) {
      expect(text).to.include(`| ${what} | ${limitOf('production', name).most} | ${minutes(name)} min |`);
    }
    const { most } = limitOf('production', 'account_consecutive');
    expect(text).to.include(`| wrong passwords in a row | ${most} | no end |`);
    expect(limitOf('production', 'second_factor_consecutive').most).to.equal(most);
    expect(text).to.include(`session; ${limitOf('production', 'user_code').most} by network`);
    expect(text).to.include(`address; ${limitOf('production', 'reset_mail_network').most} by network`);
    const { alone, withSecondFactor, most: longest } = PASSWORD_LENGTHS;
    expect(text).to.include(`${alone} characters or more, ${withSecondFactor} for who has`);
    expect(text).to.include(`and ${longest} at most`);
  });

  it('name only metrics that there are', () => {
    const source = readFileSync(join(ROOT, 'src/metrics.ts'), 'utf8');
    for (const [, metric = ''] of readDocument('docs/operating.md').matchAll(/`(claviger_[a-z_]+)/g)) {
      expect(source, metric).to.include(`'${metric.replace(/_count$/, '')}'`);
    }
  });

  it('say of each alert what to do', () => {
    const [, section = ''] = /^## Alerts\n(.*?)^## /ms.exec(readDocument('docs/signing-keys.md')) ?? [];
    const told = [...section.matchAll(/^\| `([a-z_]+\.[a-z_]+)` \|/gm)].map(([, signal]) => signal);
    expect(told).to.deep.equal([...SIGNAL_NAMES]);
  });

  it('say of each verifier what the program knows', () => {
    expect(readDocument('docs/signing-keys.md')).to.include(verifierTable());
  });

  it('describe every table of the database', () => {
    const folder = join(ROOT, 'db/migrations');
    const migrations = readdirSync(folder).map(name => readFileSync(join(folder, name), 'utf8'));
    const tables = migrations.flatMap(text =>
      [...text.matchAll(/createTable\('([a-z_]+)'/g)].map(([, table = '']) => table),
    );
    const described = [...readFileSync(join(ROOT, 'db/README.md'), 'utf8').matchAll(/^\| (`[^|]+`) \|/gm)];
    const names = described.flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([a-z_]+)`/g)].map(([, name]) => name),
    );
    expect(names).to.have.members([...tables, 'schema_migrations']);
  });
});
