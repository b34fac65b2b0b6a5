import { expect } from 'chai';
import { Limiter } from '../../../src/rate-limits/limiter.js';
import { FederatedIdentityStore } from '../../../src/users/federated-identity-store.js';
import { addPasskey, passkeyRegistration } from '../../../src/users/passkeys.js';
import type { Person } from '../../flows/authorization/relying-party.js';
import { NEXT_PASSWORD, PeopleScene } from '../../flows/people/people-scene.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { ISSUER } from '../../support/nodes.js';
import { SoftwareAuthenticator } from '../../users/software-authenticator.js';

describe('a thief’s passkey or linked provider', () => {
  forEachDatabase((_name, fresh) => {
    let people: PeopleScene;
    let ada: Person;

    before(async () => {
      people = await PeopleScene.open({ url: (await fresh()).url });
    });

    beforeEach(async () => {
      ada = await people.scene.person();
    });

    after(() => people.close());

    async function plant({ userId, email }: Person): Promise<void> {
      const context = await people.scene.context();
      const { database, hasher } = context;
      const limiter = new Limiter(database, hasher, 'production');
      const options = await passkeyRegistration(context, { id: userId, email, profile: {} });
      const response = new SoftwareAuthenticator().register(options, { origin: ISSUER });
      const input = { userId, response, challenge: options.challenge, name: 'Key' };
      await addPasskey({ ...context, limiter }, input, { actor: `user:${userId}` });
      await database.transaction(async trx => {
        const now = await database.now(trx);
        for (const subject of ['1', '2']) {
          const identity = { provider: 'up', subject: `${userId}-${subject}`, email: undefined };
          await new FederatedIdentityStore().insert(trx, identity, userId, now);
        }
      });
    }

    async function reset(languages: string): Promise<FormBrowser> {
      await people.mails();
      const browser = people.scene.browser(languages);
      await browser.get('/forgot');
      await browser.submit('main form', { email: ada.email });
      await browser.get(await people.link('reset-password', ada.email));
      await browser.submit('main form', { password: NEXT_PASSWORD });
      return browser;
    }

    const said = ({ landing }: FormBrowser) =>
      (landing.root.querySelector('main')?.textContent ?? '').replace(/\s+/g, ' ');

    for (const [language, words] of [
      ['en', '1 passkey and 2 other providers can still open your account'],
      ['de', '1 Passkey und 2 andere Anbieter weiterhin Ihr Konto'],
    ] as const) {
      it(`is told to the owner who set a new password by mail, with the way to end it (${language})`, async () => {
        await plant(ada);
        const browser = await reset(language);
        expect(said(browser)).to.contain(words);
        const way = browser.landing.root.querySelector('main a.btn')?.getAttribute('href');
        expect(way).to.match(/\/account\/security$/);
        const mails = (await people.mails()).filter(({ mail }) => mail === 'password-changed');
        expect(mails.map(({ to, values }) => ({ to, values }))).to.deep.equal([
          { to: ada.email, values: { passkeys: 1, providers: 2 } },
        ]);
      });
    }

    it('is not invented where there is none', async () => {
      const browser = await reset('en');
      expect(said(browser)).to.contain('Password changed').and.not.contain('can still open');
    });
  });
});
