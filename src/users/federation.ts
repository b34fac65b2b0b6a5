import { type Clock, systemClock } from '../clock.js';
import type { UpstreamProvider } from '../config/federation-file.js';
import { userId as newUserId } from '../crypto/random-id.js';
import { lockChanges } from '../database/changes.js';
import { AppError } from '../errors.js';
import type { GuardedFetch } from '../outbound/guarded-fetch.js';
import { emailFault, emailKey, readAccount, validateAccount } from './account-input.js';
import { insertUser } from './change-user.js';
import { inFactorChange } from './factor-change.js';
import {
  type FederatedIdentity,
  FederatedIdentityStore,
  type IdentityKey,
} from './federated-identity-store.js';
import type { Acting, PeopleContext } from './people-context.js';
import { UpstreamClient, type UpstreamIdentity, type UpstreamState } from './upstream-client.js';
import type { User } from './user.js';
import { mailToUser, tellOfUser, userEvent } from './user-events.js';
import { UserStore } from './user-store.js';

export type FederatedSignIn =
  /** Whether the account may be used at present is for the caller to judge, as with every other way in. */
  | { readonly status: 'known'; readonly user: User }
  /** An account has this address: its owner may link after signing in to it in the way it knows. */
  | { readonly status: 'link_needed'; readonly candidateEmail: string }
  /** Nobody yet; `createFromIdentity` makes the account. */
  | { readonly status: 'new' }
  | { readonly status: 'refused' };

const users = new UserStore();
const identities = new FederatedIdentityStore();

function refusal(): AppError {
  return new AppError('invalid_request', 'There is no account for this sign-in. Sign in another way.');
}

function takenIdentity(): AppError {
  return new AppError('already_exists', 'This sign-in belongs to an account already. Sign in with it.');
}

/** A verified address, usable as one of ours. An unverified one says nothing about who somebody is. */
function vouchedEmail({ email, emailVerified }: UpstreamIdentity): string | undefined {
  return emailVerified && emailFault(email) === undefined ? email : undefined;
}

/** Signing in with another OpenID Connect provider. A person is who (provider, subject) says, never who an address says. */
export class Federation {
  readonly #context: PeopleContext;
  readonly #clients: ReadonlyMap<string, UpstreamClient>;

