import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { listAuditEvents } from '../../src/audit/audit-log.js';
import { Envelope } from '../../src/crypto/envelope.js';
import { SmtpMailer } from '../../src/delivery/mailer.js';
import { type Delivery, type LogoutDelivery, Outbox } from '../../src/delivery/outbox.js';
import { type DeliveryParts, deliverOutbox } from '../../src/jobs/deliver-outbox.js';
import { createLogger } from '../../src/log.js';
import { type MailServer, startMailServer } from '../delivery/mail-server.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';

const LINK = 'https://id.example/reset/very-secret';

function mailTo(to: string): Delivery {
  return {
    kind: 'mail',
    to,
    locale: 'de',
    userId: 'us_1',
    mail: 'reset-password',
    values: { url: LINK, minutes: 15 },
  };
}

const LOGOUT: LogoutDelivery = {
  kind: 'backchannel_logout',
  clientId: 'cl_1',
  subject: 'us_1',
  sid: 'sid-1',
};

describe('delivering the outbox', () => {
  forEachDatabase((_name, fresh) => {
    const envelope = new Envelope({ id: 'e', key: randomBytes(32) });
    let server: MailServer;
    let opened: Opened;
    let lines: string[];
    let answers: (() => Promise<'delivered' | 'gone'>)[];
    let told: LogoutDelivery[];

    before(async () => {
      server = await startMailServer();
      opened = await openedDatabase(fresh);
    });

    beforeEach(async () => {
      lines = [];
      answers = [];
      told = [];
      server.mails.length = 0;
      await opened.database.write(on => on('outbox').delete());
      await opened.database.write(on => on('audit_events').delete());
    });

    after(async () => {
      await opened.close();
      await server.close();
    });

    function partsOf({ database, nodeId }: Opened): DeliveryParts {
      return {
        database,
        nodeId,
        outbox: new Outbox(envelope),
        mailer: new SmtpMailer({ url: `smtp://127.0.0.1:${server.port}`, from: 'Claviger <a@id.example>' }),
        renderMail: ({ mail, locale, values }, at) => ({
          subject: `${mail} ${locale}`,
          text: `${JSON.stringify(values)} ${Number.isSafeInteger(at)}`,
        }),
        deliverLogout: delivery => {
          told.push(delivery);
          return answers.shift()?.() ?? Promise.resolve('delivered');
        },
        log: createLogger({ level: 'info', format: 'json' }, { write: line => lines.push(line) }),
      };
    }

    async function enqueue(...deliveries: Delivery[]): Promise<void> {
      await opened.database.transaction(async trx => {
        const now = await opened.database.now(trx);
        for (const delivery of deliveries) await new Outbox(envelope).enqueue(trx, delivery, now);
      });
    }

    const stored = async () => Number((await opened.database.reader('outbox').count({ n: '*' }).first())?.n);
    const audited = () => listAuditEvents(opened.database.reader, { limit: 1000 });

    it('delivers 200 mails once each from three nodes, and audits each without address or link', async function () {
      this.timeout(120_000);
      const people = Array.from({ length: 200 }, (_, n) => `p${n}@example.com`);
      await enqueue(...people.map(mailTo));
      const nodes = [opened, opened.another(), opened.another()].map(partsOf);
      await Promise.all(nodes.map(parts => deliverOutbox(parts, 'mail')));
      expect(server.mails.map(({ to }) => to[0]).sort()).to.deep.equal([...people].sort());
      expect(await stored()).to.equal(0);
      const events = await audited();
      expect(events).to.have.length(200);
      expect(events[0]).to.deep.include({
        event: 'mail.delivered',
        outcome: 'success',
        user_id: 'us_1',
        detail: { mail: 'reset-password', attempts: 1 },
      });
      expect(JSON.stringify(events)).not.to.contain('@example.com').and.not.to.contain('secret');
    });

    it('tries a logout again after a failure and audits its delivery', async () => {
      await enqueue(LOGOUT);
      const parts = partsOf(opened);
      answers = [() => Promise.reject(new Error('503'))];
      await deliverOutbox(parts, 'backchannel_logout');
      expect(await audited()).to.have.length(0);
      expect(lines.join('')).to.contain('delivery.failed').and.to.contain('"next":"planned"');
      await deliverOutbox(parts, 'backchannel_logout');
      expect(told).to.have.length(1);
      opened.moveBy(8);
      await deliverOutbox(parts, 'backchannel_logout');
      expect(told).to.deep.equal([LOGOUT, LOGOUT]);
      expect((await audited())[0]).to.deep.include({
        event: 'logout.delivered',
        client_id: 'cl_1',
        detail: { attempts: 2 },
      });
    });

    it('delivers the others when one fails, and mails while a client hangs', async () => {
      await enqueue(LOGOUT, LOGOUT, LOGOUT, mailTo('ada@example.com'));
      const parts = partsOf(opened);
      let release: (answer: 'delivered') => void = () => undefined;
      answers = [
        () => Promise.reject(new Error('refused')),
        () =>
          new Promise(resolve => {
            release = resolve;
          }),
      ];
      const logouts = deliverOutbox(parts, 'backchannel_logout');
      await deliverOutbox(parts, 'mail');
      expect(server.mails).to.have.length(1);
      while (told.length < 3) await new Promise(setImmediate);
      release('delivered');
      await logouts;
      expect(await stored()).to.equal(1);
    });

    it('gives up what expired, what its receiver will never take, and whom nobody is to tell, and audits why', async () => {
      const parts = partsOf(opened);
      await enqueue(mailTo('nobody@example.com'), LOGOUT);
      answers = [() => Promise.resolve('gone')];
      await deliverOutbox(parts, 'mail');
      await deliverOutbox(parts, 'backchannel_logout');
      await enqueue(mailTo('ada@example.com'));
      opened.moveBy(48 * 3600);
      await deliverOutbox(parts, 'mail');
      expect(server.mails).to.have.length(0);
      expect(await stored()).to.equal(0);
      const reasons = (await audited()).map(({ event, outcome, detail }) => [
        event,
        outcome,
        (detail as { reason: string }).reason,
      ]);
      expect(reasons).to.deep.equal([
        ['mail.given_up', 'refused', 'expired'],
        ['logout.given_up', 'refused', 'gone'],
        ['mail.given_up', 'refused', 'refused'],
      ]);
    });

    it('is not stopped by a payload that does not open', async () => {
      await enqueue(mailTo('ada@example.com'), mailTo('bob@example.com'));
      const [row] = await opened.database.reader('outbox').limit(1);
      await opened.database.write(on =>
        on('outbox').where({ id: row.id }).update({ sealed_payload: 'v1.e.x.y.z' }),
      );
      await deliverOutbox(partsOf(opened), 'mail');
      expect(server.mails).to.have.length(1);
      expect(await stored()).to.equal(1);
      expect(lines.join('')).to.contain('sealed_value_damaged');
    });
  });
});
