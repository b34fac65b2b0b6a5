import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { makeDevelopmentCertificate } from '../../certs/make-dev-certs.js';
import { systemClock } from '../../src/clock.js';
import { createMailer, DevelopmentMailbox, type Mail, SmtpMailer } from '../../src/delivery/mailer.js';
import { createLogger, type Logger } from '../../src/log.js';
import { type MailServer, startMailServer } from './mail-server.js';

const MAIL: Mail = {
  id: 'Xy1',
  to: 'ada@example.com',
  subject: 'Reset your password',
  text: 'Open https://id.example/reset/abc\nGrüße',
};

function capturedLog(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  return { log: createLogger({ level: 'info', format: 'json' }, { write: line => lines.push(line) }), lines };
}

/** Signed by nobody whom this process trusts. */
function certificate(): { readonly key: Buffer; readonly cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-mail-'));
  try {
    const made = makeDevelopmentCertificate(folder);
    return { key: readFileSync(made.key), cert: readFileSync(made.certificate) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function refused(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.fail('it was delivered'),
    (error: unknown) => error,
  );
}

describe('the mailer', () => {
  let server: MailServer;

  before(async () => {
    server = await startMailServer();
  });

  beforeEach(() => {
    server.mails.length = 0;
  });

  after(() => server.close());

  const mailer = (user = '', from = 'Claviger <no-reply@id.example>') =>
    new SmtpMailer({ url: `smtp://${user}127.0.0.1:${server.port}`, from });

  it('sends plain text with headers that say who, what and that nobody needs to answer (RFC 3834)', async () => {
    expect(await mailer().deliver(MAIL)).to.equal('delivered');
    const [caught] = server.mails;
    expect(caught?.from).to.equal('no-reply@id.example');
    expect(caught?.to).to.deep.equal(['ada@example.com']);
    for (const line of [
      'From: Claviger <no-reply@id.example>',
      'To: ada@example.com',
      'Subject: Reset your password',
      'Message-ID: <Xy1@id.example>',
      'Auto-Submitted: auto-generated',
      'Content-Type: text/plain; charset=utf-8',
    ]) {
      expect(caught?.raw).to.contain(`${line}\r\n`);
    }
    expect(caught?.raw).to.contain('https://id.example/reset/abc').and.not.to.contain('text/html');
  });

  it('writes no header and adds no recipient because of a line break or a comma in what it is given', async () => {
    await mailer().deliver({ ...MAIL, subject: 'Hello\r\nBcc: eve@example.com\r\n\r\nbody' });
    const head = server.mails[0]?.raw.split('\r\n\r\n')[0];
    expect(head).not.to.match(/^Bcc:/m);
    expect(server.mails[0]?.to).to.deep.equal(['ada@example.com']);

    for (const to of [
      'ada@example.com, eve@example.com',
      'ada@example.com;eve@example.com',
      'ada@example.com\r\nRCPT TO:<eve@example.com>',
      'Ada <eve@example.com>',
      '"eve@example.com"@example.com',
      'ada@eve@example.com',
      'ada',
      '',
    ]) {
      expect(await mailer().deliver({ ...MAIL, to }), to).to.equal('refused');
    }
    expect(server.mails).to.have.length(1);
  });

  it('signs in with the user and the password of the URL, percent-decoded', async () => {
    await mailer('ada%40id.example:right%20word@').deliver(MAIL);
    expect(server.mails[0]?.user).to.equal('ada@id.example');
  });

  it('does not tell the password when it is wrong', async () => {
    const error = await refused(mailer('ada:wrong-word@').deliver(MAIL));
    const { log, lines } = capturedLog();
    log.warn({ err: error }, 'failed');
    expect(lines.join('')).not.to.contain('wrong-word').and.not.to.contain(btoa('\0ada\0wrong-word'));
  });

  it('gives up an address that does not exist, and tries again one whose mailbox is full', async () => {
    expect(await mailer().deliver({ ...MAIL, to: 'nobody@example.com' })).to.equal('refused');
    expect(await refused(mailer().deliver({ ...MAIL, to: 'full@example.com' }))).to.be.instanceOf(Error);
  });

  it('does not send over TLS that it cannot trust', async () => {
    const encrypted = await startMailServer({ secure: true, ...certificate() });
    try {
      const smtps = new SmtpMailer({ url: `smtps://127.0.0.1:${encrypted.port}`, from: 'a@id.example' });
      expect(await refused(smtps.deliver(MAIL))).to.be.instanceOf(Error);
      expect(encrypted.mails).to.have.length(0);
      // Nor does a word in the URL make it.
      const lax = new SmtpMailer({
        url: `smtps://127.0.0.1:${encrypted.port}?tls.rejectUnauthorized=false`,
        from: 'a@id.example',
      });
      expect(await refused(lax.deliver(MAIL))).to.be.instanceOf(Error);
    } finally {
      await encrypted.close();
    }
  });

  it('takes the STARTTLS that is offered, and nothing if it cannot trust it', async () => {
    const offering = await startMailServer({ disabledCommands: [], ...certificate() });
    try {
      const smtp = new SmtpMailer({ url: `smtp://127.0.0.1:${offering.port}`, from: 'a@id.example' });
      expect(await refused(smtp.deliver(MAIL))).to.be.instanceOf(Error);
      expect(offering.mails).to.have.length(0);
    } finally {
      await offering.close();
    }
  });

  it('sends no password in the open but to this machine: the offer of STARTTLS could have been taken out', async () => {
    // Not recognised as this machine, but leads here.
    const far = new SmtpMailer({
      url: `smtp://ada:right%20word@[::ffff:127.0.0.1]:${server.port}`,
      from: 'a@id.example',
    });
    expect(await refused(far.deliver(MAIL))).to.be.instanceOf(Error);
    expect(server.mails).to.have.length(0);
  });

  it('fails, to be tried again, when there is no server', async () => {
    const closed = await startMailServer();
    await closed.close();
    const nowhere = new SmtpMailer({ url: `smtp://127.0.0.1:${closed.port}`, from: 'a@id.example' });
    expect(await refused(nowhere.deliver(MAIL))).to.be.instanceOf(Error);
  });

  describe('without mail.url', () => {
    const mail = { url: '', from: 'a@id.example' };

    it('logs and keeps the last 50 mails in development', async () => {
      const { log, lines } = capturedLog();
      const mailbox = createMailer({ mail, environment: 'development' }, log, systemClock);
      if (!(mailbox instanceof DevelopmentMailbox)) throw new Error('no mailbox');
      for (let n = 0; n < 60; n += 1) await mailbox.deliver({ ...MAIL, subject: `Mail ${n}` });
      expect(mailbox.mails).to.have.length(50);
      expect(mailbox.mails[0]).to.include({ subject: 'Mail 59', to: 'ada@example.com' });
      expect(lines).to.have.length(60);
      expect(lines[0]).to.contain('ada@example.com').and.to.contain('https://id.example/reset/abc');
    });

    it('delivers nothing elsewhere, so that mails wait', async () => {
      const { log, lines } = capturedLog();
      const none = createMailer({ mail, environment: 'production' }, log, systemClock);
      expect(await refused(none.deliver(MAIL))).to.have.property('code', 'not_ready');
      expect(lines).to.have.length(0);
    });
  });
});
