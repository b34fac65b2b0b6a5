import { LOCALES } from './config.js';
import { setting } from './setting.js';
import { choice, list, text } from './value-kinds.js';

/** What people see of this installation. */
export const BRANDING_SETTINGS = {
  'branding.name': setting<string>({
    kind: text(/^[^\r\n<>]{1,60}$/, '1 to 60 characters'),
    fallback: 'Claviger',
    says: 'Name that people see on pages and in mails.',
  }),
  'branding.logoFile': setting<string>({
    kind: text(/^[^\0\r\n]{1,4096}\.(?:svg|png)$/, 'a path that ends in .svg or .png'),
    fallback: '',
    fallbackSays: 'none: the name is shown',
    says: 'Logo shown on pages in place of the name.',
  }),
  'branding.lightAccents': setting<readonly string[]>({
    kind: list(text(/^#[0-9a-f]{6}$/, 'a colour as #rrggbb')),
    fallback: [],
    says: 'Four colours for the light scheme: accent, its deep form, its wash, and text on it.',
  }),
  'branding.darkAccents': setting<readonly string[]>({
    kind: list(text(/^#[0-9a-f]{6}$/, 'a colour as #rrggbb')),
    fallback: [],
    says: 'The same four colours for the dark scheme.',
  }),
  'branding.supportEmail': setting<string>({
    kind: text(/^[^\s@<>"]{1,64}@[^\s@<>"]{1,189}$/, 'a mail address'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Where people may ask for help.',
  }),
  'branding.privacyUrl': setting<string>({
    kind: text(/^https?:\/\/\S{1,500}$/, 'a URL'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Privacy notice linked on every page.',
  }),
  'branding.helpUrl': setting<string>({
    kind: text(/^https?:\/\/\S{1,500}$/, 'a URL'),
    fallback: '',
    fallbackSays: 'none',
    says: 'Help page linked on every page.',
  }),
  'branding.locale': setting<(typeof LOCALES)[number]>({
    kind: choice(LOCALES),
    fallback: 'en',
    says: 'Language of pages and mails when a person has told none.',
  }),
} as const;
