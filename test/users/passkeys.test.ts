import { expect } from 'chai';
import { openChallenge, sealChallenge } from '../../src/users/passkey-challenge.js';
import {
  addPasskey,
  listPasskeys,
  passkeyQuestion,
  passkeyRegistration,
  provePasskey,
  removePasskey,
  renamePasskey,
} from '../../src/users/passkeys.js';
import { makeRecoveryCodes, recoveryCodesLeft } from '../../src/users/recovery-codes.js';
import type { User } from '../../src/users/user.js';
import { refusalOf } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { as, ORIGIN, type SigningPeople, signingPeople } from './signing-people.js';
import { SoftwareAuthenticator } from './software-authenticator.js';

describe('passkeys', () => {
  forEachDatabase((_name, fresh) => {
    let people: SigningPeople;
    let user: User;

    before(async () => {
      people = await signingPeople(fresh);
    });

    beforeEach(async () => {
      user = await people.person(`ada-${Math.random()}@example.com`);
    });

    after(() => people.close());

    async function registered(
      authenticator = new SoftwareAuthenticator(),
      owner = user,
    ): Promise<SoftwareAuthenticator> {
      const options = await passkeyRegistration(people.context, owner);
      const response = authenticator.register(options, { origin: ORIGIN });
      const { challenge } = options;
      const input = { userId: owner.id, response, challenge, name: ' Laptop ' };
      const passkey = await addPasskey(people.context, input, as(owner));
      if (passkey === undefined) throw new Error('not registered');
      return authenticator;
    }

    it('are registered and prove who it is, without a typed address', async () => {
      const authenticator = await registered();
      const [passkey] = await listPasskeys(people.context, user.id);
      expect(passkey).to.include({
        credentialId: authenticator.credentialId,
        name: 'Laptop',
        isBackedUp: true,
        lastUsedAt: undefined,
      });
      expect(passkey?.transports).to.deep.equal(['internal', 'hybrid']);
      const options = await passkeyQuestion(people.context);
      expect(options).to.include({ rpId: 'id.example.com', userVerification: 'preferred' });
      expect(options.allowCredentials).to.equal(undefined);
      const { challenge } = options;
      const response = authenticator.answer(options, { origin: ORIGIN });
      const proof = await provePasskey(people.context, { response, challenge });
      expect(proof).to.deep.equal({
        userId: user.id,
        credentialId: authenticator.credentialId,
        isUserVerified: true,
      });
      const [used] = await listPasskeys(people.context, user.id);
      expect(used?.lastUsedAt).to.be.a('number');
      expect(used?.counter).to.equal(1);
    });

    it('are offered by name of their credentials only as a second factor of a known person', async () => {
      const authenticator = await registered();
      const options = await passkeyQuestion(people.context, { userId: user.id, mustVerifyUser: true });
      expect(options.allowCredentials?.map(({ id }) => id)).to.deep.equal([authenticator.credentialId]);
      expect(options.userVerification).to.equal('required');
      const { challenge } = options;
      // An authenticator that is not discoverable tells no user handle.
      const response = authenticator.answer(options, {
        origin: ORIGIN,
        userHandle: undefined,
        verifiesUser: false,
      });
      const proof = await provePasskey(people.context, { response, challenge, userId: user.id });
      expect(proof).to.include({ userId: user.id, isUserVerified: false });
    });

    it('answer a challenge once, on whichever node', async () => {
      const authenticator = await registered(new SoftwareAuthenticator({ countsUses: false }));
      const options = await passkeyQuestion(people.context);
      const proof = {
        response: authenticator.answer(options, { origin: ORIGIN }),
        challenge: options.challenge,
      };
      const other = people.another();
      const answers = await Promise.all(
        Array.from({ length: 16 }, (_, index) =>
          provePasskey(index % 2 === 0 ? people.context : other.context, proof),
        ),
      );
      expect(answers.filter(answer => !('refused' in answer))).to.have.length(1);
    });

    it('are refused for another origin, challenge, account, signature or form', async () => {
      const authenticator = await registered();
      const stranger = await people.person(`eve-${Math.random()}@example.com`);
      const theirs = await registered(new SoftwareAuthenticator(), stranger);
      const refused = async (
        answer: (options: Awaited<ReturnType<typeof passkeyQuestion>>) => string,
        userId?: string,
      ): Promise<string> => {
        const options = await passkeyQuestion(people.context);
        const proof = { response: answer(options), challenge: options.challenge, userId };
        const result = await provePasskey(people.context, proof);
        return 'refused' in result ? result.refused : 'accepted';
      };
      const ok = { origin: ORIGIN };
      const handle = (id: string): string => Buffer.from(id).toString('base64url');
      expect(
        await refused(o => authenticator.answer(o, { origin: 'https://id.example.com.evil.org' })),
      ).to.equal('wrong_signature');
      expect(await refused(o => authenticator.answer({ ...o, challenge: 'AAAA' }, ok))).to.equal(
        'wrong_signature',
      );
      expect(await refused(o => authenticator.answer({ ...o, rpId: 'example.com' }, ok))).to.equal(
        'wrong_signature',
      );
      expect(await refused(o => new SoftwareAuthenticator().answer(o, ok))).to.equal('unknown_passkey');
      expect(
        await refused(o => authenticator.answer(o, { ...ok, userHandle: handle(stranger.id) })),
      ).to.equal('foreign_passkey');
      expect(await refused(o => authenticator.answer(o, { ...ok, userHandle: undefined }))).to.equal(
        'foreign_passkey',
      );
      expect(await refused(o => theirs.answer(o, ok), user.id)).to.equal('foreign_passkey');
      for (const text of [
        '',
        'null',
        '{}',
        '{"id":7,"response":{}}',
        '{"id":"a","response":null}',
        '['.repeat(9),
      ]) {
        expect(await refused(() => text)).to.equal('malformed');
      }
      const bent = JSON.parse(authenticator.answer(await passkeyQuestion(people.context), ok));
      for (const response of [{}, { clientDataJSON: 7 }, { ...bent.response, authenticatorData: 'AA' }]) {
        const text = JSON.stringify({ ...bent, response });
        expect(await refused(() => text, user.id)).to.equal('wrong_signature');
      }
      expect(await refused(o => authenticator.answer(o, ok))).to.equal('accepted');
    });

    it('are refused when their counter goes back: the key was copied (WebAuthn §7.2)', async () => {
      const authenticator = await registered();
      const prove = async () => {
        const options = await passkeyQuestion(people.context);
        const response = authenticator.answer(options, { origin: ORIGIN });
        return provePasskey(people.context, { response, challenge: options.challenge });
      };
      authenticator.counter = 10;
      expect(await prove()).to.include({ userId: user.id });
      authenticator.counter = 5;
      expect(await prove()).to.deep.equal({ refused: 'passkey_counter_regressed', userId: user.id });
      authenticator.counter = 11;
      expect(await prove()).to.include({ userId: user.id });
    });

    it('are registered by an answer to a challenge that was not used, once, for one account', async () => {
      const options = await passkeyRegistration(people.context, user);
      const { challenge } = options;
      const authenticator = new SoftwareAuthenticator();
      const response = authenticator.register(options, { origin: ORIGIN });
      const input = { userId: user.id, response, challenge, name: 'Key' };
      expect(await addPasskey(people.context, input, as(user))).to.include({ userId: user.id });
      expect(await addPasskey(people.context, input, as(user))).to.equal(undefined);
      const stranger = await people.person(`eve-${Math.random()}@example.com`);
      const again = await refusalOf(registered(authenticator, stranger));
      expect(again.code).to.equal('conflict');
      const excluded = (await passkeyRegistration(people.context, user)).excludeCredentials;
      expect(excluded?.map(({ id }) => id)).to.deep.equal([authenticator.credentialId]);
    });

    it('are told to the owner, and audited, when they come and go', async () => {
      const authenticator = await registered();
      const { credentialId } = authenticator;
      const acting = as(user);
      await renamePasskey(people.context, { userId: user.id, credentialId, name: 'Phone' }, acting);
      expect((await listPasskeys(people.context, user.id))[0]?.name).to.equal('Phone');
      for (const name of ['', ' ', 'a\u0000b', 'x'.repeat(61)]) {
        const refused = await refusalOf(
          renamePasskey(people.context, { userId: user.id, credentialId, name }, acting),
        );
        expect(refused.code).to.equal('invalid_request');
      }
      await makeRecoveryCodes(people.context, user.id, acting);
      await removePasskey(people.context, { userId: user.id, credentialId }, acting);
      expect(await recoveryCodesLeft(people.context, user.id)).to.equal(0);
      const gone = await refusalOf(removePasskey(people.context, { userId: user.id, credentialId }, acting));
      expect(gone.code).to.equal('not_found');
      const mails = (await people.mails()).filter(({ to }) => to === user.email);
      expect(mails.map(({ mail, values }) => `${mail} ${values.factor}`)).to.include.members([
        'factor-added passkey',
        'factor-removed passkey',
      ]);
      const events = await people.context.database.reader('audit_events').where({ user_id: user.id });
      expect(events.map(({ event }) => event)).to.include.members([
        'user.factor_added',
        'user.factor_removed',
      ]);
    });

    it('of another account are neither renamed nor removed', async () => {
      const { credentialId } = await registered();
      const stranger = await people.person(`eve-${Math.random()}@example.com`);
      const reference = { userId: stranger.id, credentialId };
      const acting = as(stranger);
      expect((await refusalOf(removePasskey(people.context, reference, acting))).code).to.equal('not_found');
      const renamed = refusalOf(renamePasskey(people.context, { ...reference, name: 'Mine' }, acting));
      expect((await renamed).code).to.equal('not_found');
      expect(await listPasskeys(people.context, user.id)).to.have.length(1);
    });

    it('stay when they are the last way into an account, even when two are removed at once', async () => {
      const first = await registered();
      const second = await registered();
      await people.context.database.transaction(async trx => {
        await trx('users').where({ id: user.id }).update({ password_hash: null });
      });
      const other = people.another();
      const removals = await Promise.allSettled([
        removePasskey(people.context, { userId: user.id, credentialId: first.credentialId }, as(user)),
        removePasskey(other.context, { userId: user.id, credentialId: second.credentialId }, as(user)),
      ]);
      expect(removals.map(({ status }) => status).sort()).to.deep.equal(['fulfilled', 'rejected']);
      expect(await listPasskeys(people.context, user.id)).to.have.length(1);
    });

    it('of a page without a step are asked for by a challenge that is sealed to its interaction', async () => {
      const { envelope, database } = people.context;
      const now = await database.now();
      const sealed = sealChallenge(envelope, 'Y2hhbGxlbmdl', 'uid-1', now);
      expect(sealed).to.not.include('Y2hhbGxlbmdl');
      expect(openChallenge(envelope, sealed, 'uid-1', now)).to.equal('Y2hhbGxlbmdl');
      expect(openChallenge(envelope, sealed, 'uid-2', now)).to.equal(undefined);
      expect(openChallenge(envelope, `${sealed}A`, 'uid-1', now)).to.equal(undefined);
      expect(openChallenge(envelope, sealed, 'uid-1', now + 31 * 60_000)).to.equal(undefined);
    });
  });
});
