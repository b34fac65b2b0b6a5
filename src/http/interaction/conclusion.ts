import type { Context } from 'koa';
import { isAppError } from '../../errors.js';
import type { PendingInteraction, SignInStep } from '../../oidc/interactions.js';
import { ACR_ONE_FACTOR, ACR_TWO_FACTORS } from '../../protocol.js';
import { KnownDevices } from '../../users/known-devices.js';
import { isLongEnough, type PasswordReach } from '../../users/password-policy.js';
import type { Acting } from '../../users/people-context.js';
import type { Accepted, Need } from '../../users/sign-in.js';
import type { UpstreamIdentity } from '../../users/upstream-client.js';
import type { User } from '../../users/user.js';
import { UserStore } from '../../users/user-store.js';
import { expired } from '../page-refusal.js';
import { seeOther } from '../page-route.js';
import { DeviceCookie } from './device-cookie.js';
import type { InteractionParts } from './interaction-parts.js';
import { factsOf, pathOf } from './pending.js';

const users = new UserStore();

/** Milliseconds that what is missing may take: afterwards the first factor is shown again. */
const STEP_FOR = 15 * 60_000;

/** A sign-in under way. It is kept beside the interaction, sealed, and is no session (NIST SP 800-63B-4 §2.2). */
export interface UnderWay extends SignInStep {
  readonly needs: 'first_factor' | Exclude<Need, 'nothing'> | 'recovery_codes' | 'new_password';
  /** TOTP secret that is being set up, sealed. */
  readonly enrolling?: string;
  /** To be shown, until the person goes on. */
  readonly recoveryCodes?: readonly string[];
  /** Of another provider; becomes this account's when its owner has signed in (OWASP ASVS 5 §6.8.1). */
  readonly linking?: Linking | undefined;
  readonly passwordReach?: PasswordReach | undefined;
  readonly trustDevice?: boolean | undefined;
}

export interface Linking {
  readonly identity: UpstreamIdentity;
  /** Whose account it may become: that of the address for which the provider vouches. */
  readonly emailKey: string;
}

/** RFC 8176: `mfa` beside the methods that make it up. A passkey that verified its user is two factors in one. */
function acrOf(amr: readonly string[]): string {
  const isTwo = amr.includes('mfa') || (amr.includes('pop') && amr.includes('user'));
  return isTwo ? ACR_TWO_FACTORS : ACR_ONE_FACTOR;
}

/** Of a first and a second factor. */
export function together(first: readonly string[], second: readonly string[]): string[] {
  return [...new Set([...first, ...second, 'mfa'])];
}

/** Where a sign-in goes on after a factor was shown, up to its end. */
export class Conclusion {
  readonly #parts: InteractionParts;
  readonly #devices: DeviceCookie;
  readonly #known: KnownDevices;

  constructor(parts: InteractionParts) {
    this.#parts = parts;
    this.#devices = new DeviceCookie(parts.config.issuer);
    this.#known = new KnownDevices(parts.context.database, parts.context.hasher);
  }

  get devices(): DeviceCookie {
    return this.#devices;
  }

  /** @param at when the factor was shown, by the database's clock */
  async goOn(
    ctx: Context,
    pending: PendingInteraction,
    accepted: Pick<Accepted, 'user' | 'amr' | 'needs' | 'passwordReach'>,
    at: number,
  ): Promise<void> {
    const { user, amr, needs, passwordReach } = accepted;
    const { linking } = (await this.#step(pending)) ?? {};
    if (needs === 'nothing') {
      await this.end(ctx, pending, { userId: user.id, amr, at, linking, passwordReach });
      return;
    }
    const step: UnderWay = { userId: user.id, amr, at, needs, linking, passwordReach };
    await this.#parts.interactions.saveStep(pending, step);
    this.#to(ctx, pending, needs === 'enrolment' ? 'enrolment' : 'second-factor');
  }

  /**
   * Makes the session. But first, a password that is too short for what is asked for beside it now makes way for
   * another (NIST SP 800-63B-4 §3.1.1.2): when a second factor is taken away, nobody knows how long the password is.
   */
  async end(
    ctx: Context,
    pending: PendingInteraction,
    signedIn: Pick<UnderWay, 'userId' | 'amr' | 'at' | 'linking' | 'passwordReach'>,
    { trustDevice = false } = {},
  ): Promise<void> {
    const { userId, amr, at, linking } = signedIn;
    if (await this.#isPasswordShort(signedIn)) {
      const step: UnderWay = { userId, amr, at, linking, trustDevice, needs: 'new_password' };
      await this.#parts.interactions.saveStep(pending, step);
      this.#to(ctx, pending, 'new-password');
      return;
    }
    const acr = acrOf(amr);
    const completed = await this.#parts.signIn.completed({
      userId,
      amr,
      acr,
      clientId: pending.client.clientId,
      facts: factsOf(ctx),
      deviceToken: await this.#devices.renew(ctx, token => this.#known.isKnown(userId, token)),
      trustDevice,
    });
    // Closed between two clicks: the next try says what every refused sign-in says.
    if (completed === undefined) throw expired();
    if (linking !== undefined && completed.emailKey === linking.emailKey) {
      await this.#link(ctx, completed, linking);
    }
    await this.#parts.interactions.signedIn(ctx, pending, { userId, amr, acr, since: at });
  }

  /** What is kept of a sign-in whose first factor is still to come. */
  async linkingOf(pending: PendingInteraction): Promise<Linking | undefined> {
    return (await this.#step(pending))?.linking;
  }

  /** Undefined: nothing is under way here, or it took too long; the browser has been sent to the start. */
  async underWay(
    ctx: Context,
    pending: PendingInteraction,
    needs: UnderWay['needs'],
  ): Promise<UnderWay | undefined> {
    const step = await this.#step(pending);
    if (step !== undefined && step.needs === needs) {
      if ((await this.#parts.context.database.now()) - step.at <= STEP_FOR) return step;
      await this.#parts.interactions.endStep(pending);
    }
    this.#to(ctx, pending);
    return undefined;
  }

  async #isPasswordShort({ userId, passwordReach }: Pick<UnderWay, 'userId' | 'passwordReach'>) {
    if (passwordReach === undefined || isLongEnough(passwordReach, false)) return false;
    const hasSecondFactor = await this.#parts.context.database.read(on => users.hasSecondFactor(on, userId));
    return !isLongEnough(passwordReach, hasSecondFactor);
  }

  async #step(pending: PendingInteraction): Promise<UnderWay | undefined> {
    return (await this.#parts.interactions.step(pending)) as UnderWay | undefined;
  }

  async #link(ctx: Context, user: User, { identity }: Linking): Promise<void> {
    const acting: Acting = { actor: `user:${user.id}`, facts: factsOf(ctx) };
    await this.#parts.federation.link(user, identity, acting).catch((error: unknown) => {
      // Somebody was faster, or the provider is gone from the configuration: signing in goes on without it.
      if (!isAppError(error, 'already_exists') && !isAppError(error, 'not_found')) throw error;
    });
  }

  #to(ctx: Context, pending: PendingInteraction, step = ''): void {
    seeOther(ctx, `${this.#parts.config.issuer}${pathOf(pending, step)}`);
  }
}
