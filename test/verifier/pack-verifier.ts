import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');

/**
 * Puts the package `@claviger/verifier` together in an empty folder: what of src/verifier compiles to, its README, the
 * licence, and its package.json with our version. `npm pack` or `npm publish` in that folder does the rest.
 *
 * By hand: `npx tsx test/verifier/pack-verifier.ts FOLDER`.
 */
export async function assembleVerifier(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const project = join(folder, 'tsconfig.json');
  const options = {
    noEmit: false,
    rootDir: join(ROOT, 'src/verifier'),
    outDir: join(folder, 'lib'),
    declaration: true,
    // Neither Node's types nor any other: whoever installs the package has none of them.
    types: [],
  };
  await writeFile(
    project,
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: options,
      include: [join(ROOT, 'src/verifier')],
    }),
  );
  await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', project]);
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const template = JSON.parse(await readFile(join(ROOT, 'src/verifier/npm-package.json'), 'utf8')) as object;
  await writeFile(
    join(folder, 'package.json'),
    `${JSON.stringify({ ...template, version }, undefined, 2)}\n`,
  );
  await copyFile(join(ROOT, 'src/verifier/README.md'), join(folder, 'README.md'));
  await copyFile(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
}

const [, script, folder] = process.argv;
if (script !== undefined && resolve(script) === import.meta.filename) {
  if (folder === undefined) throw new TypeError('usage: tsx test/verifier/pack-verifier.ts FOLDER');
  await assembleVerifier(resolve(folder));
}
