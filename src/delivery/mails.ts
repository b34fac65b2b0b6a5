/** Mails are plain text, made when they are delivered, in the language of the person. */
export interface Mails {
  readonly 'verify-email': { readonly url: string; readonly minutes: number };
  readonly 'reset-password': { readonly url: string; readonly minutes: number };
  readonly invitation: { readonly url: string; readonly days: number };
  readonly 'change-email': { readonly url: string; readonly minutes: number };
  /** To the old address. */
  readonly 'email-changed': { readonly newEmail: string };
  /** With how many passkeys and accounts at other providers still open the account. */
  readonly 'password-changed': { readonly passkeys: number; readonly providers: number };
  readonly 'factor-added': { readonly factor: 'totp' | 'passkey' | 'recovery_codes' };
  readonly 'factor-removed': { readonly factor: 'totp' | 'passkey' };
  readonly 'identity-linked': { readonly provider: string };
  readonly 'new-sign-in': { readonly browser: string; readonly ip: string };
  /** Somebody tried to create an account with this address, which already has one. */
  readonly 'already-registered': { readonly url: string };
  /** A client elsewhere asks this person to confirm (CIBA). */
  readonly 'backchannel-request': { readonly client: string; readonly url: string };
  readonly 'account-deleted': Readonly<Record<never, never>>;
  /** To the operators. */
  readonly alert: {
    readonly severity: 'warning' | 'critical';
    readonly summary: string;
    readonly subject: string;
    readonly evidence: string;
    readonly command: string;
  };
}
export type MailName = keyof Mails;
