import { expect } from 'chai';
import { rootKeySecret } from '../../src/config/development-root-key.js';
import { loadConfig } from '../../src/config/load.js';
import { localRootKey } from '../../src/crypto/root-key.js';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { openInstallation } from '../../src/database/installation.js';
import { ConsentStore } from '../../src/oidc/consent-store.js';
import { type Access, openAccess } from '../../src/oidc/people.js';
import { SessionStore } from '../../src/oidc/session-store.js';
import { forEachDatabase } from '../support/databases.js';
import { freshFolder, listOf, resultOf, run } from './captured-run.js';

const ADA = 'ada@example.test';
const EVE = 'eve@example.test';
const HOUR = 3600;

describe('sessions and grants by the command line', () => {
  forEachDatabase((_name, fresh) => {
    const folder = freshFolder();
    let at: { cwd: string; env: Record<string, string> };
    let database: Database;
    let access: Access;
    let clientId: string;
    let [ada, eve] = ['', ''];
    let made = 0;

    before(async function () {
      this.timeout(60_000);
      at = { cwd: folder.path, env: { CLAVIGER_DATABASE_URL: (await fresh()).url } };
      await resultOf(['migrate'], at);
      ada = String((await resultOf(['user', 'create', '--email', ADA], at)).id);
      eve = String((await resultOf(['user', 'create', '--email', EVE], at)).id);
      clientId = String((await resultOf(['client', 'create', '--name', 'Ledger'], at)).client_id);
      const { config } = loadConfig(at);
      database = openDatabase(config.database);
      const rootKey = localRootKey(rootKeySecret(config, folder.path));
      const { issuer, environment } = config;
      const { keys } = await openInstallation(database, rootKey, { issuer, environment });
      access = openAccess({ database, nodeId: 'test', keys });
    });

    after(async () => {
      await database?.close();
      folder.remove();
    });

    /** As signing in and allowing leave them. */
    async function signedIn(userId: string): Promise<{ sessionId: string; grantId: string }> {
      const { artifacts } = access;
      made += 1;
      const [uid, grantId] = [`uid-${made}`, `grant-${made}`];
      const sessionId = artifacts.sessionHandle(uid);
      await database.transaction(async trx => {
        const now = await database.now(trx);
        const authorizations = { [clientId]: { sid: `sid-${made}`, grantId } };
        const grant = { jti: grantId, accountId: userId, clientId };
        await artifacts.upsert(trx, 'Grant', grantId, grant, HOUR, now);
        await artifacts.upsert(
          trx,
          'Session',
          `id-${made}`,
          { uid, accountId: userId, authorizations },
          HOUR,
          now,
        );
        const use = {
          sessionId,
          userId,
          amr: ['pwd'],
          ip: '192.0.2.7',
          userAgent: 'Evil\u001b[2J Firefox/140 Linux',
        };
        await new SessionStore().noteUse(trx, { ...use, expiresAt: now + HOUR * 1000 }, now);
        const granted = { oidcScopes: ['openid', 'email'], claims: [], resources: {} };
        await new ConsentStore().save(trx, userId, clientId, granted, now);
      });
      return { sessionId, grantId };
    }

    const isDead = (grantId: string) => database.read(on => access.artifacts.isGrantRevoked(on, grantId));

    it('lists the sessions of a person, by id and by address, and of nobody else', async () => {
      const { sessionId } = await signedIn(ada);
      await signedIn(eve);
      for (const user of [ada, ADA, ' ADA@Example.test ']) {
        const listed = await listOf(['session', 'list', '--user', user], at);
        expect(listed.map(each => each.session_id)).to.deep.equal([sessionId]);
        expect(listed[0]).to.deep.include({
          user_id: ada,
          amr: ['pwd'],
          ip: '192.0.2.7',
          client_ids: [clientId],
        });
      }
      const shown = await run(['session', 'list', '--user', ADA], at);
      expect(shown.stdout).to.include(sessionId).and.include('Firefox / Linux').and.not.include('Evil');
    });

    it('says the reach, changes nothing with --dry-run, and without a terminal wants --yes', async () => {
      const { sessionId, grantId } = await signedIn(ada);
      const looked = await resultOf(['session', 'end', sessionId, '--dry-run'], at);
      expect(looked).to.include({ ended: 0, user_id: ada });
      const asked = await run(['session', 'end', sessionId], at);
      expect(asked.exitCode).to.equal(2);
      expect(asked.stderr).to.include('1 session(s)').and.include('1 client(s)');
      expect((await run(['session', 'end', sessionId], { ...at, answer: 'n' })).exitCode).to.equal(1);
      expect(await isDead(grantId)).to.equal(false);
    });

    it('ends one session with its grant, once, and tells the log who did', async () => {
      const { sessionId, grantId } = await signedIn(ada);
      expect(await resultOf(['session', 'end', sessionId, '--yes'], at)).to.include({
        ended: 1,
        user_id: ada,
      });
      expect(await isDead(grantId)).to.equal(true);
      const again = await run(['session', 'end', sessionId, '--yes'], at);
      expect(again.exitCode).to.equal(1);
      const [event] = await listOf(['audit', 'list', '--event', 'session.ended', '--limit', '1'], at);
      expect(event).to.include({ subject: sessionId, user_id: ada, outcome: 'success' });
      expect(event?.actor).to.match(/^os:/);
    });

    it('takes an id that begins with a dash for what it is, and a mistyped option too', async () => {
      let [sessionId, grantId] = ['', ''];
      while (!sessionId.startsWith('-')) ({ sessionId, grantId } = await signedIn(ada));
      const ended = await resultOf(['session', 'end', sessionId, '--yes'], at);
      expect(ended).to.deep.include({ ended: 1 });
      expect(await isDead(grantId)).to.equal(true);
      const mistyped = await run(['session', 'end', '--yess'], at);
      expect(mistyped.exitCode).to.equal(2);
      expect(mistyped.stderr).to.include('--yess');
    });

    it('ends every session of one person and leaves the others alone', async () => {
      const mine = [await signedIn(ada), await signedIn(ada)];
      const other = await signedIn(eve);
      const { ended } = await resultOf(['session', 'end', '--user', ADA, '--all', '--yes'], at);
      expect(ended).to.be.at.least(2);
      expect(await listOf(['session', 'list', '--user', ADA], at)).to.deep.equal([]);
      for (const { grantId } of mine) expect(await isDead(grantId)).to.equal(true);
      expect(await isDead(other.grantId)).to.equal(false);
      expect(await resultOf(['session', 'end', '--user', ADA, '--all', '--yes'], at)).to.include({
        ended: 0,
      });
    });

    it('wants to know which sessions are meant', async () => {
      for (const args of [[], ['--user', ADA], ['--all'], ['x', '--user', ADA, '--all']]) {
        expect((await run(['session', 'end', ...args, '--yes'], at)).exitCode, args.join(' ')).to.equal(2);
      }
      expect((await run(['session', 'list', '--user', 'nobody@example.test'], at)).exitCode).to.equal(1);
    });

    it('lists what was allowed, by person and by client', async () => {
      await signedIn(ada);
      const allowed = { user_id: ada, client_id: clientId, oidc_scopes: ['openid', 'email'] };
      expect((await listOf(['grant', 'list', '--user', ADA], at))[0]).to.deep.include(allowed);
      const ofClient = await listOf(['grant', 'list', '--client', clientId], at);
      expect(ofClient.map(each => each.user_id)).to.have.members([ada, eve]);
      const both = await listOf(['grant', 'list', '--user', EVE, '--client', clientId], at);
      expect(both.map(each => each.user_id)).to.deep.equal([eve]);
      expect((await run(['grant', 'list'], at)).exitCode).to.equal(2);
    });

    it('withdraws what one person allowed one client: every grant of it dies, and no other', async () => {
      const [one, two, other] = [await signedIn(ada), await signedIn(ada), await signedIn(eve)];
      const args = ['grant', 'revoke', '--user', ADA, '--client', clientId];
      const looked = await resultOf([...args, '--dry-run'], at);
      expect(looked.grants).to.be.at.least(2);
      expect(looked.revoked).to.equal(false);
      expect((await run(args, at)).stderr).to.include(`${looked.grants} grant(s)`);
      expect(await resultOf([...args, '--yes'], at)).to.include({ grants: looked.grants, revoked: true });
      for (const { grantId } of [one, two]) expect(await isDead(grantId)).to.equal(true);
      expect(await isDead(other.grantId)).to.equal(false);
      expect(await listOf(['grant', 'list', '--user', ADA], at)).to.deep.equal([]);
      expect((await run([...args, '--yes'], at)).exitCode).to.equal(1);
    });
  });
});
