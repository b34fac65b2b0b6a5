/** A process that takes places in status lists and is killed with the rest of its lease (status-indices.test.ts). */
import { openDatabase } from '../../src/database/connect.js';
import { StatusIndices } from '../../src/status-lists/status-indices.js';

export interface LeasingAssignment {
  readonly url: string;
  /** Of the token, seconds. */
  readonly exp: number;
}

const { url, exp } = JSON.parse(process.argv[2] ?? '') as LeasingAssignment;
const indices = new StatusIndices({
  database: openDatabase({ url }),
  log: { warn: () => undefined },
  monotonic: () => performance.now(),
});
process.send?.(await indices.take({ alg: 'ES256', kid: 'killed' }, exp));
process.on('disconnect', () => process.exit(0));
