import { AppError } from '../errors.js';

const WRITTEN = /^(?:(\d{1,6})d)?(?:(\d{1,8})h)?(?:(\d{1,9})m)?(?:(\d{1,10})s)?$/;
const PLAIN = /^\d{1,10}$/;

export const MINUTE = 60;
export const HOUR = 3_600;
export const DAY = 86_400;

export const DURATION_FORM = 'write it as 90s, 15m, 24h, 30d, 1h30m or a whole number of seconds';

/** Seconds, or undefined when the text is not a duration. */
export function readDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (PLAIN.test(trimmed)) return Number(trimmed);
  const match = trimmed === '' ? null : WRITTEN.exec(trimmed);
  if (match === null) return undefined;
  const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = match;
  return Number(days) * DAY + Number(hours) * HOUR + Number(minutes) * MINUTE + Number(seconds);
}

/** Seconds from `90s 15m 24h 30d 1h30m` or plain seconds. */
export function parseDuration(text: string): number {
  const seconds = readDuration(text);
  if (seconds === undefined) {
    throw new AppError('invalid_request', `"${text.slice(0, 40)}" is not a duration: ${DURATION_FORM}.`);
  }
  return seconds;
}

/** The shortest form that `parseDuration` reads back to the same number. */
export function showDuration(seconds: number): string {
  const parts: string[] = [];
  let rest = seconds;
  for (const [unit, size] of [
    ['d', DAY],
    ['h', HOUR],
    ['m', MINUTE],
  ] as const) {
    // 24h and 36h are read more easily than 1d and 1d12h: days only when they come out even.
    const count = unit === 'd' && (rest % DAY !== 0 || rest === DAY) ? 0 : Math.floor(rest / size);
    if (count > 0) parts.push(`${count}${unit}`);
    rest -= count * size;
  }
  if (rest > 0 || parts.length === 0) parts.push(`${rest}s`);
  return parts.join('');
}
