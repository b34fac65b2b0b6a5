import type { Context } from 'koa';
import { DEVELOPMENT } from '../../config/config.js';
import type { PendingInteraction } from '../../oidc/interactions.js';
import { PageRefusal } from '../page-refusal.js';
import { type Answer, type PageRouteParts, pageRoute, seeOther } from '../page-route.js';
import type { Route } from '../router.js';
import { Conclusion } from './conclusion.js';
import { ConsentPages } from './consent.js';
import { EmailLinkPages } from './email-link-pages.js';
import { EnrolmentPages } from './enrolment.js';
import { ForgotPasswordPages } from './forgot-password.js';
import type { InteractionParts } from './interaction-parts.js';
import { chooseLocale } from './locale-choice.js';
import { NewPasswordPages } from './new-password.js';
import { PasskeyQuestions } from './passkey-questions.js';
import { inInteraction, pathOf } from './pending.js';
import { SecondFactorPages } from './second-factor.js';
import { SENT_PATH, Sent } from './sent.js';
import { SignInPages } from './sign-in.js';
import { SignUpPages } from './sign-up.js';
import { UpstreamPages } from './upstream.js';

type PendingAnswer = (ctx: Context, pending: PendingInteraction) => Promise<void> | void;

/** Every page of signing in, and those that mails lead to. `*` is an interaction's uid, or a provider's id. */
export function interactionRoutes(parts: InteractionParts, pages: PageRouteParts): Map<string, Route> {
  const { issuer } = parts.config;
  const sent = new Sent(parts);
  const conclusion = new Conclusion(parts);
  const passkeys = new PasskeyQuestions(parts.context);
  const signIn = new SignInPages(parts, conclusion, passkeys);
  const second = new SecondFactorPages(parts, conclusion, passkeys);
  const enrolment = new EnrolmentPages(parts, conclusion);
  const newPassword = new NewPasswordPages(parts, conclusion);
  const consent = new ConsentPages(parts);
  const signUp = new SignUpPages(parts, sent);
  const upstream = new UpstreamPages(parts, conclusion, signIn);
  const forgot = new ForgotPasswordPages(parts, sent);
  const links = new EmailLinkPages(parts, sent);

  const on = (answer: PendingAnswer): Answer =>
    inInteraction(parts, async (ctx, pending) => answer(ctx, pending));
  /** Signing in is for a login prompt; of a consent, whoever is somebody else comes here, too. */
  const begin: PendingAnswer = (ctx, pending) => {
    if (pending.prompt === 'consent') return consent.show(ctx, pending);
    return pending.isSignUp && parts.config.users.signUp
      ? signUp.show(ctx, pending)
      : signIn.begin(ctx, pending);
  };
  /** A form's own address, when it is asked for: the page it was on. */
  const startOver: Answer = ctx => {
    seeOther(ctx, `${issuer}${pathOf({ uid: String(ctx.state.segment) })}`);
  };
  const answers: Readonly<Record<string, { readonly get?: Answer; readonly post?: Answer }>> = {
    '/interaction/*': { get: on(begin), post: on((ctx, pending) => signIn.password(ctx, pending)) },
    '/interaction/*/sign-in': {
      get: on((ctx, pending) => signIn.show(ctx, pending, { isSwitching: true })),
    },
    '/interaction/*/passkey': { get: startOver, post: on((ctx, pending) => signIn.passkey(ctx, pending)) },
    '/interaction/*/switch': { get: startOver, post: on((ctx, pending) => signIn.switch(ctx, pending)) },
    '/interaction/*/cancel': { get: startOver, post: on((ctx, pending) => signIn.cancel(ctx, pending)) },
    '/interaction/*/upstream': {
      get: on((ctx, pending) => upstream.finish(ctx, pending)),
      post: on((ctx, pending) => upstream.begin(ctx, pending)),
    },
    '/interaction/*/second-factor': {
      get: on((ctx, pending) => second.show(ctx, pending)),
      post: on((ctx, pending) => second.code(ctx, pending)),
    },
    '/interaction/*/second-factor/passkey': {
      get: startOver,
      post: on((ctx, pending) => second.passkey(ctx, pending)),
    },
    '/interaction/*/enrolment': {
      get: on((ctx, pending) => enrolment.show(ctx, pending)),
      post: on((ctx, pending) => enrolment.confirm(ctx, pending)),
    },
    '/interaction/*/new-password': {
      get: on((ctx, pending) => newPassword.show(ctx, pending)),
      post: on((ctx, pending) => newPassword.save(ctx, pending)),
    },
    '/interaction/*/recovery-codes': { get: on((ctx, pending) => enrolment.showRecoveryCodes(ctx, pending)) },
    '/interaction/*/continue': { get: on((ctx, pending) => enrolment.goOn(ctx, pending)) },
    '/interaction/*/sign-up': {
      get: on((ctx, pending) => signUp.show(ctx, pending)),
      post: on((ctx, pending) => signUp.create(ctx, pending)),
    },
    '/interaction/*/consent': { get: startOver, post: on((ctx, pending) => consent.answer(ctx, pending)) },
    '/federation/callback/*': { get: ctx => upstream.back(ctx) },
    '/sign-up': { get: ctx => signUp.show(ctx), post: ctx => signUp.create(ctx) },
    '/forgot': { get: ctx => forgot.show(ctx), post: ctx => forgot.send(ctx) },
    '/link': { get: ctx => links.show(ctx), post: ctx => links.act(ctx) },
    [SENT_PATH]: { get: ctx => sent.show(ctx) },
    '/locale': { get: ctx => seeOther(ctx, `${issuer}/account`), post: chooseLocale(issuer) },
    '/development/mail': { get: showMailbox(parts) },
  };
  return new Map(Object.entries(answers).map(([path, answer]) => [path, pageRoute(pages, answer)]));
}

function showMailbox({ config, mailbox, renderer }: InteractionParts): Answer {
  return ctx => {
    // Everybody's links are there: never where people are real.
    if (mailbox === undefined || config.environment !== DEVELOPMENT) {
      throw new PageRefusal({ reason: 'not_found', status: 404, code: 'not_found' });
    }
    renderer.render(ctx, 'development/mail', { mails: mailbox.mails });
  };
}
