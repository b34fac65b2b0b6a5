import { readFileSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import type { Fault } from '../errors.js';
import type { BrandingConfig, Config } from './config.js';
import type { Findings } from './key-checks.js';

/** WCAG 2.2, 1.4.3: text of normal size. */
const LEAST_CONTRAST = 4.5;
const LARGEST_LOGO = 200_000;

/** The grounds and the text of views/assets/app.css that accents meet. */
export const SCHEMES = {
  lightAccents: { paper: '#f3f5f3', surface: '#ffffff', sunken: '#ebefec', ink: '#13201c' },
  darkAccents: { paper: '#0e1412', surface: '#161d1a', sunken: '#0a0f0d', ink: '#e5ebe8' },
} as const;

function channel(colour: string, at: number): number {
  const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function luminance(colour: string): number {
  return 0.2126 * channel(colour, 1) + 0.7152 * channel(colour, 3) + 0.0722 * channel(colour, 5);
}

/** Contrast ratio of two colours written as #rrggbb (WCAG 2.2). */
export function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

type Pair = readonly [string, string, string, string];

function pairs(setting: keyof typeof SCHEMES, colours: readonly string[]): Pair[] {
  const [accent = '', deep = '', wash = '', on = ''] = colours;
  const { paper, surface, sunken, ink } = SCHEMES[setting];
  const grounds = { paper, surface, sunken };
  return [
    ['text on accent', on, 'accent', accent],
    ['text on accent', on, 'its deep form', deep],
    ['the deep form', deep, 'the wash', wash],
    ['ink', ink, 'the wash', wash],
    ...Object.entries(grounds).flatMap(([name, ground]): Pair[] => [
      ['accent', accent, name, ground],
      ['the deep form', deep, name, ground],
    ]),
  ];
}

function colourFaults(setting: keyof typeof SCHEMES, colours: readonly string[]): Fault[] {
  const at = `branding.${setting}`;
  if (colours.length === 0) return [];
  if (colours.length !== 4) {
    const problem = `has ${colours.length} colours; give four: accent, its deep form, its wash, and text on it.`;
    return [{ at, problem }];
  }
  return pairs(setting, colours)
    .filter(([, one, , other]) => contrast(one, other) < LEAST_CONTRAST)
    .map(([name, one, ground, other]) => ({
      at,
      problem: `makes ${name} (${one}) on ${ground} (${other}) hard to read: contrast ${contrast(one, other).toFixed(2)}, at least ${LEAST_CONTRAST} is needed.`,
    }));
}

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');

/** What an image does not need and an attack does: it is served from the origin of the sign-in page. */
const SVG_DANGERS: readonly (readonly [RegExp, string])[] = [
  [/<script|<foreignObject|<iframe|<embed|<object/i, 'a script or foreign content'],
  [/\son[a-z]+\s*=/i, 'an event attribute'],
  [/javascript:/i, 'a script address'],
  [/<!DOCTYPE|<!ENTITY|<\?xml-stylesheet/i, 'a document type, an entity or a stylesheet reference'],
  [/(?:href|src)\s*=\s*["']\s*(?!#|data:image\/(?:png|jpeg|webp);)[^"'\s]/i, 'a reference to something else'],
  [/url\(\s*["']?\s*(?!#)[^)"'\s]|@import/i, 'a reference to something else'],
];

/** Why this file cannot be shown as a logo; undefined: it can, or there is none. */
export function logoProblem(logoFile: string, cwd: string): string | undefined {
  if (logoFile === '') return undefined;
  const body = readable(resolve(cwd, logoFile));
  if (body === undefined) return 'cannot be read.';
  if (body.length > LARGEST_LOGO)
    return `has ${body.length} bytes; ${LARGEST_LOGO} at most, for people on slow lines.`;
  if (extname(logoFile) === '.png') {
    return body.subarray(0, 8).equals(PNG_SIGNATURE) ? undefined : 'is no PNG image.';
  }
  const text = body.toString('utf8');
  if (!/<svg[\s/>]/.test(text)) return 'is no SVG image.';
  const danger = SVG_DANGERS.find(([pattern]) => pattern.test(text));
  return danger === undefined ? undefined : `holds ${danger[1]}; save it as a plain SVG image.`;
}

function readable(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

function all({ lightAccents, darkAccents }: BrandingConfig): Fault[] {
  return [...colourFaults('lightAccents', lightAccents), ...colourFaults('darkAccents', darkAccents)];
}

/** @param logo what is wrong with the logo's file. */
export function checkBranding({ branding }: Config, logo: string | undefined): Findings {
  const faults = all(branding);
  if (logo !== undefined) faults.push({ at: 'branding.logoFile', problem: logo });
  return { faults, warnings: [] };
}
