/** Text that is HTML already. Only what is made here, or by a template, is ever printed without escaping. */
export class Markup {
  readonly #html: string;

  constructor(html: string) {
    this.#html = html;
  }

  toString(): string {
    return this.#html;
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Names come from clients, providers and people. Bidirectional controls in them could turn the sentence around
 * that they stand in ("Allow moc.elpmaxe to …"), and other controls have no place on a page (UAX #9 §3.1).
 */
export function withoutControls(text: string): string {
  return text.replace(/\p{Bidi_Control}|(?![\n\t])\p{Cc}/gu, '');
}

export function escapeHtml(text: unknown): string {
  if (text instanceof Markup) return text.toString();
  return withoutControls(String(text ?? '')).replace(/[&<>"']/g, char => ENTITIES[char] ?? '');
}

export type AttributeValue = string | number | boolean | undefined;

/** ` name="value"` for each; `true` stands alone, `false` and `undefined` are left out. */
export function attributes(values: Readonly<Record<string, AttributeValue>>): Markup {
  const written = Object.entries(values).map(([name, value]) => {
    if (value === undefined || value === false) return '';
    return value === true ? ` ${name}` : ` ${name}="${escapeHtml(value)}"`;
  });
  return new Markup(written.join(''));
}

/**
 * An address that may stand in href or action: one of ours or a web address. Others (`javascript:`) would run as
 * a script when they are clicked.
 */
export function webAddress(url: string): string | undefined {
  return /^(?:https?:\/\/[^/\\]|\/(?![/\\])|[?#])/i.test(url) ? url : undefined;
}

/** The QR code that this server drew, and nothing but paths: it is the one text printed as it came. */
export function drawing(svg: string): Markup {
  return new Markup(/^\s*<svg [^<>]*>(?:<path [^<>]*\/>)+<\/svg>\s*$/.test(svg) ? svg : '');
}
