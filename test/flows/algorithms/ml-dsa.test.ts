import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { fetchNewestNode, NEWEST, NEWEST_NODE } from '../../support/newest-node.js';

const run = promisify(execFile);

describe(`ML-DSA (RFC 9964), on Node.js ${NEWEST}`, function () {
  this.timeout(240_000);

  it('signs access tokens, ID tokens, userinfo and authorization responses that jose and our verifier accept', async function () {
    const reason = await fetchNewestNode();
    if (reason !== undefined) {
      process.stderr.write(`SKIPPED: ML-DSA is not tried: Node.js ${NEWEST} is not to be had: ${reason}\n`);
      return this.skip();
    }
    const program = join(import.meta.dirname, 'ml-dsa-node.ts');
    const { stdout } = await run(NEWEST_NODE, ['--import', 'tsx', program], { timeout: 200_000 });
    const { available } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { available: string[] };
    expect(available).to.include.members(['ML-DSA-44', 'ML-DSA-65']);
  });
});
