import { expect } from 'chai';
import { claimsOf, type Person, RelyingParty, Scene, walk } from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';

const CLAIMED = 'https://app.example.org/callback';
const ANYBODYS = ['http://127.0.0.1/callback', 'com.example.app:/callback'];
const ALLOW = 'button[value="allow"]';

describe('a program that poses as a native client of the house', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let person: Person;
    let native: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url });
      person = await scene.person();
      native = await scene.relyingParty({
        isFirstParty: true,
        authMethod: 'none',
        applicationType: 'native',
        redirectUris: [CLAIMED, ...ANYBODYS],
        oidcScopes: ['openid', 'email'],
      });
    });

    after(() => scene.close());

    const at = (redirectUri: string) => new RelyingParty(scene, native.client, redirectUri);

    for (const redirectUri of ANYBODYS) {
      it(`gets nothing without a click of the person, each time: ${redirectUri} (requirement 20, RFC 8252 §8.6)`, async () => {
        const browser = scene.browser();
        for (let count = 0; count < 3; count += 1) {
          await browser.get(at(redirectUri).begin().path);
          if (browser.has('input[name="password"]')) {
            await browser.submit('form:has(input[name="password"])', {
              email: person.email,
              password: person.password,
            });
          }
          expect(browser.has(ALLOW), `time ${count}: ${browser.describe()}`).to.equal(true);
          await walk(browser, person);
          expect(browser.landing.departure?.parameters.code).to.be.a('string');
        }
        const silent = await browser.get(at(redirectUri).begin({ prompt: 'none' }).path);
        expect(silent.departure?.parameters.error).to.be.oneOf(['interaction_required', 'consent_required']);
      });
    }

    it('gets nothing from a person who says no', async () => {
      const browser = scene.browser();
      await browser.get(at(String(ANYBODYS[1])).begin().path);
      const { email, password } = person;
      await browser.submit('form:has(input[name="password"])', { email, password });
      const deny = 'button[value="deny"]';
      await browser.submit(`form:has(${deny})`, {}, { button: deny });
      expect(browser.landing.departure?.parameters).to.include({ error: 'access_denied' });
    });

    it('cannot use an address that only the house answers at, where people are not asked (RFC 8252 §7.2)', async () => {
      const answer = await at(CLAIMED).tokens(scene.browser(), person, { scope: 'openid email' });
      expect(claimsOf(answer.json.id_token).sub).to.equal(person.userId);
      const browser = scene.browser();
      await browser.get(at(CLAIMED).begin().path);
      const { email, password } = person;
      const { departure } = await browser.submit('form:has(input[name="password"])', { email, password });
      expect(departure?.parameters.code, browser.describe()).to.be.a('string');
    });

    it('leaves web clients of the house as they are', async () => {
      const web = await scene.relyingParty({ isFirstParty: true });
      const browser = scene.browser();
      await browser.get(web.begin().path);
      const { email, password } = person;
      const { departure } = await browser.submit('form:has(input[name="password"])', { email, password });
      expect(departure?.parameters.code, browser.describe()).to.be.a('string');
    });
  });
});
