import type { Context } from 'koa';
import type { RequestFacts } from '../../audit/events.js';
import type { PendingInteraction } from '../../oidc/interactions.js';
import type { Acting } from '../../users/people-context.js';
import type { RefusedField } from '../../users/refused-fields.js';
import type { User } from '../../users/user.js';
import { UserStore } from '../../users/user-store.js';
import { expired } from '../page-refusal.js';
import type { Answer } from '../page-route.js';
import type { FieldFault } from '../view-models.js';
import type { InteractionParts } from './interaction-parts.js';

const users = new UserStore();

type PendingAnswer = (ctx: Context, pending: PendingInteraction) => Promise<void>;

/**
 * Of whoever began it, in the browser where they did. Otherwise the page that says so: the link of an attacker to his
 * own sign-in would else end with the victim signed in (session fixation), or signed in as him (login CSRF).
 */
export function inInteraction(parts: InteractionParts, answer: PendingAnswer): Answer {
  return async ctx => {
    const pending = await parts.interactions.find(ctx, String(ctx.state.segment));
    if (pending === undefined) throw expired();
    ctx.state.uiLocales = pending.params.ui_locales;
    ctx.state.formActions = pending.formActions;
    ctx.state.clientName = pending.client.name;
    await answer(ctx, pending);
  };
}

/** As the database knows them now: on another node a factor may have been added a moment ago. */
export function currentUser({ context }: InteractionParts, userId: string): Promise<User | undefined> {
  return context.database.read(on => users.find(on, userId));
}

/** Below the issuer. */
export function pathOf({ uid }: Pick<PendingInteraction, 'uid'>, step = ''): string {
  return `/interaction/${uid}${step === '' ? '' : `/${step}`}`;
}

export function factsOf(ctx: Context): RequestFacts {
  return ctx.state.facts as RequestFacts;
}

/** Nobody has proved yet who they are. */
export function anonymously(ctx: Context): Acting {
  return { actor: 'anonymous', facts: factsOf(ctx) };
}

export function faultsOf(fields: readonly RefusedField[]): FieldFault[] {
  return fields.map(({ field, message, values }) => ({ field, message, values }));
}

/** Seconds as people read them. */
export function minutesOf(seconds: number): number {
  return Math.max(1, Math.ceil(seconds / 60));
}
