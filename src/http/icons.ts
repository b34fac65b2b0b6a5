import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Markup } from './markup.js';
import { viewsFolder } from './views-folder.js';

const SYMBOL = /<symbol id="([a-z-]+)" viewBox="([\d ]+)">(.*?)<\/symbol>/g;

/** The symbols of the sprite, ready to stand in a page: drawn with it, not after another request. */
export function readIcons(folder: string = viewsFolder()): (name: string) => Markup {
  const sprite = readFileSync(join(folder, 'assets', 'icons.svg'), 'utf8');
  const icons = new Map(
    [...sprite.matchAll(SYMBOL)].map(([, name = '', viewBox = '', paths = '']) => [
      name,
      new Markup(`<svg class="icon" viewBox="${viewBox}" aria-hidden="true">${paths}</svg>`),
    ]),
  );
  return name => {
    const icon = icons.get(name);
    if (icon === undefined) throw new TypeError(`no icon ${name}`);
    return icon;
  };
}
