import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { installShiftedClock } from './shifted-clock.js';

const HOUR = 3_600_000;
const SLACK = 5_000;

describe('shifted clock', () => {
  it('moves Date.now, new Date() and Date(), and nothing else', () => {
    const clock = installShiftedClock();
    try {
      const before = performance.now();
      clock.shiftTo(HOUR);
      clock.shiftBy(HOUR);
      expect(clock.offset).to.equal(2 * HOUR);
      expect(Date.now() - clock.realNow()).to.be.closeTo(2 * HOUR, SLACK);
      expect(Date.parse(new Date().toISOString()) - clock.realNow()).to.be.closeTo(2 * HOUR, SLACK);
      expect(new Date(Date()).getTime() - clock.realNow()).to.be.closeTo(2 * HOUR, SLACK);
      expect(new Date(1_000).getTime()).to.equal(1_000);
      expect(new Date(2026, 10, 25).getFullYear()).to.equal(2026);
      expect(Date.UTC(1970, 0, 1)).to.equal(0);
      expect(new Date()).to.be.instanceOf(Date);
      expect(performance.now() - before).to.be.lessThan(SLACK);
    } finally {
      clock.restore();
    }
    expect(Date.now() - clock.realNow()).to.be.lessThan(SLACK);
  });

  it('refuses to be taken off under another one', () => {
    const lower = installShiftedClock(HOUR);
    const upper = installShiftedClock(HOUR);
    expect(() => lower.restore()).to.throw(TypeError);
    expect(Date.now() - upper.realNow()).to.be.closeTo(HOUR, SLACK);
    upper.restore();
    lower.restore();
  });

  it('moves a whole process by its preload', () => {
    const preload = join(import.meta.dirname, 'shift-date-preload.ts');
    const run = (offset: string) =>
      spawnSync(
        process.execPath,
        ['--import', 'tsx', '--import', preload, '--eval', 'process.stdout.write(String(Date.now()))'],
        { env: { ...process.env, TEST_DATE_OFFSET_MS: offset }, encoding: 'utf8' },
      );
    const started = Date.now();
    const moved = run(String(-HOUR));
    expect(Number(moved.stdout) - started, moved.stderr).to.be.within(-HOUR, -HOUR + 30_000);
    expect(run('soon').status).to.not.equal(0);
  });
});
