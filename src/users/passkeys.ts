import type {
  AuthenticationResponseJSON,
  AuthenticatorTransportFuture,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server';
import { AppError } from '../errors.js';
import type { Limiter } from '../rate-limits/limiter.js';
import { composed } from './composed-text.js';
import { inFactorChange, tellFactorChange } from './factor-change.js';
import { FactorStore } from './factor-store.js';
import { KnownDeviceStore } from './known-device-store.js';
import { newChallenge } from './passkey-challenge.js';
import { type Passkey, PasskeyStore } from './passkey-store.js';
import type { Acting, PeopleContext } from './people-context.js';
import { refuseFields } from './refused-fields.js';
import type { User } from './user.js';
import { tellOfUser, userEvent } from './user-events.js';

export interface PasskeyContext extends PeopleContext {
  readonly limiter: Limiter;
}

const MOST_PASSKEYS = 20;
/** ES256, EdDSA, RS256 (COSE): what authenticators have, and nothing with a weak hash. */
const ALGORITHMS = [-7, -8, -257];
const LONGEST_RESPONSE = 16_384;
const LONGEST_NAME = 60;

const store = new PasskeyStore();
const factors = new FactorStore();
const devices = new KnownDeviceStore();

/** It reads certificates and ASN.1, which takes a third of a server's start: loaded when somebody has a passkey in hand. */
function webAuthn() {
  return import('@simplewebauthn/server');
}

/** WebAuthn §4, RP ID: the host of the issuer, from configuration; a Host header must not choose it. */
function relyingParty({ config }: PeopleContext): { readonly rpID: string; readonly origin: string } {
  const { hostname, origin } = new URL(config.issuer);
  return { rpID: hostname, origin };
}

/** For an account's page. The caller keeps `options.challenge`, out of the browser's reach. */
export async function passkeyRegistration(
  context: PeopleContext,
  user: Pick<User, 'id' | 'email' | 'profile'>,
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const present = await context.database.read(on => store.list(on, user.id));
  const { generateRegistrationOptions } = await webAuthn();
  return generateRegistrationOptions({
    rpName: context.config.branding.name,
    rpID: relyingParty(context).rpID,
    userName: user.email,
    userDisplayName: user.profile.name ?? user.email,
    // WebAuthn §14.6.1: the handle names nobody; ours is random. It comes back at a sign-in without a typed address.
    userID: Uint8Array.from(Buffer.from(user.id, 'utf8')),
    challenge: bytesOf(newChallenge()),
    attestationType: 'none',
    excludeCredentials: present.map(descriptorOf),
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
    supportedAlgorithmIDs: ALGORITHMS,
  });
}

/**
 * @param input.response JSON as the browser's script posted it
 * @returns undefined when it is no answer to this challenge, or the challenge was used before
 * @throws AppError `conflict` (registered already, too many), `invalid_request` (name), `not_found`
 */
export async function addPasskey(
  context: PasskeyContext,
  input: {
    readonly userId: string;
    readonly response: string;
    readonly challenge: string;
    readonly name: string;
  },
  acting: Acting,
): Promise<Passkey | undefined> {
  const name = checkedName(input.name);
  if (!(await spendChallenge(context, input.challenge))) return undefined;
  const registered = await readRegistration(context, input.response, input.challenge);
  if (registered === undefined) return undefined;
  return inFactorChange(context, input.userId, acting, async (trx, user, now) => {
    if ((await store.count(trx, user.id)) >= MOST_PASSKEYS) {
      throw new AppError('conflict', `An account has at most ${MOST_PASSKEYS} passkeys. Remove one first.`);
    }
    const passkey: Passkey = { ...registered, userId: user.id, name, createdAt: now };
    if (!(await store.insert(trx, passkey))) {
      throw new AppError('conflict', 'This passkey is registered already. Choose another.');
    }
    await tellFactorChange(context, trx, {
      user,
      event: 'user.factor_added',
      detail: { factor: 'passkey', name, is_backed_up: passkey.isBackedUp },
      mail: ['factor-added', 'passkey'],
      acting,
      now,
    });
    return passkey;
  });
}

/**
 * To sign in without a typed address: the authenticator offers what it has (conditional UI), and the page tells
 * nobody which credentials an account has. With `userId`, as a second factor of one who is known.
 */
export async function passkeyQuestion(
  context: PeopleContext,
  question: { readonly userId?: string | undefined; readonly mustVerifyUser?: boolean } = {},
): Promise<PublicKeyCredentialRequestOptionsJSON> {
  const { userId, mustVerifyUser = false } = question;
  const present = userId === undefined ? [] : await context.database.read(on => store.list(on, userId));
  const { generateAuthenticationOptions } = await webAuthn();
  return generateAuthenticationOptions({
    rpID: relyingParty(context).rpID,
    challenge: bytesOf(newChallenge()),
    userVerification: mustVerifyUser ? 'required' : 'preferred',
    timeout: 5 * 60_000,
    ...(userId !== undefined && { allowCredentials: present.map(descriptorOf) }),
  });
}

export type PasskeyProof =
  | { readonly userId: string; readonly credentialId: string; readonly isUserVerified: boolean }
  | { readonly refused: string; readonly userId?: string | undefined };

/** `refused` is for the audit log; whoever asks is told the same whatever it is. */
export async function provePasskey(
  context: PasskeyContext,
  proof: { readonly response: string; readonly challenge: string; readonly userId?: string | undefined },
): Promise<PasskeyProof> {
  if (!(await spendChallenge(context, proof.challenge))) return { refused: 'challenge_used' };
  const response = readJson(proof.response) as AuthenticationResponseJSON | undefined;
  if (response === undefined) return { refused: 'malformed' };
  const passkey = await context.database.read(on => store.find(on, response.id));
  if (passkey === undefined) return { refused: 'unknown_passkey' };
  const { userId, credentialId } = passkey;
  // WebAuthn §7.2: the passkey is of the account that is to be opened.
  if (proof.userId !== undefined && proof.userId !== userId) return { refused: 'foreign_passkey', userId };
  const handle: unknown = response.response.userHandle;
  const isNamed = handle === undefined || handle === null || handle === '';
  if (isNamed ? proof.userId === undefined : handle !== Buffer.from(userId).toString('base64url')) {
    return { refused: 'foreign_passkey', userId };
  }
  const verified = await verifiedAnswer(context, response, proof.challenge, passkey);
  if (verified === undefined) return { refused: 'wrong_signature', userId };
  const recorded = await context.database.transaction(async trx =>
    store.recordUse(
      trx,
      { credentialId, userId, counter: verified.newCounter, isBackedUp: verified.credentialBackedUp },
      await context.database.now(trx),
    ),
  );
  if (!recorded) return { refused: 'passkey_counter_regressed', userId };
  return { userId, credentialId, isUserVerified: verified.userVerified };
}

export async function listPasskeys(context: PeopleContext, userId: string): Promise<Passkey[]> {
  return context.database.read(on => store.list(on, userId));
}

/** @throws AppError `invalid_request`, `not_found` */
export async function renamePasskey(
  context: PeopleContext,
  input: { readonly userId: string; readonly credentialId: string; readonly name: string },
  acting: Acting,
): Promise<void> {
  const name = checkedName(input.name);
  await inFactorChange(context, input.userId, acting, async (trx, user, now) => {
    if (!(await store.rename(trx, user.id, input.credentialId, name))) throw noSuchPasskey();
    const event = userEvent('user.updated', user.id, acting, { fields: ['passkey_name'] });
    await tellOfUser(context, trx, now, user.id, [event]);
  });
}

/** @throws AppError `not_found`; `conflict` for the last way in */
export async function removePasskey(
  context: PeopleContext,
  input: { readonly userId: string; readonly credentialId: string },
  acting: Acting,
): Promise<void> {
  await inFactorChange(context, input.userId, acting, async (trx, user, now) => {
    if (!(await store.delete(trx, user.id, input.credentialId))) throw noSuchPasskey();
    const left = await store.count(trx, user.id);
    if (left === 0 && !(await factors.opensWithoutPasskey(trx, user.id))) {
      throw new AppError(
        'conflict',
        'This passkey is the only way into the account. Set a password or add another passkey first.',
      );
    }
    if (left === 0 && !user.hasTotp) await factors.removeRecoveryCodes(trx, user.id);
    await devices.distrustAll(trx, user.id);
    await tellFactorChange(context, trx, {
      user,
      event: 'user.factor_removed',
      detail: { factor: 'passkey' },
      mail: ['factor-removed', 'passkey'],
      acting,
      now,
    });
  });
}

/** @returns false for one that was answered before, on whichever node. */
async function spendChallenge({ limiter }: PasskeyContext, challenge: string): Promise<boolean> {
  return (await limiter.reserve('passkey_challenge', challenge)).allowed;
}

async function readRegistration(
  context: PeopleContext,
  text: string,
  challenge: string,
): Promise<Omit<Passkey, 'userId' | 'name' | 'createdAt'> | undefined> {
  const response = readJson(text) as RegistrationResponseJSON | undefined;
  if (response === undefined) return undefined;
  const { rpID, origin } = relyingParty(context);
  const { verifyRegistrationResponse } = await webAuthn();
  const { registrationInfo } = await orUnverified(() =>
    verifyRegistrationResponse({
      response,
      expectedChallenge: challenge,
      expectedOrigin: origin,
      expectedRPID: rpID,
      requireUserVerification: false,
      supportedAlgorithmIDs: ALGORITHMS,
    }),
  );
  if (registrationInfo === undefined) return undefined;
  const { credential, credentialBackedUp } = registrationInfo;
  return {
    credentialId: credential.id,
    publicKey: Buffer.from(credential.publicKey).toString('base64url'),
    counter: credential.counter,
    transports: (credential.transports ?? []).filter(isTransport),
    isBackedUp: credentialBackedUp,
  };
}

async function verifiedAnswer(
  context: PeopleContext,
  response: AuthenticationResponseJSON,
  challenge: string,
  passkey: Passkey,
) {
  const { rpID, origin } = relyingParty(context);
  const { verifyAuthenticationResponse } = await webAuthn();
  const answer = await orUnverified(() =>
    verifyAuthenticationResponse({
      response,
      expectedChallenge: challenge,
      expectedOrigin: origin,
      expectedRPID: rpID,
      // The counter is compared where it is stored, so that two answers at once cannot both pass.
      credential: { id: passkey.credentialId, publicKey: bytesOf(passkey.publicKey), counter: 0 },
      requireUserVerification: false,
    }),
  );
  return answer.verified ? answer.authenticationInfo : undefined;
}

/** The library throws for whatever is wrong with an answer, which is all input here. */
async function orUnverified<T extends { readonly verified: boolean }>(
  verify: () => Promise<T>,
): Promise<T | { readonly verified: false; readonly registrationInfo?: never }> {
  try {
    return await verify();
  } catch {
    return { verified: false };
  }
}

/** An object with an id and a response: the rest is for the library to check. */
function readJson(text: string): { readonly id: string; readonly response: object } | undefined {
  if (text.length > LONGEST_RESPONSE) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('id' in value) || !('response' in value))
    return undefined;
  const { id, response } = value;
  if (typeof id !== 'string' || !/^[\w-]{1,1400}$/.test(id)) return undefined;
  if (typeof response !== 'object' || response === null) return undefined;
  return { ...value, id, response };
}

function checkedName(given: string): string {
  const name = composed(given.trim(), LONGEST_NAME);
  if (!/^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(name) || name.length > LONGEST_NAME) {
    const problem = `Give a name of 1 to ${LONGEST_NAME} characters.`;
    refuseFields('passkey', [
      { field: 'name', message: 'passkey.name_invalid', values: { max: LONGEST_NAME }, problem },
    ]);
  }
  return name;
}

function descriptorOf({ credentialId, transports }: Passkey): {
  id: string;
  transports: AuthenticatorTransportFuture[];
} {
  return { id: credentialId, transports: transports.filter(isTransport) };
}

const TRANSPORTS: ReadonlySet<string> = new Set([
  'ble',
  'cable',
  'hybrid',
  'internal',
  'nfc',
  'smart-card',
  'usb',
]);

function isTransport(value: string): value is AuthenticatorTransportFuture {
  return TRANSPORTS.has(value);
}

function bytesOf(base64url: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(base64url, 'base64url'));
}

function noSuchPasskey(): AppError {
  return new AppError('not_found', 'There is no such passkey. It may have been removed already.');
}
