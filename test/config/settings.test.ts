import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { loadConfig } from '../../src/config/load.js';
import { settingsTable, withSettingsTable } from '../../src/config/print.js';
import { environmentName, SETTING_NAMES, settingOf } from '../../src/config/settings.js';

const README = new URL('../../README.md', import.meta.url);

describe('settings', () => {
  it('have each a variable of its own, derived from its name', () => {
    expect(environmentName('http.operationsPort')).to.equal('CLAVIGER_HTTP_OPERATIONS_PORT');
    expect(environmentName('rootKey')).to.equal('CLAVIGER_ROOT_KEY');
    expect(new Set(SETTING_NAMES.map(environmentName)).size).to.equal(SETTING_NAMES.length);
  });

  it('say in one sentence what they decide', () => {
    for (const name of SETTING_NAMES) expect(settingOf(name).says, name).to.match(/^[A-Z0-9].{10,130}\.$/);
  });

  it('reach the configuration one for one', () => {
    const { config, sources } = loadConfig({ env: {}, cwd: import.meta.dirname });
    const flat = Object.entries(config).flatMap(([key, value]) =>
      typeof value === 'object' && value !== null
        ? Object.keys(value).map(inner => `${key}.${inner}`)
        : [key],
    );
    expect(flat).to.have.members([...SETTING_NAMES]);
    expect(sources.map(({ name }) => name)).to.deep.equal([...SETTING_NAMES]);
  });

  it('are all in the table for the README', () => {
    for (const name of SETTING_NAMES)
      expect(settingsTable()).to.include(`| \`${name}\` | \`${environmentName(name)}\``);
    for (const row of settingsTable().split('\n'))
      expect(row.replaceAll('\\|', '').split('|'), row).to.have.length(7);
  });

  it('stand in the README as the code has them (mend with `npm run docs:settings`)', () => {
    const readme = readFileSync(README, 'utf8');
    expect(readme).to.equal(withSettingsTable(readme));
  });
});
