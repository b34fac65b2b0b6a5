import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The package's views/, which lies beside its package.json: this file runs from src/ and, compiled, from dist/src/. */
export function viewsFolder(from: string = import.meta.dirname): string {
  if (existsSync(join(from, 'package.json'))) return join(from, 'views');
  const above = dirname(from);
  if (above === from) throw new TypeError('views/ is missing from this installation');
  return viewsFolder(above);
}
