import { AppError } from '../errors.js';

/** One fault of what a person or an operator gave, for both: a sentence, and the key of a page's catalogue. */
export interface RefusedField {
  /** By its wire name; empty: the whole of it. */
  readonly field: string;
  /** Key of the message catalogues. */
  readonly message: string;
  readonly values?: Readonly<Record<string, string | number>> | undefined;
  /** The same for an operator, in one sentence. */
  readonly problem: string;
}

/** `invalid_request` that a page can show in the language of its reader. */
export class FieldsRefused extends AppError {
  readonly fields: readonly RefusedField[];

  constructor(what: string, fields: readonly RefusedField[]) {
    const faults = fields.map(({ field, problem }) => ({ at: field === '' ? what : field, problem }));
    const all = faults.map(({ at, problem }) => `${at}: ${problem}`).join(' ');
    super('invalid_request', `The ${what} was not accepted. ${all}`, { faults });
    this.fields = fields;
  }
}

/** @throws FieldsRefused with every fault at once. */
export function refuseFields(what: string, fields: readonly RefusedField[]): void {
  if (fields.length > 0) throw new FieldsRefused(what, fields);
}
