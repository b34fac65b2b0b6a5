import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkBranding, contrast, logoProblem, SCHEMES } from '../../src/config/branding-checks.js';
import type { Config } from '../../src/config/config.js';
import { BRANDING } from '../views/gallery.js';

const LIGHT = ['#0b6455', '#084c41', '#dcefe9', '#ffffff'];
const DARK = ['#5fc6b2', '#8bdccb', '#12332c', '#04211b'];

function faults(branding: Partial<Config['branding']>, logo?: string): string[] {
  const config = { branding: { ...BRANDING, ...branding } } as Config;
  return checkBranding(config, logo).faults.map(({ at, problem }) => `${at} ${problem}`);
}

describe('checks of branding', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'claviger-branding-'));
  });

  function logo(name: string, body: string | Buffer): string | undefined {
    writeFileSync(join(folder, name), body);
    return logoProblem(name, folder);
  }

  it('compute contrast as WCAG 2.2 does', () => {
    expect(contrast('#000000', '#ffffff')).to.be.closeTo(21, 0.001);
    expect(contrast('#0b6455', '#ffffff')).to.be.closeTo(7.07, 0.01);
    expect(contrast('#767676', '#ffffff')).to.be.closeTo(4.54, 0.01);
  });

  it('judge colours against the grounds that the stylesheet has', () => {
    const css = readFileSync(join(import.meta.dirname, '../../views/assets/app.css'), 'utf8');
    const [light = '', dark = ''] = [...css.matchAll(/:root \{[^}]*--paper[^}]*\}/g)].map(([text]) => text);
    for (const [text, scheme] of [
      [light, SCHEMES.lightAccents],
      [dark, SCHEMES.darkAccents],
    ] as const) {
      for (const [token, colour] of Object.entries(scheme)) expect(text).to.include(`--${token}: ${colour};`);
    }
  });

  it('accept the stylesheet’s own accents, and none', () => {
    expect(faults({ lightAccents: LIGHT, darkAccents: DARK })).to.deep.equal([]);
    expect(faults({})).to.deep.equal([]);
  });

  it('refuse a pair below 4.5, in either scheme, and say which', () => {
    const pale = faults({ lightAccents: ['#7fb8ad', '#084c41', '#dcefe9', '#ffffff'] });
    expect(pale.join()).to.include('branding.lightAccents').and.include('contrast').and.include('#7fb8ad');
    expect(faults({ darkAccents: LIGHT }).join()).to.include('branding.darkAccents');
  });

  it('want four colours', () => {
    expect(faults({ lightAccents: LIGHT.slice(0, 3) })).to.have.length(1);
    expect(faults({ darkAccents: [...DARK, '#ffffff'] })[0]).to.include('has 5 colours');
  });

  it('refuse a logo that cannot be read, is too large or is no image', () => {
    expect(logoProblem('missing.svg', folder)).to.equal('cannot be read.');
    expect(logo('large.svg', `<svg>${' '.repeat(200_001)}</svg>`)).to.include('200000 at most');
    expect(logo('fake.png', '<svg></svg>')).to.equal('is no PNG image.');
    expect(logo('fake.svg', 'hello')).to.equal('is no SVG image.');
    expect(faults({}, 'cannot be read.')).to.deep.equal(['branding.logoFile cannot be read.']);
  });

  it('refuse an SVG that runs, listens or loads', () => {
    for (const inner of [
      '<script>alert(1)</script>',
      '<path onload="alert(1)"/>',
      '<a href="javascript:alert(1)"/>',
      '<image href="https://tracker.example/x.png"/>',
      '<use xlink:href="other.svg#x"/>',
      '<style>@import "https://x.example/a.css";</style>',
      '<path fill="url(https://x.example/#a)"/>',
      '<foreignObject/>',
    ]) {
      expect(logo('bad.svg', `<svg xmlns="http://www.w3.org/2000/svg">${inner}</svg>`), inner).to.match(
        /^holds /,
      );
    }
    expect(logo('entity.svg', '<!DOCTYPE svg [<!ENTITY x "y">]><svg/>')).to.include('entity');
  });

  it('accept a plain SVG and a PNG', () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg"><defs><linearGradient id="g"/></defs><path fill="url(#g)" d="M0 0"/><use href="#g"/></svg>';
    expect(logo('good.svg', svg)).to.equal(undefined);
    expect(logo('good.png', Buffer.from('89504e470d0a1a0a00', 'hex'))).to.equal(undefined);
    expect(logoProblem('', folder)).to.equal(undefined);
  });
});
