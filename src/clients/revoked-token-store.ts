import type { Queryable, Transaction } from '../database/connect.js';

export type RevocationKind = 'jti' | 'grant' | 'client' | 'kid';

export interface Revocation {
  readonly kind: RevocationKind;
  readonly value: string;
  /** Tokens issued at or before this instant; undefined: all of them. */
  readonly issuedBefore?: number | undefined;
  /** When the last token that this names has expired. */
  readonly expiresAt: number;
  readonly now: number;
}

/** What a token says about itself. */
export interface TokenFacts {
  readonly jti: string;
  readonly clientId: string;
  readonly kid?: string | undefined;
  readonly grantId?: string | undefined;
  /** RFC 7519 §4.1.6: seconds. */
  readonly iat: number;
}

/** Tokens that are not stored are revoked by naming them: one by one, or all of a grant, a client or a key. */
export class RevokedTokenStore {
  /** Again is the same as once; a revocation is widened, never narrowed. */
  async revoke(trx: Transaction, revocation: Revocation): Promise<void> {
    const { kind, value, issuedBefore, expiresAt, now } = revocation;
    await trx('revoked_tokens')
      .insert({
        kind,
        value,
        issued_before: issuedBefore ?? null,
        revoked_at: now,
        expires_at: expiresAt,
      })
      .onConflict(['kind', 'value'])
      .merge({
        issued_before: trx.raw(
          'case when revoked_tokens.issued_before is null or excluded.issued_before is null then null ' +
            'when revoked_tokens.issued_before > excluded.issued_before then revoked_tokens.issued_before ' +
            'else excluded.issued_before end',
        ),
        expires_at: trx.raw(
          'case when revoked_tokens.expires_at > excluded.expires_at then revoked_tokens.expires_at ' +
            'else excluded.expires_at end',
        ),
      });
  }

  /** One query, by primary key. */
  async isRevoked(on: Queryable, token: TokenFacts): Promise<boolean> {
    const named: [RevocationKind, string | undefined][] = [
      ['jti', token.jti],
      ['client', token.clientId],
      ['kid', token.kid],
      ['grant', token.grantId],
    ];
    const issuedAt = token.iat * 1000;
    const row = await on('revoked_tokens')
      .where(names => {
        for (const [kind, value] of named) if (value !== undefined) names.orWhere({ kind, value });
      })
      // `iat` is cut to a second: a token of the same second counts as older, which errs on the safe side.
      .where(before => before.whereNull('issued_before').orWhere('issued_before', '>=', issuedAt))
      .select('kind')
      .first();
    return row !== undefined;
  }

  /** Deletes what no unexpired token can be named by. */
  async sweep(trx: Transaction, now: number): Promise<number> {
    return trx('revoked_tokens').where('expires_at', '<=', now).delete();
  }
}
