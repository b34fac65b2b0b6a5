import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Development certificates of this project say so in their subject or issuer. */
const MADE_FOR_DEVELOPMENT = /claviger.*development/i;

export function trustsDevelopmentCertificate(path: string | undefined, cwd: string): boolean {
  if (path === undefined || path === '') return false;
  try {
    const blocks = readFileSync(resolve(cwd, path), 'utf8').match(CERTIFICATE) ?? [];
    return blocks.some(block => {
      const { subject, issuer } = new X509Certificate(block);
      return MADE_FOR_DEVELOPMENT.test(subject) || MADE_FOR_DEVELOPMENT.test(issuer);
    });
  } catch {
    // Node itself warns about a file that it cannot read, and then trusts nothing from it.
    return false;
  }
}
