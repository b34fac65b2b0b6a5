import { randomBytes } from 'node:crypto';
import type { Queryable, Transaction } from '../database/connect.js';
import { type EmailLinkKind, type EmailLinkRow, EmailLinkStore } from './email-link-store.js';
import type { PeopleContext } from './people-context.js';
import { FieldsRefused } from './refused-fields.js';

/** What each kind of link carries, sealed. */
export interface LinkPayloads {
  readonly verify_email: { readonly email: string };
  readonly reset_password: { readonly email: string };
  readonly change_email: { readonly email: string; readonly newEmail: string };
  readonly invitation: {
    readonly email: string;
    readonly groups: readonly string[];
    readonly name?: string | undefined;
  };
  readonly link_identity: Readonly<Record<string, unknown>>;
}

export interface EmailLink<Kind extends EmailLinkKind = EmailLinkKind> {
  readonly kind: Kind;
  readonly userId: string | undefined;
  readonly payload: LinkPayloads[Kind];
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

export interface NewLink<Kind extends EmailLinkKind> {
  readonly kind: Kind;
  readonly userId?: string | undefined;
  readonly payload: LinkPayloads[Kind];
  /** Seconds. */
  readonly expiresIn: number;
  readonly now: number;
}

type LinkContext = Pick<PeopleContext, 'hasher' | 'envelope'>;

const TOKEN_LENGTH = 32;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;
const store = new EmailLinkStore();

/**
 * Where a link in a mail leads. Made from the configured issuer and never from a request's Host, which whoever asks
 * for the mail can choose. The token is in the query: request logs are written without it, and pages send no Referer.
 */
export function linkUrl(issuer: string, token: string): string {
  return `${issuer}/link?token=${token}`;
}

/** @returns the token, which exists nowhere else afterwards: stored is its HMAC. */
export async function makeLink<Kind extends EmailLinkKind>(
  trx: Transaction,
  context: LinkContext,
  link: NewLink<Kind>,
): Promise<string> {
  const token = randomBytes(TOKEN_LENGTH).toString('base64url');
  const id = rowId(context, token);
  const row: EmailLinkRow = {
    id,
    kind: link.kind,
    userId: link.userId,
    sealedPayload: context.envelope.seal(JSON.stringify(link.payload), sealContext(id)),
    expiresAt: link.now + link.expiresIn * 1000,
  };
  await store.insert(trx, row, link.now);
  return token;
}

/** For showing its page; undefined when it cannot be used. Mail scanners follow links, so looking changes nothing. */
export async function peekLink<Kind extends EmailLinkKind>(
  context: LinkContext & Pick<PeopleContext, 'database'>,
  token: string,
  kind: Kind,
  on?: Queryable,
): Promise<EmailLink<Kind> | undefined> {
  if (!TOKEN.test(token)) return undefined;
  const find = async (reader: Queryable) =>
    store.findLive(reader, rowId(context, token), kind, await context.database.now(reader));
  return opened<Kind>(context, await (on === undefined ? context.database.read(find) : find(on)));
}

/** Uses it up, in the transaction of what it is used for. Undefined when it cannot be used or somebody was faster. */
export async function useLink<Kind extends EmailLinkKind>(
  trx: Transaction,
  context: LinkContext,
  token: string,
  kind: Kind,
  now: number,
): Promise<EmailLink<Kind> | undefined> {
  if (!TOKEN.test(token)) return undefined;
  return opened<Kind>(context, await store.use(trx, rowId(context, token), kind, now));
}

/** The one answer to a link that is expired, used, mistyped, or whose account is gone. */
export function deadLink(): FieldsRefused {
  const problem = 'It has expired or was used before. Ask for a new one.';
  return new FieldsRefused('link', [{ field: '', message: 'link.expired', problem }]);
}

function rowId({ hasher }: LinkContext, token: string): string {
  return hasher.hashOf('email_link', token);
}

function sealContext(id: string): string {
  return `email_link ${id}`;
}

function opened<Kind extends EmailLinkKind>(
  { envelope }: LinkContext,
  row: EmailLinkRow | undefined,
): EmailLink<Kind> | undefined {
  if (row === undefined) return undefined;
  const payload: unknown = JSON.parse(envelope.open(row.sealedPayload, sealContext(row.id)).toString('utf8'));
  return {
    kind: row.kind as Kind,
    userId: row.userId,
    payload: payload as LinkPayloads[Kind],
    expiresAt: row.expiresAt,
  };
}
