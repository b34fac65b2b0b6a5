/** `npm run docs:settings`: brings the settings table in the README up to date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { withSettingsTable } from '../../src/config/print.js';

const readme = new URL('../../README.md', import.meta.url);
writeFileSync(readme, withSettingsTable(readFileSync(readme, 'utf8')));
