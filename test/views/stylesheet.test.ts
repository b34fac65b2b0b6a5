import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

const ROOT = join(import.meta.dirname, '../..');

function textsIn(folder: string, endings: readonly string[]): string {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && endings.some(ending => entry.name.endsWith(ending)))
    .map(entry => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n');
}

describe('the stylesheet', () => {
  const css = readFileSync(join(ROOT, 'views/assets/app.css'), 'utf8');

  it('is smaller than 20 000 bytes', () => {
    expect(Buffer.byteLength(css)).to.be.below(20_000);
  });

  it('has no rule for what no page has', () => {
    const pages = textsIn('views', ['.eta', '.js']) + textsIn('src/http', ['.ts']);
    const rules = css.replace(/\/\*[\s\S]*?\*\//g, '');
    const classes = new Set([...rules.matchAll(/\.([a-z][\w-]*)/g)].map(([, name = '']) => name));
    const unused = [...classes].filter(name => !new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(pages));
    expect(unused).to.deep.equal([]);
  });
});
