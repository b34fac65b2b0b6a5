import { expect } from 'chai';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { deleteUser, disableUser, lockUser } from '../../../src/users/change-user.js';
import { setPassword } from '../../../src/users/set-password.js';
import { type ChildNode, startChildNode } from '../../support/child-node.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';
import type { Person } from '../../support/people.js';
import type { RelyingParty } from '../../support/relying-party.js';
import { isLongRun, rounds } from '../../support/rounds.js';
import { figure } from '../../support/scale.js';
import { auditRows } from '../../support/tables.js';
import { ACTING, LifecycleScene, NEXT_PASSWORD } from './lifecycle-scene.js';
import { LogoutReceiver } from './logout-receiver.js';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const env = { CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '127.0.0.0/8' };
/** Seconds for which a node that took a notice keeps it to itself. */
const LEASE_FOR = 60;

interface SignedIn {
  readonly person: Person;
  readonly browser: FormBrowser;
  readonly sid: unknown;
}

describe('back-channel logout (requirement 84)', function () {
  this.timeout(3_600_000);
  forEachDatabase((name, fresh) => {
    let scene: LifecycleScene;
    let receiver: LogoutReceiver;
    let party: RelyingParty;
    let url: string;

    before(async () => {
      ({ url } = await fresh());
      scene = await LifecycleScene.open({ url, env });
      receiver = await LogoutReceiver.open();
      party = await scene.client({
        isFirstParty: true,
        idTokenSignedResponseAlg: 'RS256',
        backchannelLogoutUri: receiver.url,
        backchannelLogoutSessionRequired: true,
      });
    });

    after(async () => {
      await scene.close();
      await receiver.close();
    });

    afterEach(() => {
      receiver.answer = () => 200;
      receiver.take();
    });

    async function signedIn(person?: Person): Promise<SignedIn> {
      const someone = person ?? (await scene.person());
      const browser = scene.browser();
      const { json } = await scene.tokens(party, browser, someone);
      const { sid } = decodeJwt(String(json.id_token));
      expect(sid).to.be.a('string');
      return { person: someone, browser, sid };
    }

    const endAll = ({ person }: SignedIn) => scene.access.sessions.endAll(person.user.id, ACTING);
    const sidsOf = (tokens: readonly string[]) => tokens.map(token => decodeJwt(token).sid);

    it('tells by a signed token of type logout+jwt who is signed out, for 120 s at most (Back-Channel Logout §2.4)', async () => {
      const { person, sid, ...rest } = await signedIn();
      await endAll({ person, sid, ...rest });
      await scene.tick();
      const [token = '', ...more] = receiver.take();
      expect(more).to.deep.equal([]);
      expect(decodeProtectedHeader(token).typ).to.equal('logout+jwt');
      const claims = await party.verify(token, { typ: 'logout+jwt' });
      expect(claims).to.have.all.keys('iss', 'aud', 'iat', 'exp', 'jti', 'events', 'sub', 'sid');
      expect(claims.iss).to.equal(ISSUER);
      expect(claims.aud).to.equal(party.client.clientId);
      expect(claims.sub).to.equal(person.user.id);
      expect(claims.sid).to.equal(sid);
      expect(claims.events).to.deep.equal({ [EVENT]: {} });
      expect(Number(claims.exp) - Number(claims.iat)).to.be.within(1, 120);
      expect(String(claims.jti)).to.have.length.above(21);
    });

    it('never carries a nonce, so that it cannot pass for an ID token (Back-Channel Logout §2.4)', async () => {
      await endAll(await signedIn());
      await scene.tick();
      const [token = ''] = receiver.take();
      expect(decodeJwt(token)).to.not.have.property('nonce');
      // OpenID Connect Core §3.1.3.7: a client that sent one refuses an ID token without it.
      await party.verify(token, { nonce: 'sent' }).then(
        claims => expect.fail(`taken for an ID token: ${JSON.stringify(claims)}`),
        () => undefined,
      );
    });

    const causes: Readonly<Record<string, (signed: SignedIn) => Promise<unknown>>> = {
      'an operator ends the session': endAll,
      'the account is disabled': ({ person }) =>
        disableUser(scene.context, { userId: person.user.id }, ACTING),
      'the account is locked': ({ person }) => lockUser(scene.context, { userId: person.user.id }, ACTING),
      'the account is deleted': ({ person }) => deleteUser(scene.context, { userId: person.user.id }, ACTING),
      'the password changes': ({ person }) =>
        setPassword(scene.context, { userId: person.user.id, password: NEXT_PASSWORD }, ACTING),
      'the person signs out at another client': async ({ browser }) => {
        const other = await scene.client();
        await other.signOut(browser, {});
        const button = 'button[name="logout"]';
        await browser.submit(button, {}, { button });
      },
      'the person signs out on the account pages': async ({ browser }) => {
        await browser.get('/account');
        await browser.submit('form[action$="/account/sign-out"]');
      },
    };
    for (const [cause, act] of Object.entries(causes)) {
      it(`comes once when ${cause}`, async () => {
        const signed = await signedIn();
        await act(signed);
        await scene.tick();
        await scene.tick();
        expect(sidsOf(receiver.take())).to.deep.equal([signed.sid]);
      });
    }

    it('comes for each session that ends, and not for the one that stays', async () => {
      const first = await signedIn();
      const [kept] = await scene.sessions(first.person);
      await scene.moveBy(1);
      const others = [await signedIn(first.person), await signedIn(first.person)];
      const change = { userId: first.person.user.id, password: NEXT_PASSWORD };
      await setPassword(scene.context, change, { ...ACTING, sessionId: kept?.sessionId });
      await scene.tick();
      expect(sidsOf(receiver.take())).to.have.members(others.map(({ sid }) => sid));
    });

    it('is tried again with growing pauses until the client takes it, each time with a fresh token', async () => {
      receiver.answer = () => (receiver.arrived.length < 4 ? 500 : 200);
      await endAll(await signedIn());
      await scene.tick();
      const arrivedAfter = async (seconds: number): Promise<number> => {
        await scene.moveBy(seconds);
        return receiver.arrived.length;
      };
      // After 5, 10 and 20 s, and by chance up to half as much again.
      expect([await arrivedAfter(0), await arrivedAfter(4), await arrivedAfter(4)]).to.deep.equal([1, 1, 2]);
      expect([await arrivedAfter(9), await arrivedAfter(7)]).to.deep.equal([2, 3]);
      expect([await arrivedAfter(19), await arrivedAfter(12)]).to.deep.equal([3, 4]);
      expect(await arrivedAfter(3600), 'once it was taken').to.equal(4);
      const tokens = receiver.take().map(token => decodeJwt(token));
      expect(new Set(tokens.map(({ jti }) => jti))).to.have.property('size', 4);
      expect(new Set(tokens.map(({ sid }) => sid))).to.have.property('size', 1);
      for (const [index, { iat = 0 }] of tokens.slice(1).entries()) {
        expect(iat).to.be.above(tokens[index]?.iat ?? 0);
      }
    });

    it('is given up after a day, which the audit log tells', async () => {
      receiver.answer = () => 503;
      await endAll(await signedIn());
      await scene.tick();
      await scene.moveBy(24 * 3600 + 1);
      expect(receiver.take()).to.have.length(1);
      const { database } = scene.context;
      const givenUp = (await auditRows(database)).filter(({ event }) => event === 'logout.given_up');
      expect(givenUp.map(row => row.client_id)).to.deep.equal([party.client.clientId]);
    });

    const kills = rounds(1, 10);
    const logouts = rounds(10, 100);

    it(`loses none of ${logouts} logouts when ${kills} node${kills === 1 ? ' is' : 's are'} killed on the way (kill -9)`, async () => {
      const expected: unknown[] = [];
      let child: ChildNode | undefined;
      let deaths = 0;
      for (let kill = 0; kill < kills; kill += 1) {
        for (let count = 0; count < logouts / kills; count += 1) {
          const signed = await signedIn();
          expected.push(signed.sid);
          await endAll(signed);
        }
        child = await startNode();
        const dying = child;
        const until = receiver.accepted.length + 3;
        // Some were answered, some are on their way, some wait: then the node is gone.
        receiver.answer = async () => {
          if (receiver.accepted.length < until) return 200;
          await dying.kill();
          return 200;
        };
        if ((await dying.moveBy(0)) === undefined) deaths += 1;
        receiver.answer = () => 200;
        await scene.moveBy(LEASE_FOR + 1);
      }
      for (let turn = 0; turn < 3; turn += 1) await scene.moveBy(LEASE_FOR + 1);
      await child?.kill();
      expect(deaths).to.equal(kills);
      const { database } = scene.context;
      expect(await database.reader('outbox').where({ kind: 'backchannel_logout' })).to.deep.equal([]);
      const arrived = sidsOf(receiver.arrived);
      const lost = expected.filter(sid => !arrived.includes(sid));
      expect(lost).to.deep.equal([]);
      if (isLongRun()) {
        const twice = arrived.length - new Set(arrived).size;
        figure(`${name}: ${expected.length} logouts, ${deaths} kills, 0 lost, ${twice} came again`);
      }
    });

    function startNode(): Promise<ChildNode> {
      return startChildNode({
        rootKey: scene.cluster.rootKey,
        offset: scene.time.offset,
        env: {
          ...env,
          CLAVIGER_ENVIRONMENT: 'development',
          CLAVIGER_ISSUER: ISSUER,
          CLAVIGER_DATABASE_URL: url,
          CLAVIGER_HTTP_PORT: '0',
          CLAVIGER_HTTP_OPERATIONS_PORT: '0',
        },
      });
    }
  });
});
