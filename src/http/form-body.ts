import type { Context, Middleware } from 'koa';
import { PageRefusal } from './page-refusal.js';

const MOST_FIELDS = 100;
const LONGEST_NAME = 64;
/** The boxes of a consent are the only fields that a page of ours has more than one of. */
const REPEATABLE: ReadonlySet<string> = new Set(['scope']);

/** What a form of ours sent. */
export class Form {
  readonly #fields: ReadonlyMap<string, readonly string[]>;

  constructor(fields: ReadonlyMap<string, readonly string[]>) {
    this.#fields = fields;
  }

  /** Undefined: the form has no field of that name. */
  get(name: string): string | undefined {
    return this.#fields.get(name)?.[0];
  }

  /** Empty for a field that is missing. */
  text(name: string): string {
    return this.get(name) ?? '';
  }

  all(name: string): readonly string[] {
    return this.#fields.get(name) ?? [];
  }
}

/** Of a POST on which {@link formBody} has read the body. */
export function formOf(ctx: Context): Form {
  const { form } = ctx.state;
  if (!(form instanceof Form)) throw new TypeError('no form was read on this route');
  return form;
}

/**
 * Reads the body of a POST, which only a form of ours sends: anything else (JSON, multipart, compressed, two values of
 * one name) is refused, so that no other parser's view of it can differ.
 *
 * @param limit bytes
 */
export function formBody(limit: number): Middleware {
  return async (ctx, next) => {
    if (ctx.method === 'POST') {
      if (ctx.get('Content-Encoding') !== '') throw refused(415);
      if (!isForm(ctx.get('Content-Type'))) throw refused(415);
      ctx.state.form = parseForm(await readText(ctx, limit));
    }
    await next();
  };
}

/** @throws PageRefusal 400 */
export function parseForm(body: string): Form {
  const fields = new Map<string, string[]>();
  // Counted before anything is decoded: URLSearchParams itself has no bound.
  let count = 1;
  for (let at = body.indexOf('&'); at !== -1; at = body.indexOf('&', at + 1)) count += 1;
  if (count > MOST_FIELDS) throw refused(400);
  for (const [name, value] of new URLSearchParams(body)) {
    if (name.length > LONGEST_NAME) throw refused(400);
    // No browser sends it, and PostgreSQL fails at it, which would look like a fault of ours.
    if (value.includes('\0')) throw refused(400);
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [value]);
    else if (REPEATABLE.has(name)) values.push(value);
    else throw refused(400);
  }
  return new Form(fields);
}

export function isForm(contentType: string): boolean {
  return /^application\/x-www-form-urlencoded *(?:; *charset="?utf-8"? *)?$/i.test(contentType);
}

function refused(status: 400 | 413 | 415): PageRefusal {
  return new PageRefusal({ reason: 'stopped', status, code: 'invalid_request' });
}

/** Not `for await`: leaving that loop early closes the socket before the refusal was sent. */
export function readText(ctx: Context, limit: number): Promise<string> {
  const { req } = ctx;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const settle = (end: () => void): void => {
      req.off('data', onChunk).off('end', onEnd).off('error', onBreak).off('aborted', onBreak);
      end();
    };
    const onChunk = (chunk: Buffer): void => {
      length += chunk.length;
      if (length <= limit) {
        chunks.push(chunk);
        return;
      }
      req.pause();
      // The rest is not read, so the connection cannot be used again.
      ctx.set('Connection', 'close');
      settle(() => reject(refused(413)));
    };
    const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks).toString('utf8')));
    const onBreak = (): void => settle(() => reject(refused(400)));
    req.on('data', onChunk).on('end', onEnd).on('error', onBreak).on('aborted', onBreak);
  });
}
