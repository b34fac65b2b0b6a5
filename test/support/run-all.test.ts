import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';

describe('npm test', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'claviger-run-all-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function run(
    source: string,
    ...args: string[]
  ): { status: number | null; out: string; last: string | undefined } {
    const file = join(folder, 'planted.test.mts');
    writeFileSync(file, source);
    const ran = spawnSync(
      process.execPath,
      ['--import', 'tsx', join(import.meta.dirname, 'run-all.ts'), file, ...args],
      { encoding: 'utf8' },
    );
    return { status: ran.status, out: ran.stdout, last: ran.stdout.trimEnd().split('\n').at(-1) };
  }

  it('ends with one line that counts passed, failed and skipped tests, and fails when one failed', () => {
    const source = `describe('planted', () => {
      it('good', () => undefined);
      it('bad', () => { throw new Error('planted fault'); });
      it.skip('later', () => undefined);
    });`;
    const { status, out, last } = run(source);
    expect(last).to.equal('1 passed, 1 failed, 1 skipped');
    expect(out.match(/\d+ passed, \d+ failed/g)).to.have.lengthOf(1);
    expect(out).to.match(/Error: planted fault\n\s+at .*planted\.test\.mts/);
    expect(out).to.include('SKIPPED (1)').and.to.include('planted later');
    expect(status).to.equal(1);
    const chosen = run(source, '--grep', 'good');
    expect(chosen.last).to.equal('1 passed, 0 failed, 0 skipped');
    expect(chosen.status).to.equal(0);
  });

  it('fails when a hook fails, a file cannot be loaded, or nothing matches', () => {
    const hook = run(
      `describe('x', () => { before(() => { throw new Error('no'); }); it('y', () => undefined); });`,
    );
    expect(hook.last).to.equal('0 passed, 1 failed, 0 skipped');
    expect(hook.status).to.equal(1);
    const broken = run(`throw new Error('planted at load');`);
    expect(broken.out).to.include('planted at load');
    expect(broken.status).to.equal(1);
    const nothing = run(`it('x', () => undefined);`, '--grep', 'nothing like it');
    expect(nothing.last).to.equal('0 passed, 1 failed, 0 skipped');
    expect(nothing.status).to.equal(1);
    expect(run(`it.only('x', () => undefined);`).status).to.equal(1);
  });
});
