import { TOTP } from 'otpauth';
import type { UpstreamProvider } from '../../../src/config/federation-file.js';
import type { MailDelivery } from '../../../src/delivery/outbox.js';
import { openAccess } from '../../../src/oidc/people.js';
import type { Acting } from '../../../src/users/people-context.js';
import { makeRecoveryCodes } from '../../../src/users/recovery-codes.js';
import { confirmTotp, enrolTotp } from '../../../src/users/totp.js';
import type { FormBrowser, Landing } from '../../support/form-browser.js';
import { installMovedTime, type MovedTime } from '../../support/moved-time.js';
import type { ClusterOptions } from '../../support/nodes.js';
import {
  claimsOf,
  type Parameters,
  type Person,
  type RelyingParty,
  Scene,
} from '../authorization/relying-party.js';

export const WRONG = 'another lamp under bridge';
export const NEXT_PASSWORD = 'eleven quiet radishes sang';

export interface PeopleSceneOptions extends Omit<ClusterOptions, 'clock' | 'databaseClockOffset'> {
  readonly nodes?: number;
  readonly upstreamProviders?: readonly UpstreamProvider[];
}

/** An authenticator app. */
export interface Authenticator {
  /** The code that is shown now. */
  code(): Promise<string>;
  readonly recoveryCodes: readonly string[];
}

/** A scene whose time a test moves. */
export class PeopleScene {
  readonly scene: Scene;
  readonly #time: MovedTime;

  private constructor(scene: Scene, time: MovedTime) {
    this.scene = scene;
    this.#time = time;
  }

  static async open({
    nodes = 1,
    upstreamProviders = [],
    ...options
  }: PeopleSceneOptions): Promise<PeopleScene> {
    const time = installMovedTime();
    const { clock, databaseClockOffset } = time;
    const scene = await Scene.open({ ...options, clock, databaseClockOffset }, { nodes: 0 });
    for (let count = 0; count < nodes; count += 1) {
      await scene.cluster.start({ hasTimers: false, upstreamProviders });
    }
    return new PeopleScene(scene, time);
  }

  async moveBy(seconds: number): Promise<void> {
    this.#time.moveBy(seconds);
    await this.tick();
  }

  /** Tells every node what changed. */
  async tick(): Promise<void> {
    for (const node of this.scene.cluster.nodes) await node.tick();
  }

  /** An authenticator app and recovery codes for this person. */
  async authenticator({ userId, email }: Person): Promise<Authenticator> {
    const context = await this.scene.context();
    const acting: Acting = { actor: `user:${userId}` };
    const { enrolling, secret } = await enrolTotp(context, { id: userId, email });
    const totp = new TOTP({ secret: secret.replaceAll(' ', '') });
    const code = async (): Promise<string> => totp.generate({ timestamp: await context.database.now() });
    if (!(await confirmTotp(context, { userId, enrolling, code: await code() }, acting))) {
      throw new Error('the code that confirms the authenticator was refused');
    }
    // A code is good once: the next is of a later step, whenever in its step this one was.
    this.#time.moveBy(30);
    const recoveryCodes = await makeRecoveryCodes(context, userId, acting);
    await this.tick();
    return { code, recoveryCodes };
  }

  /** Who is signed in, as a client sees it. */
  async subjectOf(shop: RelyingParty, browser: FormBrowser): Promise<unknown> {
    const answer = await shop.redeem(await shop.authorize(browser, undefined));
    return claimsOf(answer.json.id_token).sub;
  }

  /** What was mailed since the last call, oldest first. */
  async mails(): Promise<MailDelivery[]> {
    const { database, keys, nodeId } = await this.scene.cluster.operator();
    const { outbox } = openAccess({ database, keys, nodeId });
    const mails: MailDelivery[] = [];
    for (const claimed of await outbox.take(database, 'mail', 100)) {
      const delivery = outbox.open(claimed);
      if (delivery.kind === 'mail') mails.push(delivery);
      await database.transaction(trx => outbox.done(trx, claimed));
    }
    return mails;
  }

  /** The link in the newest mail of this name to that address. */
  async link(mail: MailDelivery['mail'], to: string): Promise<string> {
    const found = (await this.mails()).filter(each => each.mail === mail && each.to === to).at(-1);
    const url = (found?.values as { readonly url?: string } | undefined)?.url;
    if (url === undefined) throw new Error(`no link by ${mail} to ${to}`);
    return url;
  }

  /** The reasons of refused sign-ins, which only the audit log knows. */
  async refusals(): Promise<string[]> {
    const { database } = await this.scene.cluster.operator();
    const rows = await database.reader('audit_events').where({ event: 'sign_in.refused' }).orderBy('id');
    return rows.map(row => String((JSON.parse(String(row.detail)) as { reason?: unknown }).reason));
  }

  /** A browser in front of the page that asks it to sign in. */
  async atSignIn(shop: RelyingParty, parameters: Parameters = {}): Promise<FormBrowser> {
    const browser = this.scene.browser();
    await browser.get(shop.begin(parameters).path, { from: 'https://rp.example.test' });
    return browser;
  }

  async close(): Promise<void> {
    await this.scene.close();
    this.#time.restore();
  }
}

export function signIn(browser: FormBrowser, email: string, password: string): Promise<Landing> {
  return browser.submit('form:has(input[name="password"])', { email, password });
}

export function allow(browser: FormBrowser): Promise<Landing> {
  return browser.submit('form:has(button[value="allow"])', {}, { button: 'button[value="allow"]' });
}

/** Of the page, without its step: `/interaction/<uid>`. */
export function interactionOf({ landing }: FormBrowser): string {
  return new URL(landing.url).pathname.split('/').slice(0, 3).join('/');
}

/** Behind the interaction. */
export function stepOf({ landing }: FormBrowser): string {
  return new URL(landing.url).pathname.split('/').slice(3).join('/');
}

export function heading({ landing }: FormBrowser): string {
  return landing.root.querySelector('h1')?.textContent.replace(/\s+/g, ' ').trim() ?? '';
}

/** What the page says went wrong. */
export function faults({ landing }: FormBrowser): string {
  return (landing.root.querySelector('#summary')?.textContent ?? '').replace(/\s+/g, ' ').trim();
}

/** The page but for what differs in every answer: tokens, challenges, and what was typed. */
export function sameness({ text }: Landing, typed: string): string {
  return text
    .replaceAll(typed, '…')
    .replace(/name="csrf" value="[^"]*"/g, '')
    .replace(/data-options="[^"]*"/g, '')
    .replace(/\/interaction\/[A-Za-z0-9_-]+/g, '/interaction/…')
    .replace(/interaction=[A-Za-z0-9_-]+/g, '');
}
