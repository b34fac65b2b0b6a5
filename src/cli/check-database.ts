import type { Clock } from '../clock.js';
import { toRfc3339 } from '../clock.js';
import type { Config } from '../config/config.js';
import { shownDatabaseUrl } from '../config/database-url.js';
import { showDuration } from '../config/duration.js';
import type { Database } from '../database/connect.js';
import { assertInstallation, readInstallation } from '../database/identity.js';
import { liveNodeLeases, type NodeLease } from '../database/node-leases.js';
import { schemaStatus } from '../database/schema.js';
import { isAppError } from '../errors.js';
import { deriveKeyPolicy } from '../keys/key-policy.js';
import { nextEvents } from '../keys/key-schedule.js';
import { activeOf, successorOf } from '../keys/key-state.js';
import { readRing } from '../keys/key-store.js';
import { readPolicy } from '../keys/rotate.js';
import { algorithmFindings } from '../oidc/algorithm-findings.js';
import { algorithmsInUse } from '../oidc/algorithm-users.js';
import { checkRestore } from './check-restore.js';
import { checkRootKeys } from './check-root-keys.js';
import { type Finding, found, ok } from './finding.js';

/** Beyond this, tokens of this machine look issued in the future, or long ago, to everybody else. */
const LARGEST_DRIFT_MS = 30_000;
/** A step that is due is taken within seconds; this late, nobody takes it. */
const OVERDUE_AFTER_MS = 5 * 60_000;

export interface DatabaseFindings {
  readonly findings: readonly Finding[];
  readonly nodes: readonly NodeLease[];
}

export async function checkDatabase(
  database: Database,
  config: Config,
  rootKeyId: string,
  clock: Clock,
): Promise<DatabaseFindings> {
  const where = shownDatabaseUrl(config.database.url);
  const findings: Finding[] = [];
  let now: number;
  try {
    now = await database.now();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const remedy = 'Start the database, or correct database.url.';
    return { findings: [found('database', 'error', `${where}: ${reason}`, remedy)], nodes: [] };
  }
  findings.push(ok('database', `${where} answers.`), checkClock(clock.now() - now));

  const { applied, pending } = await schemaStatus(database);
  if (pending.length > 0) {
    const what =
      applied.length === 0 ? 'The database is empty' : `Migrations are pending: ${pending.join(', ')}`;
    findings.push(found('migrations', 'error', `${what}.`, 'claviger migrate'));
    return { findings, nodes: [] };
  }
  findings.push(ok('migrations', `All ${applied.length} migration(s) are applied.`));
  findings.push(await checkIdentity(database, config, rootKeyId));
  findings.push(...(await checkRootKeys(database, config)));
  const nodes = await database.read(on => liveNodeLeases(on, now));
  findings.push(...(await checkRing(database, config, nodes, now)), ...(await checkRestore(database, now)));
  return { findings, nodes };
}

function checkClock(drift: number): Finding {
  const seconds = Math.round(Math.abs(drift) / 1000);
  if (Math.abs(drift) <= LARGEST_DRIFT_MS)
    return ok('clock', `This machine's clock is within ${seconds} s of the database's.`);
  return found(
    'clock',
    'error',
    `This machine's clock is ${seconds} s ${drift > 0 ? 'ahead of' : 'behind'} the database's.`,
    'Let both machines set their clocks by NTP.',
  );
}

async function checkIdentity(database: Database, config: Config, rootKeyId: string): Promise<Finding> {
  const installation = await database.read(readInstallation);
  if (installation === undefined) {
    return found('identity', 'error', 'The database belongs to no installation yet.', 'claviger migrate');
  }
  try {
    const { issuer, environment } = config;
    assertInstallation(installation, { issuer, environment, rootKeyId });
    return ok('identity', `Database, root key ${rootKeyId} and issuer ${issuer} belong together.`);
  } catch (error) {
    if (!isAppError(error)) throw error;
    return found(
      error.code === 'root_key_wrong' ? 'root_key' : 'identity',
      'error',
      error.message,
      'See the finding.',
    );
  }
}

async function checkRing(
  database: Database,
  config: Config,
  nodes: readonly NodeLease[],
  now: number,
): Promise<Finding[]> {
  const ring = await database.read(readRing);
  if (ring.keys.length === 0) {
    return [
      found(
        'signing_keys',
        'warning',
        'There are no signing keys yet.',
        'The first start makes them: claviger serve',
      ),
    ];
  }
  const own = deriveKeyPolicy(config);
  const [policy, algorithms] = await database.read(on =>
    Promise.all([
      readPolicy({ policy: own, algorithmsInUse }, on, ring, now),
      algorithmFindings(on, ring, config.keys, now),
    ]),
  );
  const findings = config.keys.algorithms.map(alg => {
    const active = activeOf(ring, alg);
    const successor = successorOf(ring, alg);
    if (active === undefined) {
      // An algorithm that was just added to the settings signs when its first announcement ends.
      const severity = successor === undefined ? 'error' : 'warning';
      return found('signing_keys', severity, `${alg} has no active key.`, 'Look at: claviger key status');
    }
    if (successor === undefined) {
      const remedy = 'A running server announces one within a minute: claviger serve';
      return found(
        'signing_keys',
        'error',
        `${alg} has no announced successor, so no emergency can be met.`,
        remedy,
      );
    }
    const age = showDuration(Math.max(0, Math.floor((now - (active.activatedAt ?? now)) / 1000)));
    return ok('signing_keys', `${alg}: an active key (${age} old) and an announced successor.`);
  });
  findings.push(
    ...algorithms.map(({ finding, remedy }) => found('signing_algorithms', 'warning', finding, remedy)),
  );
  for (const event of nextEvents(ring, policy, nodes, now)) {
    if (now - event.at < OVERDUE_AFTER_MS) continue;
    const waits =
      event.waitsForNodeIds.length === 0 ? '' : ` It waits for ${event.waitsForNodeIds.join(', ')}.`;
    findings.push(
      found(
        'key_rotation',
        'error',
        `${event.alg}: "${event.kind}" was due at ${toRfc3339(event.at)}.${waits}`,
        nodes.length === 0 ? 'No server is running: claviger serve' : "See the servers' logs.",
      ),
    );
  }
  return findings;
}
