import { expect } from 'chai';
import { listAuditEvents } from '../../src/audit/audit-log.js';
import { Secret } from '../../src/config/config.js';
import type { UpstreamProvider } from '../../src/config/federation-file.js';
import { createGuardedFetch } from '../../src/outbound/guarded-fetch.js';
import { disableUser } from '../../src/users/change-user.js';
import { Federation } from '../../src/users/federation.js';
import type { UpstreamIdentity } from '../../src/users/upstream-client.js';
import type { User } from '../../src/users/user.js';
import { refusalOf } from '../resources/opened-database.js';
import { forEachDatabase } from '../support/databases.js';
import { as, type SigningPeople, signingPeople } from './signing-people.js';
import { startUpstream } from './upstream-provider.js';

const CLIENT = { client_id: 'claviger', client_secret: 'upstream secret: 100% + more' };
const REDIRECT_URI = 'https://id.example.com/interaction/federation/up';
const ANONYMOUS = { actor: 'anonymous' } as const;

function identity(changes: Partial<UpstreamIdentity> = {}): UpstreamIdentity {
  return {
    provider: 'up',
    subject: 'sub-1',
    email: 'ada@example.com',
    emailVerified: true,
    name: 'Ada Lovelace',
    ...changes,
  };
}

const provider = (changes: Partial<UpstreamProvider> = {}): UpstreamProvider => ({
  id: 'up',
  name: 'Upstream',
  issuer: 'https://up.example',
  clientId: CLIENT.client_id,
  clientSecret: new Secret(CLIENT.client_secret),
  scopes: ['openid', 'email', 'profile'],
  allowsSignUp: true,
  ...changes,
});

