import { nextEvents, type UpcomingEvent } from '../keys/key-schedule.js';
import { isPublished } from '../keys/key-state.js';
import type { KeyState, Ring, SigningKey } from '../keys/signing-key.js';
import type { Cli } from './cli.js';
import { withInstallation } from './context.js';
import { order, shortKid, timeline, toTheMinute } from './key-timeline.js';
import { verifierLines, verifiersJson, verifiersOfKey } from './key-verifiers.js';
import type { Cell, Output, Style } from './output.js';
import { seeRing } from './see-ring.js';
import { algorithmJson, ringJson } from './wire.js';

const STATE_STYLES: Readonly<Record<KeyState, Style>> = {
  active: 'green',
  announced: 'yellow',
  retained: 'bold',
  retired: 'dim',
  revoked: 'red',
};

/** A line within 80 columns, and one more for each thing that is waited for. */
function told({ kind, alg, kid, waitsForNodeIds, waitsForVerifiers = [] }: UpcomingEvent): readonly string[] {
  const name = kid === undefined ? '' : ` ${shortKid(kid)}…`;
  const nodes = waitsForNodeIds.length === 0 ? [] : [`once ${waitsForNodeIds.join(', ')} publish it`];
  const verifiers = waitsForVerifiers.length === 0 ? [] : [`once ${waitsForVerifiers.join(', ')} fetched it`];
  return [happens(kind, `${alg}${name}`), ...[...nodes, ...verifiers].map(wait => `    ${wait}`)];
}

function happens(kind: UpcomingEvent['kind'], key: string): string {
  switch (kind) {
    case 'create':
      return `${key}: the first keys are made`;
    case 'announce':
      return `${key}: a successor is announced`;
    case 'activate':
      return `${key} begins to sign, the next is announced`;
    case 'retire':
      return `${key} is withdrawn, no token is alive`;
  }
}

/** Of the keys that have ended, which become more with every year; the JSON has all. */
const MOST_ENDED = 10;

function sinceOf(key: SigningKey): number | undefined {
  const { announcedAt, activatedAt, retainedAt, retiredAt, revokedAt } = key;
  return {
    announced: announcedAt,
    active: activatedAt,
    retained: retainedAt,
    retired: retiredAt,
    revoked: revokedAt,
  }[key.state];
}

/** In the order of the picture above it. */
function keyTable({ keys }: Ring, output: Output): readonly string[] {
  const older = keys
    .filter(key => !isPublished(key))
    .sort((a, b) => (sinceOf(b) ?? 0) - (sinceOf(a) ?? 0))
    .slice(MOST_ENDED);
  const shown = keys.filter(key => !older.includes(key)).sort(order);
  const rows = shown.map((key): Cell[] => [
    key.kid,
    key.alg,
    { text: key.state, style: STATE_STYLES[key.state] },
    toTheMinute(sinceOf(key)),
  ]);
  return [
    output.table(['KID', 'ALG', 'STATE', 'SINCE (UTC)'], rows),
    ...(older.length === 0 ? [] : [`and ${older.length} that ended before (--json lists all)`]),
  ];
}

function painted(output: Output, lines: ReturnType<typeof timeline>): string {
  return lines
    .map(line => line.map(({ text, style }) => (style === undefined ? text : output.paint(text, style))))
    .map(parts => parts.join('').trimEnd())
    .join('\n');
}

export async function keyStatus(cli: Cli): Promise<void> {
  await withInstallation(cli, async opened => {
    const seen = await seeRing(opened);
    const { ring, policy, algorithms, leases, now, held } = seen;
    const { config } = opened;
    const events = nextEvents(ring, policy, leases, now, held);
    const watched = ring.keys.flatMap(key => {
      const verifiers = verifiersOfKey(key, seen, config.keys);
      return verifiers === undefined ? [] : [{ key, verifiers }];
    });
    const whole = ringJson(ring, events);
    const keys = whole.keys.map(key => {
      const found = watched.find(each => each.key.kid === key.kid);
      return found === undefined ? key : { ...key, verifiers: verifiersJson(found.verifiers) };
    });
    const json = { ...whole, keys, algorithms: algorithms.map(algorithmJson) };
    cli.output.result(json, () => {
      const next = events.flatMap(event => {
        const [what, ...waits] = told(event);
        return [`  ${toTheMinute(event.at)}Z  ${what}`, ...waits];
      });
      const drawn =
        ring.keys.length === 0 ? [] : [painted(cli.output, timeline(ring, policy, events, now)), ''];
      const verifiers = watched.flatMap(({ key, verifiers: found }) => [
        '',
        ...verifierLines(key, found, seen, config.keys, cli.output),
      ]);
      return [
        ...[
          `Key ring, version ${ring.version}`,
          '',
          ...drawn,
          ...keyTable(ring, cli.output),
          '',
          'Next',
          ...next,
        ],
        ...algorithms.flatMap(({ finding, remedy }) => ['', finding, `  ${remedy}`]),
        ...verifiers,
      ].join('\n');
    });
  });
}
