/** A TypeScript file with what only looks like code taken out of the way. */
export interface SourceText {
  /** Same length and lines as the file; comments and the insides of strings, templates and regexes are blanks. */
  readonly code: string;
  readonly comments: readonly { readonly line: number; readonly text: string }[];
}

/** After one of these a `/` starts a regular expression; after a name, a number or a bracket it divides. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%<>~^}])$/;
const WORD_BEFORE_REGEX =
  /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield)$/;

export function lineOf(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}

/** Where the regular expression that starts at `start` ends (after its closing slash). */
function endOfRegex(text: string, start: number): number {
  let isInClass = false;
  for (let at = start + 1; at < text.length; at += 1) {
    const char = text[at];
    if (char === '\\') at += 1;
    else if (char === '\n') return start + 1;
    else if (char === '[') isInClass = true;
    else if (char === ']') isInClass = false;
    else if (char === '/' && !isInClass) return at + 1;
  }
  return text.length;
}

function endOfQuoted(text: string, start: number): number {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at += 1) {
    const char = text[at];
    if (char === '\\') at += 1;
    else if (char === quote || char === '\n') return at + 1;
  }
  return text.length;
}

/** End of a template's next literal part: after its closing backtick, or after the `${` that opens an expression. */
function endOfTemplatePart(text: string, start: number): { end: number; isOpen: boolean } {
  for (let at = start; at < text.length; at += 1) {
    const char = text[at];
    if (char === '\\') at += 1;
    else if (char === '`') return { end: at + 1, isOpen: false };
    else if (char === '$' && text[at + 1] === '{') return { end: at + 2, isOpen: true };
  }
  return { end: text.length, isOpen: false };
}

export function readSource(text: string): SourceText {
  const comments: { line: number; text: string }[] = [];
  /** For each open `{`: does its `}` continue a template? */
  const braces: boolean[] = [];
  let code = '';

  const blank = (part: string): string => part.replace(/[^\n]/g, ' ');
  const keepEnds = (from: number, end: number): void => {
    code +=
      end - from < 2
        ? text.slice(from, end)
        : `${text[from]}${blank(text.slice(from + 1, end - 1))}${text[end - 1]}`;
  };
  const template = (from: number, literalFrom: number): number => {
    const { end, isOpen } = endOfTemplatePart(text, literalFrom);
    if (isOpen) {
      // Keep the bracket, so that depths stay right.
      code += `${text[from]}${blank(text.slice(from + 1, end - 1))}{`;
      braces.push(true);
    } else keepEnds(from, end);
    return end;
  };

  let at = 0;
  while (at < text.length) {
    const char = text[at] ?? '';
    const two = text.slice(at, at + 2);
    if (two === '//' || two === '/*') {
      const close = two === '//' ? text.indexOf('\n', at) : text.indexOf('*/', at + 2);
      const end = close === -1 ? text.length : two === '//' ? close : close + 2;
      comments.push({ line: lineOf(text, at), text: text.slice(at, end) });
      code += blank(text.slice(at, end));
      at = end;
    } else if (char === "'" || char === '"') {
      const end = endOfQuoted(text, at);
      keepEnds(at, end);
      at = end;
    } else if (char === '`') {
      at = template(at, at + 1);
    } else if (char === '}' && braces.pop() === true) {
      at = template(at, at + 1);
    } else if (char === '/' && startsRegex(code)) {
      const end = endOfRegex(text, at);
      keepEnds(at, end);
      at = end;
    } else {
      if (char === '{') braces.push(false);
      code += char;
      at += 1;
    }
  }
  return { code, comments };
}

function startsRegex(before: string): boolean {
  const tail = before.slice(-200).trimEnd();
  return BEFORE_REGEX.test(tail) || WORD_BEFORE_REGEX.test(tail);
}

export interface ImportFound {
  /** Undefined where a dynamic import computes the name. */
  readonly specifier: string | undefined;
  /** Gone at run time: `import type` and `export type … from`. `import { type X }` still loads the module. */
  readonly isTypeOnly: boolean;
  readonly line: number;
}

const STATIC_IMPORT =
  /(?<![.\w$])import\s*(?:(type)\s+(?!from\b\s*['"]))?(?:[\w$*{}\s,]*?\bfrom\s*|\{[^}]*\}\s*from\s*)?(['"])/g;
const RE_EXPORT = /(?<![.\w$])export\s+(?:(type)\s+)?(?:\*(?:\s+as\s+[\w$]+)?|\{[^}]*\})\s*from\s*(['"])/g;
const CALLED_IMPORT = /(?<![.\w$])(?:import|require)\s*\(\s*/g;

export function findImports(text: string, { code }: SourceText): ImportFound[] {
  const found: ImportFound[] = [];
  const specifierAt = (quoteAt: number): string => text.slice(quoteAt + 1, endOfQuoted(text, quoteAt) - 1);
  for (const pattern of [STATIC_IMPORT, RE_EXPORT]) {
    for (const match of code.matchAll(pattern)) {
      const specifier = specifierAt(match.index + match[0].length - 1);
      found.push({ specifier, isTypeOnly: match[1] === 'type', line: lineOf(code, match.index) });
    }
  }
  for (const match of code.matchAll(CALLED_IMPORT)) {
    const quoteAt = match.index + match[0].length;
    const isLiteral = /['"]/.test(code[quoteAt] ?? '') || /^`[^{]*`/.test(code.slice(quoteAt));
    found.push({
      specifier: isLiteral
        ? text.slice(quoteAt + 1, text.indexOf(text[quoteAt] ?? '', quoteAt + 1))
        : undefined,
      isTypeOnly: false,
      line: lineOf(code, match.index),
    });
  }
  return found;
}
