import { after, type KeyPolicy } from '../keys/key-policy.js';
import type { UpcomingEvent } from '../keys/key-schedule.js';
import type { KeyState, Ring, SigningKey } from '../keys/signing-key.js';
import type { Style } from './output.js';
import { instant } from './wire.js';

/** A piece of a line: its text, and how it is painted where colours are understood. */
export interface Span {
  readonly text: string;
  readonly style?: Style | undefined;
}

export type Line = readonly Span[];

/** The pictures differ in shape, so that nothing is lost without colours. */
const LOOKS: Readonly<Record<KeyState, { readonly mark: string; readonly style: Style }>> = {
  announced: { mark: '.', style: 'yellow' },
  active: { mark: '#', style: 'green' },
  retained: { mark: '-', style: 'bold' },
  retired: { mark: ' ', style: 'dim' },
  revoked: { mark: 'x', style: 'red' },
};
const NOW = '|';

const LABEL = 20;
const SHOWN_KID = 8;
const MOST_KEYS = 30;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

interface Segment {
  readonly state: KeyState;
  readonly from: number;
  readonly to: number;
}

interface Frame {
  readonly from: number;
  readonly to: number;
  readonly columns: number;
}

/**
 * A line for each key from its announcement to its end, past and planned, on one scale.
 *
 * @param now database clock, milliseconds
 * @param width columns of the terminal; nothing is longer
 */
export function timeline(
  ring: Ring,
  policy: KeyPolicy,
  events: readonly UpcomingEvent[],
  now: number,
  width = 80,
): readonly Line[] {
  const lives = ring.keys.map(key => ({ key, segments: segmentsOf(key, policy, events, now) }));
  const frame = frameOf(
    lives.map(({ segments }) => segments),
    policy,
    now,
    width - LABEL,
  );
  const shown = lives
    .filter(({ segments }) => segments.some(({ to, from }) => to > frame.from && from < frame.to))
    .sort((a, b) => order(a.key, b.key));
  const left = shown.length - MOST_KEYS;
  return [
    ...scale(frame, now),
    ...shown.slice(Math.max(0, left)).map(({ key, segments }) => row(key, segments, frame, now)),
    ...(left > 0 ? [[{ text: `and ${left} more`, style: 'dim' as const }]] : []),
    legend(),
  ];
}

/** Where each state begins and ends; what has not happened yet, as it is planned. */
function segmentsOf(
  key: SigningKey,
  policy: KeyPolicy,
  events: readonly UpcomingEvent[],
  now: number,
): readonly Segment[] {
  const planned = (kind: UpcomingEvent['kind'], match: (event: UpcomingEvent) => boolean) =>
    events.find(event => event.kind === kind && match(event))?.at;
  const end = key.revokedAt ?? key.retiredAt;
  const promotion = planned('activate', event => event.kid === key.kid);
  const activeFrom = key.activatedAt ?? (end === undefined ? promotion : undefined);
  const handsOver =
    key.state === 'active'
      ? planned('activate', event => event.alg === key.alg && event.kid !== key.kid)
      : undefined;
  const retainedFrom = key.retainedAt ?? (end === undefined ? handsOver : undefined);
  const retiredFrom =
    end ??
    planned('retire', event => event.kid === key.kid) ??
    (retainedFrom === undefined ? undefined : after(retainedFrom, policy.retainFor));
  // What is late has not ended: it goes on until now.
  const until = (...instants: (number | undefined)[]) =>
    instants.find(at => at !== undefined) ?? Number.POSITIVE_INFINITY;
  const segments: Segment[] = [{ state: 'announced', from: key.announcedAt, to: until(activeFrom, end) }];
  if (activeFrom !== undefined) {
    segments.push({ state: 'active', from: activeFrom, to: until(retainedFrom, end) });
  }
  if (retainedFrom !== undefined) {
    segments.push({ state: 'retained', from: retainedFrom, to: until(retiredFrom) });
  }
  if (key.revokedAt !== undefined) {
    segments.push({ state: 'revoked', from: key.revokedAt, to: key.revokedAt + 1 });
  }
  return segments.map(segment => (segment.to < segment.from ? { ...segment, to: now } : segment));
}

