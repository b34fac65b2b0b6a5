import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Scene } from '../../flows/authorization/relying-party.js';
import { freshSqlite } from '../../support/databases.js';
import { get, ISSUER } from '../../support/nodes.js';

const LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8H0z"/></svg>';
const LIGHT = ['#7a1f5c', '#571340', '#f7e3f0', '#ffffff'];

describe('a server under a name of its own', () => {
  it('shows name, logo and colours of its configuration on its pages, from its own origin and under the same policy', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'claviger-brand-'));
    const logoFile = join(folder, 'logo.svg');
    writeFileSync(logoFile, LOGO);
    const database = await freshSqlite();
    const scene = await Scene.open({
      url: database.url,
      env: {
        CLAVIGER_BRANDING_NAME: 'Tideway & Sons',
        CLAVIGER_BRANDING_LOGO_FILE: logoFile,
        CLAVIGER_BRANDING_LIGHT_ACCENTS: LIGHT.join(','),
      },
    });
    const shop = await scene.relyingParty();
    const browser = scene.browser();
    const { root, headers } = await browser.get(shop.begin().path);
    const logo = root.querySelector('header img.logo, .brand img.logo');
    expect(logo?.getAttribute('alt')).to.equal('Tideway & Sons');
    const shown = new URL(logo?.getAttribute('src') ?? '', ISSUER);
    expect(shown.origin).to.equal(ISSUER);
    expect((await get(scene.node, shown.pathname)).text).to.equal(LOGO);
    const styles = root.querySelectorAll('link[rel="stylesheet"]').map(one => one.getAttribute('href') ?? '');
    const brand = styles.find(href => href.includes('branding')) ?? '';
    expect((await get(scene.node, new URL(brand, ISSUER).pathname)).text).to.include(LIGHT[0]);
    expect(String(headers['content-security-policy'])).to.not.match(/unsafe|https?:\/\/(?!rp\.)/);
    await scene.close();
    await database.drop();
    rmSync(folder, { recursive: true });
  });
});
