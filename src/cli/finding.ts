/** What a check of `claviger doctor` found. */
export type Severity = 'ok' | 'note' | 'warning' | 'error';

export interface Finding {
  /** Stable name, for programs that wait for it. */
  readonly id: string;
  readonly severity: Severity;
  readonly finding: string;
  /** What to do; empty when there is nothing to do. */
  readonly remedy: string;
}

export function ok(id: string, finding: string): Finding {
  return { id, severity: 'ok', finding, remedy: '' };
}

export function found(
  id: string,
  severity: Exclude<Severity, 'ok'>,
  finding: string,
  remedy: string,
): Finding {
  return { id, severity, finding, remedy };
}
