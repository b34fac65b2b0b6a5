import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export interface CaughtMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly isEncrypted: boolean;
  readonly user: string | undefined;
  /** Headers and body as they came over the wire. */
  readonly raw: string;
}

export interface MailServer {
  readonly port: number;
  readonly mails: CaughtMail[];
  close(): Promise<void>;
}

/** A real SMTP server that keeps what it gets. Addresses that begin with `nobody` do not exist, `full` are full. */
export async function startMailServer(options: SMTPServerOptions = {}): Promise<MailServer> {
  const mails: CaughtMail[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onAuth: ({ username, password }, _session, done) =>
      password === 'right word' ? done(null, { user: username }) : done(new Error('wrong')),
    onRcptTo: ({ address }, _session, done) => {
      if (address.startsWith('nobody'))
        done(Object.assign(new Error('no such mailbox'), { responseCode: 550 }));
      else if (address.startsWith('full')) done(Object.assign(new Error('full'), { responseCode: 452 }));
      else done();
    },
    onData: async (stream, session, done) => {
      const raw = await text(stream);
      const { mailFrom, rcptTo } = session.envelope;
      mails.push({
        from: mailFrom === false ? '' : mailFrom.address,
        to: rcptTo.map(({ address }) => address),
        isEncrypted: session.secure,
        user: session.user,
        raw,
      });
      done();
    },
    ...options,
  });
  // A client that gives up the connection is what some tests want.
  server.on('error', () => undefined);
  await new Promise<void>(ready => {
    server.listen(0, '127.0.0.1', ready);
  });
  const { port } = server.server.address() as AddressInfo;
  return {
    port,
    mails,
    close: () => new Promise(closed => server.close(() => closed())),
  };
}