function frameOf(
  lives: readonly (readonly Segment[])[],
  policy: KeyPolicy,
  now: number,
  columns: number,
): Frame {
  const segments = lives.flat();
  const current = lives.filter(life => life.some(({ to, state }) => to > now && state !== 'revoked')).flat();
  const period = (policy.rotateEvery + policy.announceFor) * 1000;
  const starts = current.map(({ from }) => from).filter(at => at <= now);
  const ends = segments.map(({ to }) => to).filter(at => Number.isFinite(at) && at > now);
  const from = Math.max(now - 2 * period, Math.min(now - period / 8, ...starts));
  const to = Math.min(now + 2 * period, Math.max(now + period / 8, ...ends));
  // A little room on the right, so that the last state can be seen.
  return { from, to: to + (to - from) / 40, columns };
}

function columnOf(at: number, { from, to, columns }: Frame): number {
  const column = Math.floor(((at - from) / (to - from)) * columns);
  return Math.max(0, Math.min(columns, column));
}

export function order(a: SigningKey, b: SigningKey): number {
  if (a.alg !== b.alg) return a.alg < b.alg ? -1 : 1;
  return a.announcedAt - b.announcedAt || (a.kid < b.kid ? -1 : 1);
}

function row(key: SigningKey, segments: readonly Segment[], frame: Frame, now: number): Line {
  const states: (KeyState | undefined)[] = Array<undefined>(frame.columns).fill(undefined);
  for (const { state, from, to } of segments) {
    const first = Math.min(columnOf(from, frame), frame.columns - 1);
    // Nothing is too short to be seen.
    const end = Math.max(first + 1, columnOf(to, frame));
    if (to < frame.from || from > frame.to) continue;
    states.fill(state, first, end);
  }
  const nowAt = columnOf(now, frame);
  const spans: Span[] = [{ text: `${key.alg.padEnd(10)}${shortKid(key.kid)}`.padEnd(LABEL) }];
  let run = { text: '', style: undefined as Style | undefined };
  for (const [column, state] of states.entries()) {
    // The present gives way to a state that would not be seen otherwise.
    const isOnly = state !== undefined && states.filter(other => other === state).length === 1;
    const isNow = column === nowAt && !isOnly;
    const style = isNow || state === undefined ? undefined : LOOKS[state].style;
    const mark = isNow ? NOW : state === undefined ? ' ' : LOOKS[state].mark;
    if (style !== run.style) {
      if (run.text !== '') spans.push(run);
      run = { text: '', style };
    }
    run.text += mark;
  }
  spans.push({ ...run, text: run.text.trimEnd() });
  return spans;
}

export function shortKid(kid: string): string {
  return kid.length > SHOWN_KID ? kid.slice(0, SHOWN_KID) : kid;
}

/** In UTC. Seconds are for programs: with them a kid and its dates do not fit into a terminal. */
export function toTheMinute(at: number | undefined): string {
  return (instant(at) ?? '').slice(0, 16).replace('T', ' ');
}

/** Three instants and the present, above the columns they belong to. */
function scale(frame: Frame, now: number): readonly Line[] {
  const { from, to, columns } = frame;
  const isLong = to - from > 3 * DAY;
  const written = (at: number) => {
    const text = instant(at) ?? '';
    return isLong ? text.slice(0, 10) : text.slice(5, 16).replace('T', ' ');
  };
  const marks = [0, 1, 2].map(third => Math.floor((columns * third) / 3));
  const dates = marks.map((column, index) => {
    const next = marks[index + 1] ?? columns;
    const text = written(from + ((to - from) * column) / columns);
    return `'${text}`.padEnd(next - column);
  });
  const nowText = `now ${toTheMinute(now)}Z`;
  const nowAt = columnOf(now, frame);
  // The text stands on the side where there is room.
  const pointed =
    nowAt + nowText.length + 2 <= columns
      ? `${' '.repeat(nowAt)}v ${nowText}`
      : `${nowText} v`.padStart(nowAt + 1);
  return [
    [{ text: `${' '.repeat(LABEL)}${dates.join('').trimEnd()}`, style: 'dim' }],
    [{ text: `${' '.repeat(LABEL)}${pointed}`, style: 'bold' }],
  ];
}

function legend(): Line {
  const named = (['announced', 'active', 'retained', 'revoked'] as const).flatMap((state): Span[] => [
    { text: LOOKS[state].mark, style: LOOKS[state].style },
    { text: ` ${state}  ` },
  ]);
  return [...named, { text: `${NOW} now` }];
}
