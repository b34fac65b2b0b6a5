import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { Alerts, QUIET_FOR } from '../../src/alerts/alerts.js';
import { type Alert, commandFor, evidenceLines, SIGNAL_NAMES, termsOf } from '../../src/alerts/signals.js';
import { Envelope } from '../../src/crypto/envelope.js';
import { openDatabase } from '../../src/database/connect.js';
import { Outbox } from '../../src/delivery/outbox.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { auditRows, lastAuditId } from '../support/tables.js';

const MAIL_TO = ['oncall@example.com', 'security@example.com'];
const ACTOR = 'node:test' as const;

function alert(subject: string, signal: Alert['signal'] = 'signing_key.damaged'): Alert {
  return { signal, subject, evidence: { alg: 'ES256', ring_version: 7 } };
}

describe('the catalogue of alerts', () => {
  it('gives each signal a sentence without a full stop and a command of this program', () => {
    for (const signal of SIGNAL_NAMES) {
      const { summary, severity } = termsOf(signal);
      expect(summary, signal).to.match(/^[A-Z].{10,100}[^.]$/);
      expect(severity).to.be.oneOf(['warning', 'critical']);
      expect(commandFor(alert('kid-1', signal)), signal)
        .to.match(/^claviger [a-z]/)
        .and.not.include('SUBJECT');
    }
  });

  it('writes evidence a line each', () => {
    expect(evidenceLines({ ring_version: 7, nodes: ['a', 'b'], left: undefined })).to.deep.equal([
      'ring version: 7',
      'nodes: a, b',
    ]);
  });
});

describe('an alert', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;
    let url: string;
    let nowOffset = 0;
    const outbox = new Outbox(new Envelope({ id: 'e', key: randomBytes(32) }));
    const logged: { level: string; fields: Record<string, unknown>; message: string }[] = [];
    const log = {
      error: (fields: object, message: string) =>
        logged.push({ level: 'error', fields: { ...fields }, message }),
      warn: (fields: object, message: string) =>
        logged.push({ level: 'warn', fields: { ...fields }, message }),
    };
    const config = {
      alerts: { mailTo: MAIL_TO },
      branding: { locale: 'en' },
    } as unknown as ConstructorParameters<typeof Alerts>[0]['config'];
    const alertsOf = (database: Opened['database'], nodeId = 'node-1') =>
      new Alerts({ database, nodeId, outbox, config, log });

    before(async () => {
      opened = await openedDatabase(async () => {
        const made = await fresh();
        url = made.url;
        return made;
      });
    });
    beforeEach(async () => {
      nowOffset = 0;
      logged.length = 0;
      await opened.database.write(on => on('alerts').delete());
      await opened.database.write(on => on('outbox').delete());
    });
    after(() => opened.close());

    async function raisedSince(id: number) {
      return (await auditRows(opened.database, id)).filter(({ event }) => event === 'alert.raised');
    }

    it('is an audit event, a log entry and a mail to each address', async () => {
      const id = await lastAuditId(opened.database);
      expect(await alertsOf(opened.database).raiseAlone(alert('kid-1'), ACTOR)).to.equal(true);
      const [event, ...more] = await raisedSince(id);
      expect(more).to.have.length(0);
      expect(event).to.include({ subject: 'kid-1', actor: ACTOR, node_id: 'node-1' });
      expect(event?.detail).to.deep.equal({
        alg: 'ES256',
        ring_version: 7,
        signal: 'signing_key.damaged',
        severity: 'critical',
        command: 'claviger key revoke kid-1 --dry-run',
      });
      expect(logged.map(({ level, fields }) => [level, fields.event, fields.signal])).to.deep.equal([
        ['error', 'alert.raised', 'signing_key.damaged'],
      ]);
      const claimed = await outbox.take(opened.database, 'mail', 10);
      const mails = claimed
        .map(each => outbox.open(each))
        .map(each => (each.kind === 'mail' ? each : undefined));
      expect(mails.map(mail => mail?.to)).to.have.members(MAIL_TO);
      expect(mails[0]?.values).to.include({
        severity: 'critical',
        subject: 'kid-1',
        evidence: 'alg: ES256\nring version: 7',
      });
    });

    it('is raised once by many nodes at once, again after an hour, and at once about something else', async () => {
      const id = await lastAuditId(opened.database);
      const databases = [1, 2, 3].map(() => openDatabase({ url, clockOffset: () => nowOffset }));
      try {
        const nodes = databases.map((database, index) => alertsOf(database, `node-${index}`));
        const all = async () => {
          const asked = Array.from({ length: 7 }, () =>
            nodes.map(node => node.raiseAlone(alert('kid-2'), ACTOR)),
          );
          return (await Promise.all(asked.flat())).filter(isNew => isNew).length;
        };
        expect(await all(), 'first').to.equal(1);
        expect(await all(), 'within the hour').to.equal(0);
        nowOffset = QUIET_FOR * 1000 + 1000;
        expect(await all(), 'an hour later').to.equal(1);
        expect(await nodes[0]?.raiseAlone(alert('kid-3'), ACTOR)).to.equal(true);
        expect(await nodes[0]?.raiseAlone(alert('kid-2', 'signing_key.overdue'), ACTOR)).to.equal(true);
        expect(await raisedSince(id)).to.have.length(4);
        expect(logged).to.have.length(4);
      } finally {
        for (const database of databases) await database.close();
      }
    });

    it('is not silenced by a database clock that was ahead for a while', async () => {
      let ahead = 400 * 86_400_000;
      const database = openDatabase({ url, clockOffset: () => ahead });
      try {
        const alerts = alertsOf(database);
        expect(await alerts.raiseAlone(alert('kid-5'), ACTOR)).to.equal(true);
        ahead = 0;
        expect(await alerts.raiseAlone(alert('kid-5'), ACTOR), 'the clock is right again').to.equal(true);
        expect(await alerts.raiseAlone(alert('kid-5'), ACTOR), 'and once is enough').to.equal(false);
        // A moment ahead is another node that asked for the time later and committed first.
        ahead = -2000;
        expect(await alerts.raiseAlone(alert('kid-5'), ACTOR), 'control').to.equal(false);
        const now = await database.now();
        const isNew = await database.transaction(trx => alerts.raise(trx, alert('kid-5'), ACTOR, now));
        expect(isNew, 'control').to.equal(false);
      } finally {
        await database.close();
      }
    });

    it('is not there, not even in the log, when the transaction it belongs to fails', async () => {
      const id = await lastAuditId(opened.database);
      const { database } = opened;
      const alerts = alertsOf(database);
      const failing = database.transaction(async trx => {
        await alerts.raise(trx, alert('kid-4'), ACTOR, await database.now(trx));
        throw new Error('the change itself fails');
      });
      expect(await failing.catch(error => (error as Error).message)).to.equal('the change itself fails');
      expect(await raisedSince(id)).to.have.length(0);
      expect(await outbox.take(database, 'mail', 10)).to.have.length(0);
      expect(logged).to.have.length(0);
      // Control: nothing of the failed one is in the way of the next.
      expect(await alerts.raiseAlone(alert('kid-4'), ACTOR)).to.equal(true);
    });
  });
});
