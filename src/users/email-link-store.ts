import type { Queryable, Transaction } from '../database/connect.js';

export const EMAIL_LINK_KINDS = [
  'verify_email',
  'reset_password',
  'change_email',
  'invitation',
  'link_identity',
] as const;
export type EmailLinkKind = (typeof EMAIL_LINK_KINDS)[number];

/** A link as it is stored: its id is the HMAC of what stands in the mail. */
export interface EmailLinkRow {
  readonly id: string;
  readonly kind: EmailLinkKind;
  readonly userId: string | undefined;
  readonly sealedPayload: string;
  readonly expiresAt: number;
}

export class EmailLinkStore {
  async insert(trx: Transaction, link: EmailLinkRow, now: number): Promise<void> {
    await trx('email_links').insert({
      id: link.id,
      kind: link.kind,
      user_id: link.userId ?? null,
      sealed_payload: link.sealedPayload,
      created_at: now,
      expires_at: link.expiresAt,
    });
  }

  /** As long as it can be used. */
  async findLive(
    on: Queryable,
    id: string,
    kind: EmailLinkKind,
    now: number,
  ): Promise<EmailLinkRow | undefined> {
    const row = await on('email_links')
      .where({ id, kind, used_at: null })
      .where('expires_at', '>', now)
      .first();
    return row === undefined ? undefined : linkOf(row);
  }

  /** One statement decides who was first: of any number of parallel requests one gets the link. */
  async use(
    trx: Transaction,
    id: string,
    kind: EmailLinkKind,
    now: number,
  ): Promise<EmailLinkRow | undefined> {
    const [row] = await trx('email_links')
      .where({ id, kind, used_at: null })
      .where('expires_at', '>', now)
      .update({ used_at: now })
      .returning(['id', 'kind', 'user_id', 'sealed_payload', 'expires_at']);
    return row === undefined ? undefined : linkOf(row);
  }

  /** Those of a person that are still open. */
  async end(trx: Transaction, userId: string, kinds: readonly EmailLinkKind[], now: number): Promise<void> {
    await trx('email_links')
      .where({ user_id: userId, used_at: null })
      .whereIn('kind', kinds)
      .update({ used_at: now });
  }

  async sweep(trx: Transaction, before: number): Promise<number> {
    return trx('email_links').where('expires_at', '<=', before).delete();
  }
}

function linkOf(row: Record<string, unknown>): EmailLinkRow {
  return {
    id: String(row.id),
    kind: row.kind as EmailLinkKind,
    userId: typeof row.user_id === 'string' ? row.user_id : undefined,
    sealedPayload: String(row.sealed_payload),
    expiresAt: Number(row.expires_at),
  };
}
