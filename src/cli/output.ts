import type { Surroundings } from './command.js';

const STYLES = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const;
export type Style = keyof typeof STYLES;

/** A cell of a table: its text, and how it is painted where colours are understood. */
export type Cell = string | { readonly text: string; readonly style: Style };

// What came from elsewhere (a token's claims, a user agent) must not move the cursor or reorder the line. A line
// break is kept: texts for people may have several lines.
const CONTROL = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** For text from elsewhere that goes into `result` as it is. */
export function printable(text: string): string {
  return text.replace(CONTROL, '\ufffd');
}

/** What is asked for goes to stdout: text for people, JSON for programs. Everything else goes to stderr. */
export class Output {
  readonly isJson: boolean;
  readonly #surroundings: Surroundings;
  readonly #isColored: boolean;

  constructor(
    surroundings: Surroundings,
    options: { readonly isJson: boolean; readonly isColored: boolean },
  ) {
    this.#surroundings = surroundings;
    this.isJson = options.isJson;
    this.#isColored = options.isColored;
  }

  /** The result, in one of its two forms. `text` is only called for people. */
  result(json: unknown, text: () => string): void {
    const shown = this.isJson ? JSON.stringify(json, null, 2) : text();
    if (shown !== '') this.#surroundings.stdout.write(`${shown}\n`);
  }

  /** A message to the person, never part of the result. */
  say(message: string): void {
    this.#surroundings.stderr.write(`${printable(message)}\n`);
  }

  paint(text: string, style: Style): string {
    const clean = printable(text);
    return this.#isColored ? `\u001b[${STYLES[style]}m${clean}\u001b[0m` : clean;
  }

  table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
    const cells = rows.map(row => row.map(cell => (typeof cell === 'string' ? { text: cell } : cell)));
    const widths = head.map((title, column) =>
      Math.max(title.length, ...cells.map(row => row[column]?.text.length ?? 0)),
    );
    const lines = cells.map(row =>
      row.map((cell, column) => {
        // Painted after it was padded: the codes of a colour take no room on the screen.
        const padded = (cell.text === '' ? '-' : cell.text).padEnd(widths[column] ?? 0);
        return 'style' in cell ? this.paint(padded, cell.style) : printable(padded);
      }),
    );
    const title = head.map((text, column) => this.paint(text.padEnd(widths[column] ?? 0), 'dim'));
    return [title, ...lines].map(line => line.join('  ').trimEnd()).join('\n');
  }

  /** One thing, a line per fact. */
  facts(facts: readonly (readonly [name: string, value: string])[]): string {
    const width = Math.max(...facts.map(([name]) => name.length));
    return facts
      .map(([name, value]) => `${name.padEnd(width)}  ${value === '' ? '-' : printable(value)}`)
      .join('\n');
  }
}
