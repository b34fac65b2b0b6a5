import { expect } from 'chai';
import { TOTP } from 'otpauth';
import { ACR_ONE_FACTOR, ACR_TWO_FACTORS } from '../../../src/protocol.js';
import { confirmTotp, enrolTotp } from '../../../src/users/totp.js';
import { UserStore } from '../../../src/users/user-store.js';
import { forEachDatabase } from '../../support/databases.js';
import type { FormBrowser } from '../../support/form-browser.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import { claimsOf, type Parameters, type Person, type RelyingParty, Scene, walk } from './relying-party.js';

describe('how strongly a person has to sign in (RFC 9470)', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let plain: Person;
    let person: Person;
    let shop: RelyingParty;
    let time: MovedTime;
    let secret = '';

    before(async () => {
      time = installMovedTime();
      const { clock, databaseClockOffset } = time;
      scene = await Scene.open({ url: (await fresh()).url, clock, databaseClockOffset });
      shop = await scene.relyingParty();
      plain = await scene.person();
      person = await scene.person();
      const context = await scene.context();
      const { userId, email } = person;
      const enrolment = await enrolTotp(context, { id: userId, email });
      secret = enrolment.secret.replaceAll(' ', '');
      const { enrolling } = enrolment;
      const confirmed = await confirmTotp(
        context,
        { userId, enrolling, code: await code() },
        { actor: `user:${userId}` },
      );
      expect(confirmed).to.equal(true);
      const user = await context.database.read(on => new UserStore().find(on, userId));
      expect(user?.hasTotp).to.equal(true);
    });

    after(async () => {
      await scene.close();
      time.restore();
    });

    /** One that was not used: each is good once. */
    async function code(): Promise<string> {
      time.moveBy(90);
      const { database } = await scene.context();
      return new TOTP({ secret }).generate({ timestamp: await database.now() });
    }

    const password = (browser: FormBrowser, { email, password: typed }: Person) =>
      browser.submit('form:has(input[name="password"])', { email, password: typed });

    async function signedIn(
      parameters: Parameters,
      browser = scene.browser(),
    ): Promise<Record<string, unknown>> {
      const request = shop.begin(parameters);
      await browser.get(request.path);
      if (browser.has('input[name="password"]')) {
        const fixed = browser.has('input[name="email"][readonly]');
        await browser.submit(
          'form:has(input[name="password"])',
          fixed ? { password: person.password } : { email: person.email, password: person.password },
        );
      }
      if (browser.has('input[name="code"]'))
        await browser.submit('form:has(input[name="code"])', { code: await code() });
      const { departure } = await walk(browser, undefined);
      const answer = await shop.redeem({ request, code: String(departure?.parameters.code) });
      expect(answer.status, `${answer.text} ${browser.describe()}`).to.equal(200);
      return { ...claimsOf(answer.json.id_token), inAccessToken: claimsOf(answer.json.access_token) };
    }

    it('is told in the ID token and in the access token', async () => {
      const claims = await signedIn({ acr_values: ACR_TWO_FACTORS });
      expect(claims.acr).to.equal(ACR_TWO_FACTORS);
      expect(claims.inAccessToken).to.include({ acr: ACR_TWO_FACTORS });
      expect((claims.inAccessToken as Record<string, unknown>).auth_time).to.be.a('number');
      expect((claims.inAccessToken as Record<string, unknown>).amr).to.include.members(['pwd', 'otp', 'mfa']);
    });

    it('is asked for with acr_values: who has only a password must set up a second factor first', async () => {
      const browser = scene.browser();
      await browser.get(shop.begin({ acr_values: ACR_TWO_FACTORS }).path);
      await password(browser, plain);
      expect(browser.landing.departure).to.equal(undefined);
      expect(browser.landing.url).to.include('/enrolment');
      // Half a sign-in is none (requirement 90).
      const silent = await browser.window().get(shop.begin({ prompt: 'none' }).path);
      expect(silent.departure?.parameters.error).to.equal('login_required');
      // One factor is enough for who asks for one.
      const other = scene.browser();
      await other.get(shop.begin({ acr_values: ACR_ONE_FACTOR }).path);
      await password(other, plain);
      expect((await walk(other, plain)).departure?.parameters.code).to.be.a('string');
    });

    it('is raised for who is signed in already, and not asked for again when it is high enough', async () => {
      const single = await scene.relyingParty();
      const browser = scene.browser();
      const first = await single.authorize(browser, plain, { acr_values: ACR_ONE_FACTOR });
      expect(claimsOf((await single.redeem(first)).json.id_token).acr).to.equal(ACR_ONE_FACTOR);
      await browser.get(single.begin({ acr_values: ACR_TWO_FACTORS }).path);
      expect(browser.landing.departure, 'asked').to.equal(undefined);
      const silent = await browser
        .window()
        .get(single.begin({ acr_values: ACR_TWO_FACTORS, prompt: 'none' }).path);
      expect(silent.departure?.parameters.error).to.equal('login_required');

      const strong = scene.browser();
      await signedIn({ acr_values: ACR_TWO_FACTORS }, strong);
      for (const acr_values of [ACR_TWO_FACTORS, ACR_ONE_FACTOR, `${ACR_ONE_FACTOR} ${ACR_TWO_FACTORS}`]) {
        const landing = await strong.get(shop.begin({ acr_values, prompt: 'none' }).path);
        expect(landing.departure?.parameters.code, acr_values).to.be.a('string');
      }
    });

    it('as an essential claim is a condition: unknown classes are refused (OpenID Connect Core §5.5.1.1)', async () => {
      const essential = (acr: object): string =>
        JSON.stringify({ id_token: { acr: { essential: true, ...acr } } });
      const claims = await signedIn({ claims: essential({ value: ACR_TWO_FACTORS }) });
      expect(claims.acr).to.equal(ACR_TWO_FACTORS);
      const browser = scene.browser();
      for (const acr of [{ value: 'urn:unknown' }, { values: ['urn:unknown', 'urn:other'] }]) {
        const landing = await browser.get(shop.begin({ claims: essential(acr) }).path);
        expect(landing.departure?.parameters.error, browser.describe()).to.equal(
          'unmet_authentication_requirements',
        );
      }
      // A wish is none.
      const wished = await scene.relyingParty();
      const landing = scene.browser();
      expect((await wished.authorize(landing, plain, { acr_values: 'urn:unknown' })).code).to.be.a('string');
    });

    it('together with max_age is raised now, and auth_time is of now', async () => {
      const browser = scene.browser();
      const first = await signedIn({ acr_values: ACR_TWO_FACTORS, max_age: '3600' }, browser);
      time.moveBy(600);
      const request = shop.begin({ acr_values: ACR_TWO_FACTORS, max_age: '300' });
      await browser.get(request.path);
      expect(browser.has('input[name="password"]'), browser.describe()).to.equal(true);
      const second = await signedIn({ acr_values: ACR_TWO_FACTORS, max_age: '300' }, browser);
      expect(Number(second.auth_time)).to.be.at.least(Number(first.auth_time) + 600);
      expect(second.acr).to.equal(ACR_TWO_FACTORS);
    });

    it('can be what a client always wants (default_acr_values)', async () => {
      const strict = await scene.relyingParty({ defaultAcrValues: [ACR_TWO_FACTORS] });
      const browser = scene.browser();
      await browser.get(strict.begin().path);
      await password(browser, plain);
      expect(browser.landing.url, browser.describe()).to.include('/enrolment');
    });
  });
});
