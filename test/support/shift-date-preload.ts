import { installShiftedClock } from './shifted-clock.js';

/** `TEST_DATE_OFFSET_MS=90000 node --import tsx --import ./test/support/shift-date-preload.ts …` moves a whole process. */
const text = process.env.TEST_DATE_OFFSET_MS ?? '0';
const offset = Number(text);
if (!Number.isSafeInteger(offset)) throw new TypeError(`TEST_DATE_OFFSET_MS is not a whole number: ${text}`);
installShiftedClock(offset);
