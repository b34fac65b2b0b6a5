import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { AUDIT_EVENTS } from '../../src/audit/events.js';
import { loadConfig } from '../../src/config/load.js';
import { deriveKeyPolicy } from '../../src/keys/key-policy.js';
import { freshFolder, run } from '../cli/captured-run.js';
import { blocksOf, DOCUMENTS, type FencedBlock, ROOT, readDocument } from './fenced-blocks.js';

/** What runs a block; pictures and other programs' settings are not ours to run. */
function isRun({ language, mark, document }: FencedBlock): boolean {
  if (language === 'text' || language === 'nginx') return mark === '';
  if (language === 'sh') {
    if (mark === 'commands') return true;
    const documents: Record<string, readonly string[]> = {
      demo: ['README.md', 'docs/signing-keys.md', 'docs/audit-events.md', 'docs/verifying-tokens.md'],
      installation: ['README.md', 'docs/operating.md'],
    };
    return documents[mark]?.includes(document) ?? false;
  }
  if (language === 'yaml') return mark === 'settings';
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
        for (const [, words = ''] of text.matchAll(/^npx claviger ([a-z]+(?: [a-z]+(?![\w:/]))*)/gm))
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

  it('name only metrics that there are', () => {
    const source = readFileSync(join(ROOT, 'src/metrics.ts'), 'utf8');
    for (const [, metric = ''] of readDocument('docs/operating.md').matchAll(/`(claviger_[a-z_]+)/g)) {
      expect(source, metric).to.include(`'${metric.replace(/_count$/, '')}'`);
    }
  });

  it('describe every table of the database', () => {
    const migration = readFileSync(join(ROOT, 'db/migrations/0001-foundation.ts'), 'utf8');
    const tables = [...migration.matchAll(/createTable\('([a-z_]+)'/g)].map(([, table = '']) => table);
    const described = [...readFileSync(join(ROOT, 'db/README.md'), 'utf8').matchAll(/^\| `([a-z_]+)` \|/gm)];
    expect(described.map(([, table]) => table)).to.have.members([...tables, 'schema_migrations']);
  });
});
