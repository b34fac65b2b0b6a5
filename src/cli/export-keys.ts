import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { AppError } from '../errors.js';
import { isPublished } from '../keys/key-state.js';
import { publishJwks } from '../keys/published-jwks.js';
import type { Cli } from './cli.js';
import { withInstallation } from './context.js';
import { seeRing } from './see-ring.js';

export const EXPORT_FORMATS = ['jwks', 'pem'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** For verifiers that read a file. It has to be written again whenever the ring changes. */
export async function exportKeys(cli: Cli, format: ExportFormat): Promise<void> {
  await withInstallation(cli, async opened => {
    const { ring } = await seeRing(opened);
    const published = ring.keys.filter(isPublished);
    if (published.length === 0) {
      throw new AppError(
        'not_ready',
        'There are no signing keys yet: the first start makes them (claviger serve).',
      );
    }
    const jwks = JSON.parse(publishJwks(ring).body.toString('utf8')) as { keys: JsonWebKey[] };
    if (format === 'jwks') {
      cli.output.result(jwks, () => JSON.stringify(jwks, null, 2));
      return;
    }
    const keys = jwks.keys.map(jwk => ({
      kid: String(jwk.kid),
      alg: String(jwk.alg),
      pem: createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString(),
    }));
    cli.output.result({ keys }, () =>
      keys.map(({ kid, alg, pem }) => `# kid ${kid}, ${alg}\n${pem.trimEnd()}`).join('\n'),
    );
  });
}
