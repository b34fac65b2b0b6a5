import { expect } from 'chai';
import { appendAuditEvents, appendAuditEventsIfUnchanged } from '../../src/audit/audit-log.js';
import { AUDIT_EVENTS, type AuditEvent } from '../../src/audit/events.js';
import { type Opened, openedDatabase } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { auditRows, lastAuditId } from '../support/tables.js';

/** Texts that have broken a JSON parser, an SQL driver or a terminal somewhere. */
const TEXTS = [
  `${'a'.repeat(255)}\u{1F600}b`,
  '\ud800',
  '\udfff\ud800',
  'a\0b',
  'line\nforged: yes\r\n\u2028\u2029\u0085',
  `'"\\\`;--$1 ? ?? :a $[0] \\u0000 \\ud800`,
  '{"a":[1]}',
  'x'.repeat(100_000),
  '',
];

describe('the audit log', () => {
  forEachDatabase((_name, fresh) => {
    let opened: Opened;

    before(async () => {
      opened = await openedDatabase(fresh);
    });

    after(() => opened.close());

    function eventWith(value: string): AuditEvent {
      return {
        event: 'token.refused',
        outcome: 'refused',
        actor: 'anonymous',
        subject: value,
        clientId: value,
        resource: value,
        userAgent: value,
        ip: '127.0.0.1',
        requestId: 'r',
        detail: { reason: value.slice(0, 1000), list: [value.slice(0, 1000)] },
      };
    }

    it('stores whatever text a caller can send, bounded and on one line, by either way of writing', async () => {
      const { database, nodeId } = opened;
      const last = await lastAuditId(database);
      for (const text of TEXTS) {
        const now = await database.now();
        await database.transaction(trx => appendAuditEvents(database, trx, [eventWith(text)], nodeId, now));
        expect(await appendAuditEventsIfUnchanged(database, [eventWith(text)], nodeId, 0)).to.equal(true);
      }
      const rows = await auditRows(database, last);
      expect(rows).to.have.length(TEXTS.length * 2);
      for (const row of rows) {
        for (const text of [row.subject, row.client_id, row.resource, row.user_agent]) {
          expect(text).to.match(/^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u);
          expect(String(text).length).to.be.at.most(300);
        }
      }
    });

    it('takes events only under a name of the catalogue, each once', () => {
      expect(new Set(AUDIT_EVENTS).size).to.equal(AUDIT_EVENTS.length);
      for (const name of AUDIT_EVENTS) expect(name).to.match(/^[a-z_]+\.[a-z_]+$/);
    });

    it('writes nothing when something has changed since the sequence it is told', async () => {
      const { database, nodeId } = opened;
      const last = await lastAuditId(database);
      expect(await appendAuditEventsIfUnchanged(database, [eventWith('x')], nodeId, 7)).to.equal(false);
      expect(await auditRows(database, last)).to.deep.equal([]);
    });

    it('keeps the order of a batch, and dates it by the database’s clock', async () => {
      const { database, nodeId } = opened;
      const last = await lastAuditId(database);
      opened.moveBy(1000);
      const events = Array.from({ length: 500 }, (_, index) => eventWith(`n${index}`));
      await appendAuditEventsIfUnchanged(database, events, nodeId, 0);
      const rows = await auditRows(database, last);
      expect(rows.map(row => row.subject)).to.deep.equal(events.map(event => event.subject));
      const [{ occurred_at }] = (await database.reader('audit_events').orderBy('id', 'desc').limit(1)) as [
        { occurred_at: number },
      ];
      expect(Math.abs(Number(occurred_at) - (await database.now()))).to.be.below(10_000);
      opened.moveBy(-1000);
    });
  });
});