  constructor(parts: {
    readonly providers: readonly UpstreamProvider[];
    readonly fetch: GuardedFetch;
    readonly context: PeopleContext;
    readonly clock?: Clock;
  }) {
    const { providers, fetch, context, clock = systemClock } = parts;
    this.#context = context;
    this.#clients = new Map(
      providers.map(provider => [provider.id, new UpstreamClient(provider, fetch, clock)]),
    );
  }

  /** For the buttons, in the order of the configuration. */
  get providers(): readonly { readonly id: string; readonly name: string }[] {
    return [...this.#clients.values()].map(({ provider: { id, name } }) => ({ id, name }));
  }

  /** @throws AppError `not_found`, `not_ready` */
  async begin(
    providerId: string,
    options: { readonly redirectUri: string; readonly mustProve?: boolean },
  ): Promise<{ readonly url: string; readonly state: UpstreamState }> {
    return this.#clientOf(providerId).begin(options.redirectUri, options.mustProve);
  }

  /** @throws AppError `not_found`, `not_ready`, `invalid_request` */
  async finish(state: UpstreamState, currentUrl: URL): Promise<UpstreamIdentity> {
    return this.#clientOf(state.providerId).finish(state, currentUrl);
  }

  async signInWith(identity: UpstreamIdentity): Promise<FederatedSignIn> {
    const { database } = this.#context;
    const user = await database.transaction(async trx => {
      const found = await identities.find(trx, identity);
      if (found === undefined) return undefined;
      await identities.noteUse(trx, found, await database.now(trx));
      return users.find(trx, found.userId);
    });
    if (user !== undefined) return { status: 'known', user };
    const email = vouchedEmail(identity);
    if (email === undefined) return { status: 'refused' };
    const holder = await database.read(on => users.findByEmailKey(on, emailKey(email)));
    if (holder !== undefined) return { status: 'link_needed', candidateEmail: holder.email };
    return { status: this.#clientOf(identity.provider).provider.allowsSignUp ? 'new' : 'refused' };
  }

  /**
   * An account without a password, for somebody whose provider vouches for the address.
   *
   * @throws AppError `invalid_request` when the provider does not vouch or may not bring new people;
   *   `already_exists` when an account has got the address or the identity meanwhile.
   */
  async createFromIdentity(identity: UpstreamIdentity, acting: Acting): Promise<User> {
    const { database } = this.#context;
    const { provider } = this.#clientOf(identity.provider);
    const email = vouchedEmail(identity);
    if (email === undefined || !provider.allowsSignUp) throw refusal();
    const named = { email, profile: { name: identity.name } };
    // A name that is none of ours is left out: it is not worth an account.
    const account = validateAccount(readAccount(named).faults.length === 0 ? named : { email });
    const id = newUserId();
    return database.transaction(async trx => {
      await lockChanges(trx);
      const now = await database.now(trx);
      if ((await users.findByEmailKey(trx, emailKey(email))) !== undefined) throw takenIdentity();
      const made = { id, ...account, emailVerifiedAt: now, hash: undefined, now };
      const user = await insertUser(this.#context, trx, made, acting, 'federation');
      if (!(await identities.insert(trx, identity, id, now))) throw takenIdentity();
      const event = userEvent('user.identity_linked', id, acting, { provider: provider.id });
      await tellOfUser(this.#context, trx, now, id, [event]);
      return user;
    });
  }

  /**
   * To the account of a person who has just proved that it is theirs. The provider's word for an address is no such
   * proof: whoever runs the provider, or got an account there with a foreign address, would own ours.
   *
   * @throws TypeError unless the account's owner acts; AppError `not_found`, `already_exists`.
   */
  async link(user: Pick<User, 'id'>, identity: UpstreamIdentity, acting: Acting): Promise<void> {
    if (acting.actor !== `user:${user.id}`) {
      throw new TypeError('only the owner of an account, signed in to it, links an identity');
    }
    const { provider } = this.#clientOf(identity.provider);
    await inFactorChange(this.#context, user.id, acting, async (trx, owner, now) => {
      if (!(await identities.insert(trx, identity, owner.id, now))) {
        const found = await identities.find(trx, identity);
        // The second of two clicks.
        if (found?.userId === owner.id) return;
        throw takenIdentity();
      }
      const event = userEvent('user.identity_linked', owner.id, acting, { provider: provider.id });
      await tellOfUser(this.#context, trx, now, owner.id, [event]);
      await mailToUser(this.#context, trx, owner, 'identity-linked', { provider: provider.name }, now);
    });
  }

  /** @throws AppError `not_found`; `conflict` when nothing else lets the person in. */
  async unlink(user: Pick<User, 'id'>, key: IdentityKey, acting: Acting): Promise<void> {
    await inFactorChange(this.#context, user.id, acting, async (trx, owner, now) => {
      if (!(await identities.delete(trx, key, owner.id))) {
        throw new AppError('not_found', 'This sign-in is not linked to the account any more.');
      }
      const others = await identities.list(trx, owner.id);
      const stays =
        owner.hasPassword ||
        others.some(({ provider }) => this.#clients.has(provider)) ||
        (await identities.hasPasskey(trx, owner.id));
      if (!stays) {
        throw new AppError('conflict', 'It is the only way into this account. Set a password first.');
      }
      const event = userEvent('user.identity_unlinked', owner.id, acting, { provider: key.provider });
      await tellOfUser(this.#context, trx, now, owner.id, [event]);
    });
  }

  async identitiesOf(
    userId: string,
  ): Promise<readonly (FederatedIdentity & { readonly providerName: string })[]> {
    const found = await this.#context.database.read(on => identities.list(on, userId));
    return found.map(identity => ({
      ...identity,
      // A provider that is configured no more keeps its id for a name.
      providerName: this.#clients.get(identity.provider)?.provider.name ?? identity.provider,
    }));
  }

  #clientOf(providerId: string): UpstreamClient {
    const client = this.#clients.get(providerId);
    if (client !== undefined) return client;
    throw new AppError('not_found', 'There is no such provider to sign in with.');
  }
}
