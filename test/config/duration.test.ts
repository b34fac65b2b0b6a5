import { expect } from 'chai';
import fc from 'fast-check';
import { parseDuration, showDuration } from '../../src/config/duration.js';
import { isAppError } from '../../src/errors.js';

describe('durations', () => {
  for (const [text, seconds] of [
    ['90s', 90],
    ['15m', 900],
    ['24h', 86_400],
    ['30d', 2_592_000],
    ['1h30m', 5_400],
    ['2d12h', 216_000],
    ['90', 90],
    ['0', 0],
    [' 5m ', 300],
  ] as const) {
    it(`"${text}" is ${seconds} seconds`, () => expect(parseDuration(text)).to.equal(seconds));
  }

  for (const text of [
    '',
    ' ',
    's',
    '-5s',
    '1.5h',
    '5 m',
    '30m1h',
    '1h1h',
    '5w',
    '1e3',
    '99999999999',
    '٣s',
  ]) {
    it(`refuses "${text}" and says how to write one`, () => {
      try {
        parseDuration(text);
        expect.fail('accepted');
      } catch (error) {
        expect(isAppError(error, 'invalid_request')).to.equal(true);
        expect(String(error)).to.include('write it as 90s');
      }
    });
  }

  it('are shown in the shortest form that reads back to the same number', () => {
    expect([90, 86_400, 8_100, 2_592_000, 0, 5_400].map(showDuration)).to.deep.equal([
      '1m30s',
      '24h',
      '2h15m',
      '30d',
      '0s',
      '1h30m',
    ]);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10 ** 9 }),
        seconds => parseDuration(showDuration(seconds)) === seconds,
      ),
    );
  });
});
