import type { Queryable, Transaction } from '../database/connect.js';

export interface RaisedAlert {
  readonly signal: string;
  readonly subject: string;
  readonly severity: string;
  readonly now: number;
}

/**
 * Both inclusive, milliseconds. It ends in the future, because nodes that see the same thing do not commit in the order in
 * which they asked for the time; and not far in it: a database clock that was ahead for a while must not silence a
 * signal until it gets there again.
 */
export interface QuietSpan {
  readonly from: number;
  readonly to: number;
}

/** One row for each signal about each subject: when it was last raised. The alerts themselves are in the audit. */
export class AlertStore {
  async isRaisedWithin(
    on: Queryable,
    { signal, subject }: Pick<RaisedAlert, 'signal' | 'subject'>,
    { from, to }: QuietSpan,
  ): Promise<boolean> {
    const raised = on('alerts').where({ signal, subject }).whereBetween('raised_at', [from, to]);
    const row = await raised.first('signal');
    return row !== undefined;
  }

  /**
   * One statement decides, so that of any number of nodes that see the same thing one raises it.
   *
   * @returns false when it was raised within `quiet`, with nothing written.
   */
  async mark(
    trx: Transaction,
    { signal, subject, severity, now }: RaisedAlert,
    { from, to }: QuietSpan,
  ): Promise<boolean> {
    const marked: unknown[] = await trx('alerts')
      .insert({ signal, subject, severity, raised_at: now })
      .onConflict(['signal', 'subject'])
      .merge({ severity, raised_at: now })
      .whereNotBetween('alerts.raised_at', [from, to])
      .returning('signal');
    return marked.length > 0;
  }

  async sweep(trx: Transaction, before: number): Promise<number> {
    return trx('alerts').where('raised_at', '<', before).delete();
  }
}
