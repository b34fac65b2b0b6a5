import { expect } from 'chai';
import { Limiter } from '../../../src/rate-limits/limiter.js';
import { addPasskey, passkeyRegistration } from '../../../src/users/passkeys.js';
import type { Person, RelyingParty } from '../../flows/authorization/relying-party.js';
import { PeopleScene, signIn } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';
import { SoftwareAuthenticator } from '../../users/software-authenticator.js';

const FORM = 'form[data-passkey]';
const MOST = 100;

describe('who sends passkeys that are none, again and again', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let shop: RelyingParty;

    before(async () => {
      people = await PeopleScene.open({
        url: (await fresh()).url,
        env: { CLAVIGER_RATE_LIMITS: 'production' },
      });
      shop = await people.scene.relyingParty({ isFirstParty: true });
    });

    after(() => people.close());

    async function passkeyOf({ userId, email }: Person): Promise<SoftwareAuthenticator> {
      const context = await people.scene.context();
      const { database, hasher } = context;
      const limiter = new Limiter(database, hasher, 'production');
      const authenticator = new SoftwareAuthenticator();
      const options = await passkeyRegistration(context, { id: userId, email, profile: {} });
      const response = authenticator.register(options, { origin: ISSUER });
      const input = { userId, response, challenge: options.challenge, name: 'Key' };
      await addPasskey({ ...context, limiter }, input, { actor: `user:${userId}` });
      return authenticator;
    }

    async function rows(table: string): Promise<number> {
      const { database } = await people.scene.cluster.operator();
      return (await database.reader(table)).length;
    }

    it('fills neither the audit log nor the counters, and right ones do not count', async () => {
      const ada = await people.scene.person();
      const key = await passkeyOf(ada);
      const stranger = await people.atSignIn(shop);
      const garbage = () => stranger.submit(FORM, { passkey: '{}' });
      for (let count = 1; count < MOST; count += 1) expect((await garbage()).status).to.equal(422);
      // The same network: two that are right, in which the last attempt that is left is given back.
      for (let count = 0; count < 2; count += 1) {
        const owner = await people.atSignIn(shop);
        expect((await answer(owner, key)).departure?.parameters.code, owner.describe()).to.be.a('string');
      }
      expect((await garbage()).status).to.equal(422);
      const refused = await garbage();
      expect(refused.status).to.equal(429);
      expect(Number(refused.headers['retry-after'])).to.be.within(1, 900);
      const counters = await rows('limit_counters');
      expect((await people.refusals()).length).to.equal(MOST);
      for (let count = 0; count < 20; count += 1) await garbage();
      expect(await rows('limit_counters')).to.equal(counters);
      const { database } = await people.scene.cluster.operator();
      const throttled = await database.reader('audit_events').where({ event: 'sign_in.throttled' });
      expect(throttled).to.have.length(10);
      // A password still opens, from the same network.
      const { departure } = await signIn(stranger, ada.email, ada.password);
      expect(departure?.parameters.code).to.be.a('string');
    }).timeout(120_000);

    function answer(browser: FormBrowser, from: SoftwareAuthenticator) {
      const options = browser.form(FORM).getAttribute('data-options') ?? '';
      return browser.submit(FORM, { passkey: from.answer(JSON.parse(options), { origin: ISSUER }) });
    }
  });
});
