import type { AuditDetail } from '../audit/events.js';

export type Severity = 'warning' | 'critical';

interface SignalTerms {
  readonly severity: Severity;
  /** One sentence, without a full stop: the subject of a mail. */
  readonly summary: string;
  /** What to type first. `SUBJECT` stands for what the alert is about. */
  readonly command: string;
}

/** The closed catalogue: nothing is alerted under a name that is not here. */
export const SIGNALS = {
  'signing_key.revoked': {
    severity: 'critical',
    summary: 'A signing key was revoked',
    command: 'claviger key status',
  },
  'signing_key.damaged': {
    severity: 'critical',
    summary: 'A signing key cannot be opened',
    command: 'claviger key revoke SUBJECT --dry-run',
  },
  'signing_key.overdue': {
    severity: 'warning',
    summary: 'Signing keys have not rotated for more than twice their time',
    command: 'claviger key status',
  },
  'signing_key.promoted_unseen': {
    severity: 'warning',
    summary: 'A signing key signs that some verifiers have not fetched yet',
    command: 'claviger key status',
  },
  'signing_backend.unavailable': {
    severity: 'critical',
    summary: 'A signing key cannot sign: its HSM or Vault does not answer',
    command: 'claviger doctor',
  },
  'key_ring.regressed': {
    severity: 'critical',
    summary: 'The key ring went back, as after the restore of a backup',
    command: 'claviger key confirm-restore --dry-run',
  },
  'clock.drifted': {
    severity: 'warning',
    summary: 'The clock of a node is off, so it is out of service',
    command: 'claviger doctor',
  },
  'root_key.recovered': {
    severity: 'critical',
    summary: 'The root key was recovered with the recovery key',
    command: 'claviger audit list --event alert.raised',
  },
} as const satisfies Readonly<Record<string, SignalTerms>>;

export type SignalName = keyof typeof SIGNALS;
export const SIGNAL_NAMES = Object.keys(SIGNALS) as readonly SignalName[];

/** Something a person should look at. */
export interface Alert {
  readonly signal: SignalName;
  /** A kid, an algorithm, a node's id. The same signal about the same subject is raised once an hour. */
  readonly subject: string;
  /** Numbers and names that a person judges by; never a secret, a token or an address of a person. */
  readonly evidence: AuditDetail;
}

export function termsOf(signal: SignalName): SignalTerms {
  return SIGNALS[signal];
}

export function commandFor({ signal, subject }: Pick<Alert, 'signal' | 'subject'>): string {
  return termsOf(signal).command.replace('SUBJECT', subject);
}

/** `kid: Ab…`, a line each, for people. */
export function evidenceLines(evidence: AuditDetail): readonly string[] {
  return Object.entries(evidence)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name.replaceAll('_', ' ')}: ${[value].flat().join(', ')}`);
}
