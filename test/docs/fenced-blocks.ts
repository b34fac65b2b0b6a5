import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');

/** A fenced block of a document: ```` ```language mark ````. */
export interface FencedBlock {
  readonly document: string;
  readonly line: number;
  readonly language: string;
  /** What runs it; empty when the block says nothing. */
  readonly mark: string;
  readonly text: string;
}

/** What people read: the README, the guides, the examples, how to contribute. */
export const DOCUMENTS: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
  ...readdirSync(join(ROOT, 'docs/examples'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/examples/${name}`),
];

export function readDocument(document: string): string {
  return readFileSync(join(ROOT, document), 'utf8');
}

export function blocksOf(document: string, content = readDocument(document)): readonly FencedBlock[] {
  const blocks: FencedBlock[] = [];
  let open: { line: number; language: string; mark: string; lines: string[] } | undefined;
  for (const [index, line] of content.split('\n').entries()) {
    if (!line.startsWith('```')) open?.lines.push(line);
    else if (open === undefined) {
      const [language = '', mark = ''] = line.slice(3).trim().split(/\s+/);
      open = { line: index + 1, language, mark, lines: [] };
    } else {
      const { lines, ...rest } = open;
      blocks.push({ document, ...rest, text: `${lines.join('\n')}\n` });
      open = undefined;
    }
  }
  if (open !== undefined) throw new TypeError(`${document}:${open.line} is not closed`);
  return blocks;
}

/** All blocks of a document with this mark as one script, in their order, so that a later one can use an earlier one. */
export function scriptOf(document: string, mark: string): string {
  return blocksOf(document)
    .filter(block => block.mark === mark)
    .map(({ text }) => text)
    .join('');
}
