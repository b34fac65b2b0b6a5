import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { BrandingConfig } from '../config/config.js';

const TOKENS = ['accent', 'accent-deep', 'accent-wash', 'on-accent'] as const;

function declarations(colours: readonly string[]): string {
  return TOKENS.map((token, at) => `--${token}:${colours[at]}`).join(';');
}

function rule(scheme: string, colours: readonly string[]): string {
  return colours.length === TOKENS.length ? `@media ${scheme}{:root{${declarations(colours)}}}` : '';
}

/** A stylesheet that comes after app.css and repaints its accents, or undefined when nothing is to be repainted. */
export function brandingCss({ lightAccents, darkAccents }: BrandingConfig): string | undefined {
  // Each scheme in a condition of its own: a light accent alone must not reach into the dark scheme.
  const rules =
    rule('not (prefers-color-scheme: dark)', lightAccents) +
    rule('(prefers-color-scheme: dark)', darkAccents);
  return rules === '' ? undefined : `@layer tokens{${rules}}`;
}

export interface Logo {
  /** `logo.svg` or `logo.png`: the file's own name says nothing to people. */
  readonly name: string;
  readonly body: Buffer;
}

/** Checked when the configuration was (branding-checks); read once. */
export function readLogo({ logoFile }: BrandingConfig): Logo | undefined {
  return logoFile === ''
    ? undefined
    : { name: `logo${extname(logoFile).toLowerCase()}`, body: readFileSync(logoFile) };
}
