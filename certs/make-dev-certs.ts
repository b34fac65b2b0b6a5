import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What production looks for in a certificate's subject, and refuses. */
export const DEVELOPMENT_UNIT = 'claviger development certificate';

export interface DevelopmentCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** Node can make keys but not certificates: the `openssl` command does. */
export function makeDevelopmentCertificate(folder: string): DevelopmentCertificate {
  const certificate = join(folder, 'dev-cert.pem');
  const key = join(folder, 'dev-key.pem');
  const made = spawnSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-sha256'],
      ...['-days', '90', '-subj', `/O=claviger/OU=${DEVELOPMENT_UNIT}/CN=localhost`],
      ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'],
      ...['-addext', 'extendedKeyUsage=serverAuth'],
      ...['-keyout', key, '-out', certificate],
    ],
    { encoding: 'utf8' },
  );
  if (made.error !== undefined) {
    throw new Error(
      `the command "openssl" is needed and cannot be run (${made.error.message}): install OpenSSL 3 and try again, or use plain http on localhost`,
      { cause: made.error },
    );
  }
  if (made.status !== 0) throw new Error(`openssl refused to make a certificate:\n${made.stderr}`);
  chmodSync(key, 0o600);
  return { certificate, key };
}

function main(): void {
  const folder = import.meta.dirname;
  if (existsSync(join(folder, 'dev-cert.pem')) && !process.argv.includes('--force')) {
    process.stderr.write('certs/dev-cert.pem exists already; --force makes a new one\n');
    return;
  }
  const { certificate, key } = makeDevelopmentCertificate(folder);
  process.stderr.write(`wrote ${relative(process.cwd(), certificate)} and ${relative(process.cwd(), key)}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