describe('people who come from another provider', () => {
  forEachDatabase((_name, fresh) => {
    let people: SigningPeople;
    let number = 0;

    before(async () => {
      people = await signingPeople(fresh);
    });

    after(() => people.close());

    const federation = (...providers: UpstreamProvider[]) =>
      new Federation({
        providers: providers.length === 0 ? [provider()] : providers,
        fetch: createGuardedFetch(['127.0.0.0/8']),
        context: people.context,
      });

    /** Subjects and addresses that no other test uses. */
    function unique(): { readonly subject: string; readonly email: string } {
      number += 1;
      return { subject: `subject-${number}`, email: `person-${number}@example.com` };
    }

    const auditOf = async (user: Pick<User, 'id'>) =>
      (await listAuditEvents(people.opened.database.reader, { limit: 50, userId: user.id })).map(
        ({ event }) => event,
      );

    it('are known from the sign-in after the one in which they linked their account', async () => {
      const upstream = await startUpstream(CLIENT);
      try {
        const { subject, email } = unique();
        upstream.people.set(subject, { email, email_verified: true });
        const ada = await people.person(email);
        const own = federation(provider({ issuer: upstream.issuer }));
        const signIn = async () => {
          const { url, state } = await own.begin('up', { redirectUri: REDIRECT_URI });
          return own.finish(state, await upstream.signIn(url, subject));
        };
        const first = await signIn();
        expect(await own.signInWith(first)).to.deep.equal({ status: 'link_needed', candidateEmail: email });
        await own.link(ada, first, as(ada));
        const second = await own.signInWith(await signIn());
        expect(second.status === 'known' && second.user.id).to.equal(ada.id);
        const [linked] = await own.identitiesOf(ada.id);
        expect(linked).to.deep.include({ provider: 'up', providerName: 'Upstream', subject });
      } finally {
        await upstream.close();
      }
    });

    it('come from providers of the configuration only', async () => {
      const error = await refusalOf(federation().begin('other', { redirectUri: REDIRECT_URI }));
      expect(error.code).to.equal('not_found');
      expect(federation().providers).to.deep.equal([{ id: 'up', name: 'Upstream' }]);
    });

    it('are never linked to an account by an address that is not verified (requirement 93)', async () => {
      const { subject, email } = unique();
      const ada = await people.person(email);
      const own = federation();
      for (const unverified of [{ emailVerified: false }, { email: undefined, emailVerified: false }]) {
        const eve = identity({ subject, email, ...unverified });
        expect(await own.signInWith(eve)).to.deep.equal({ status: 'refused' });
        expect((await refusalOf(own.createFromIdentity(eve, ANONYMOUS))).code).to.equal('invalid_request');
      }
      expect(await own.identitiesOf(ada.id)).to.deep.equal([]);
    });

    it('are never linked to an account by a verified address alone: its owner must act (requirement 93)', async () => {
      const { subject, email } = unique();
      const ada = await people.person(email);
      const other = await people.person(unique().email);
      const own = federation();
      const found = identity({ subject, email: email.toUpperCase() });
      expect(await own.signInWith(found)).to.deep.equal({ status: 'link_needed', candidateEmail: email });
      expect((await refusalOf(own.createFromIdentity(found, ANONYMOUS))).code).to.equal('already_exists');
      for (const acting of [ANONYMOUS, as(other), { actor: 'os:root@here' } as const]) {
        const error: unknown = await own.link(ada, found, acting).catch((thrown: unknown) => thrown);
        expect(error).to.be.instanceOf(TypeError);
      }
      expect(await own.identitiesOf(ada.id)).to.deep.equal([]);
      expect(await own.signInWith(found)).to.have.property('status', 'link_needed');
    });

    it('are known by subject, whatever the address says later, and are told of the link', async () => {
      const { subject, email } = unique();
      const ada = await people.person(email);
      const bob = await people.person(unique().email);
      const own = federation();
      await own.link(ada, identity({ subject, email }), as(ada));
      await own.link(ada, identity({ subject, email }), as(ada));
      expect((await auditOf(ada)).filter(event => event === 'user.identity_linked')).to.have.length(1);
      const mails = (await people.mails()).filter(
        ({ mail, to }) => mail === 'identity-linked' && to === email,
      );
      expect(mails.map(({ values }) => values)).to.deep.equal([{ provider: 'Upstream' }]);

      // The address moved to Bob's, unverified even: still Ada.
      const moved = identity({ subject, email: bob.email, emailVerified: false });
      const known = await own.signInWith(moved);
      expect(known.status === 'known' && known.user.id).to.equal(ada.id);
      // The same address with another subject is another person; the same subject elsewhere too.
      const successor = identity({ subject: `${subject}-b`, email });
      expect(await own.signInWith(successor)).to.have.property('status', 'link_needed');
      const two = federation(provider(), provider({ id: 'elsewhere' }));
      const elsewhere = identity({ provider: 'elsewhere', subject, email });
      expect(await two.signInWith(elsewhere)).to.have.property('status', 'link_needed');
      // And what is Ada's does not become Bob's.
      expect((await refusalOf(own.link(bob, identity({ subject }), as(bob)))).code).to.equal(
        'already_exists',
      );
    });

    it('get an account, its address verified, only from a provider that may bring them and that vouches', async () => {
      const { subject, email } = unique();
      const found = identity({ subject, email, name: 'A\u0000' });
      const closed = federation(provider({ allowsSignUp: false }));
      expect(await closed.signInWith(found)).to.deep.equal({ status: 'refused' });
      expect((await refusalOf(closed.createFromIdentity(found, ANONYMOUS))).code).to.equal('invalid_request');

      const own = federation();
      expect(await own.signInWith(found)).to.deep.equal({ status: 'new' });
      const made = await Promise.allSettled([1, 2, 3].map(() => own.createFromIdentity(found, ANONYMOUS)));
      const users = made.flatMap(each => (each.status === 'fulfilled' ? [each.value] : []));
      expect(users).to.have.length(1);
      const [user] = users as [User];
      expect(user).to.include({ email, hasPassword: false });
      expect(user.emailVerifiedAt).to.be.a('number');
      expect(await auditOf(user)).to.deep.equal(['user.identity_linked', 'user.created']);
      expect(await own.signInWith(found)).to.deep.include({ status: 'known' });
    });

    it('may unlink, but never their last way in', async () => {
      const { subject, email } = unique();
      const own = federation(provider(), provider({ id: 'second' }));
      const first = identity({ subject, email });
      const user = await own.createFromIdentity(first, ANONYMOUS);
      expect((await refusalOf(own.unlink(user, first, as(user)))).code).to.equal('conflict');
      await own.link(user, identity({ provider: 'second', subject }), as(user));
      // One whose provider is configured no more lets nobody in.
      expect((await refusalOf(federation().unlink(user, first, as(user)))).code).to.equal('conflict');
      await own.unlink(user, first, as(user));
      expect((await own.identitiesOf(user.id)).map(each => each.provider)).to.deep.equal(['second']);
      expect((await auditOf(user))[0]).to.equal('user.identity_unlinked');
      expect((await refusalOf(own.unlink(user, first, as(user)))).code).to.equal('not_found');
    });

    it('unlink no identity of somebody else, and link none to an account that is out of service', async () => {
      const { subject, email } = unique();
      const own = federation();
      const ada = await people.person(email);
      const eve = await people.person(unique().email);
      await own.link(ada, identity({ subject }), as(ada));
      expect((await refusalOf(own.unlink(eve, identity({ subject }), as(eve)))).code).to.equal('not_found');
      await disableUser(people.context, { userId: eve.id }, { actor: 'os:root@here' });
      const more = identity({ subject: `${subject}-c` });
      expect((await refusalOf(own.link(eve, more, as(eve)))).code).to.equal('not_found');
    });
  });
});
