export interface BrowserName {
  /** `Firefox` */
  readonly browser: string;
  /** `Linux` */
  readonly system: string;
  readonly kind: 'laptop' | 'phone' | 'scanner';
}

/** In order: most browsers also claim to be the ones further down. */
const BROWSERS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\b(?:Edg|EdgA|EdgiOS)\//, 'Edge'],
  [/\b(?:OPR|OPiOS)\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\bVivaldi\//, 'Vivaldi'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Chrome|Chromium|CriOS|HeadlessChrome)\//, 'Chrome'],
  [/\bVersion\/[\d.]+ .*\bSafari\//, 'Safari'],
  [/^curl\//, 'curl'],
];

const SYSTEMS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows\b/, 'Windows'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bMac OS X\b|\bMacintosh\b/, 'macOS'],
  [/\bLinux\b|\bX11\b/, 'Linux'],
];

/** Machines that fetch pages: a link in a mail that was opened by one was not opened by its reader. */
const SCANNER = /bot\b|crawler|spider|scanner|preview|^curl\/|^python-|^Go-http-client|^node\b/i;
const LONGEST = 512;

/**
 * What a person recognises a device by, coarsely. The header is the sender's own text: nothing of it is passed on, a
 * name comes from the lists above or is empty.
 */
export function browserOf(userAgent: string | undefined): BrowserName {
  const text = (userAgent ?? '').slice(0, LONGEST);
  const browser = BROWSERS.find(([pattern]) => pattern.test(text))?.[1] ?? '';
  const system = SYSTEMS.find(([pattern]) => pattern.test(text))?.[1] ?? '';
  if (SCANNER.test(text)) return { browser, system, kind: 'scanner' };
  const isPhone = /\bMobile\b|\biPhone\b|\biPad\b|\bAndroid\b/.test(text);
  return { browser, system, kind: isPhone ? 'phone' : 'laptop' };
}

/** `Firefox on Linux`; names that need no translation, for mails. */
export function browserTitle(userAgent: string | undefined): string {
  const { browser, system } = browserOf(userAgent);
  return [browser, system].filter(Boolean).join(' / ') || '?';
}
