import { isIP } from 'node:net';
import type { Clock } from '../clock.js';
import { type Config, DEVELOPMENT } from '../config/config.js';
import { AppError } from '../errors.js';
import type { Logger } from '../log.js';

/** Plain text to one person. */
export interface Mail {
  /** Stays the same in every attempt, so that a mailbox can tell a repetition. */
  readonly id: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export interface Mailer {
  /**
   * @returns `refused` when the server will never take it (RFC 5321 §4.2.1: a 5yz reply to the recipient).
   * @throws for everything that may go better later.
   */
  deliver(mail: Mail): Promise<'delivered' | 'refused'>;
}

/** Milliseconds; all of an attempt fits the lease of its claim. */
const CONNECT_WITHIN = 10_000;
const SILENT_AT_MOST = 15_000;
const WHOLE_WITHIN = 40_000;

/** One address without a display name: nothing that could become a second recipient or a header. */
const ONE_ADDRESS = /^[^\s\p{Cc}<>()[\]\\,;:"@]{1,64}@[^\s\p{Cc}<>()[\]\\,;:"@]{1,189}$/u;

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Only what the setting documents: nodemailer would take options from the query, `tls.rejectUnauthorized` among them. */
function serverOf(text: string) {
  if (!URL.canParse(text)) {
    throw new AppError('configuration_invalid', 'mail.url is no URL. Write smtp://USER:PASSWORD@HOST:PORT.');
  }
  const url = new URL(text);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const secure = url.protocol === 'smtps:';
  const user = decodeURIComponent(url.username);
  return {
    host,
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    secure,
    // STARTTLS where it is offered. A password is not sent past somebody who takes the offer out of the way.
    requireTLS: user !== '' && !secure && !isLoopback(host),
    ...(user === '' ? {} : { auth: { user, pass: decodeURIComponent(url.password) } }),
  };
}

function isRefusedRecipient(error: unknown): boolean {
  if (!(error instanceof Error) || !('responseCode' in error) || !('command' in error)) return false;
  return Number(error.responseCode) >= 500 && error.command === 'RCPT TO';
}

async function within<T>(work: Promise<T>, milliseconds: number, late: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      late();
      reject(new Error(`the mail server took longer than ${milliseconds / 1000} s`));
    }, milliseconds);
  });
  try {
    return await Promise.race([work, end]);
  } finally {
    clearTimeout(timer);
  }
}

export class SmtpMailer implements Mailer {
  readonly #server: ReturnType<typeof serverOf>;
  readonly #from: string;

  /** @throws AppError `configuration_invalid` */
  constructor({ url, from }: Config['mail']) {
    this.#server = serverOf(url);
    this.#from = from;
  }

  async deliver({ id, to, subject, text }: Mail): Promise<'delivered' | 'refused'> {
    if (!ONE_ADDRESS.test(to)) return 'refused';
    // Loaded with the first mail: most nodes send none for long, and it weighs as much as the database driver.
    const { createTransport } = await import('nodemailer');
    const transport = createTransport({
      ...this.#server,
      dnsTimeout: CONNECT_WITHIN,
      connectionTimeout: CONNECT_WITHIN,
      greetingTimeout: CONNECT_WITHIN,
      socketTimeout: SILENT_AT_MOST,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    const sending = transport.sendMail({
      from: this.#from,
      // As an object it is one address; as text it would be a list of them.
      to: { name: '', address: to },
      subject: subject.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' '),
      text,
      messageId: `<${id}@${/@([A-Za-z0-9.-]+)>?$/.exec(this.#from.trim())?.[1] ?? 'localhost'}>`,
      // RFC 3834 §5: no out-of-office note comes back.
      headers: { 'Auto-Submitted': 'auto-generated' },
    });
    try {
      await within(sending, WHOLE_WITHIN, () => transport.close());
      return 'delivered';
    } catch (error) {
      if (isRefusedRecipient(error)) return 'refused';
      throw error;
    } finally {
      transport.close();
    }
  }
}

export interface KeptMail extends Mail {
  /** Epoch milliseconds. */
  readonly at: number;
}

const KEPT_MAILS = 50;

/** Development without a mail server: mails are logged, link and all, and kept for a page. */
export class DevelopmentMailbox implements Mailer {
  readonly #log: Logger;
  readonly #clock: Clock;
  #mails: readonly KeptMail[] = [];

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Newest first. */
  get mails(): readonly KeptMail[] {
    return this.#mails;
  }

  async deliver(mail: Mail): Promise<'delivered'> {
    this.#mails = [{ ...mail, at: this.#clock.now() }, ...this.#mails].slice(0, KEPT_MAILS);
    const { to, subject, text } = mail;
    this.#log.info({ event: 'mail.shown', to, subject, text }, 'a mail (there is no mail server)');
    return 'delivered';
  }
}

/** Mails wait in the outbox until somebody sets mail.url. */
class NoMailServer implements Mailer {
  async deliver(): Promise<never> {
    throw new AppError('not_ready', 'There is no mail server. Set mail.url and start again.');
  }
}

export function createMailer(
  { mail, environment }: Pick<Config, 'mail' | 'environment'>,
  log: Logger,
  clock: Clock,
): SmtpMailer | DevelopmentMailbox | NoMailServer {
  if (mail.url !== '') return new SmtpMailer(mail);
  return environment === DEVELOPMENT ? new DevelopmentMailbox(log, clock) : new NoMailServer();
}
