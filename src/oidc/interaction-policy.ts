import {
  errors,
  type interactionPolicy,
  type KoaContextWithOIDC,
  interactionPolicy as policies,
} from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';
import { ACR_ONE_FACTOR, ACR_TWO_FACTORS } from '../protocol.js';
import type { RecordOf } from './client-adapter.js';

/** Strength of a class; 0: one we know nothing of. */
export function rankOf(acr: unknown): number {
  return acr === ACR_TWO_FACTORS ? 2 : acr === ACR_ONE_FACTOR ? 1 : 0;
}

/**
 * The least strength that satisfies what was asked for (OpenID Connect Core §5.5.1.1, RFC 9470 §4); 0: nothing that
 * we know was asked for. Whoever asks for one factor is content with two.
 */
export function demandedRank(acrs: readonly unknown[]): number {
  const ranks = acrs.map(rankOf).filter(rank => rank > 0);
  return ranks.length === 0 ? 0 : Math.min(...ranks);
}

interface AcrRequest {
  readonly essential?: unknown;
  readonly value?: unknown;
  readonly values?: unknown;
}

function essentialAcrs(ctx: KoaContextWithOIDC): unknown[] | undefined {
  const request = ctx.oidc.claims.id_token?.acr as AcrRequest | null | undefined;
  if (request?.essential !== true) return undefined;
  const asked = Array.isArray(request.values)
    ? request.values
    : request.value === undefined
      ? []
      : [request.value];
  return asked.length === 0 ? undefined : asked;
}

/** Every class that the request names, essential or not. */
export function requestedAcrs(params: Readonly<Record<string, unknown>>): string[] {
  const asked = typeof params.acr_values === 'string' ? params.acr_values.split(' ') : [];
  if (typeof params.claims !== 'string') return asked;
  const claims = JSON.parse(params.claims) as { id_token?: { acr?: AcrRequest | null } };
  const acr = claims.id_token?.acr;
  const values = Array.isArray(acr?.values) ? acr.values : [acr?.value];
  return [...asked, ...values.filter(value => typeof value === 'string')];
}

function isTooWeak(ctx: KoaContextWithOIDC): boolean {
  const { session, params, result } = ctx.oidc;
  const essential = essentialAcrs(ctx);
  const held = rankOf(session?.acr);
  if (essential !== undefined) {
    const rank = demandedRank(essential);
    if (rank === 0) {
      throw new errors.UnmetAuthenticationRequirements(
        'none of the requested authentication classes is offered',
      );
    }
    if (held >= rank) return false;
    if (result?.login !== undefined) {
      throw new errors.UnmetAuthenticationRequirements('the requested authentication class was not reached');
    }
    return true;
  }
  // A voluntary wish that could not be met is no reason to ask for ever.
  if (typeof params?.acr_values !== 'string' || result?.login !== undefined) return false;
  return held < demandedRank(params.acr_values.split(' '));
}

/**
 * A client of the house has what it may ask for without a question, if it is sure to be the one that is answered. Any
 * program on the device can register a scheme or listen on a loopback port: only an https address is claimed by the
 * native client itself (RFC 8252 §7.2, §8.6).
 */
export function isSpared(
  { isFirstParty, applicationType }: Pick<ClientRecord, 'isFirstParty' | 'applicationType'>,
  params: { readonly redirect_uri?: unknown } | undefined,
): boolean {
  const isClaimed = String(params?.redirect_uri ?? '').startsWith('https://');
  return isFirstParty && (applicationType !== 'native' || isClaimed);
}

/** When people are asked to sign in or to consent: the core's policy, with our classes of authentication. */
export function buildInteractionPolicy(recordOf: RecordOf): interactionPolicy.DefaultPolicy {
  const { base, Check, Prompt } = policies;
  const policy = base();
  const login = policy.get('login');
  const consent = policy.get('consent');
  if (login === undefined || consent === undefined)
    throw new TypeError('the core has another policy than expected');
  login.checks.remove('essential_acr');
  login.checks.remove('essential_acrs');
  login.checks.add(
    new Check('too_weak', 'a stronger authentication is needed', 'login_required', ctx => isTooWeak(ctx)),
  );
  // A session whose account may do nothing any more is as good as none.
  login.checks.add(
    new Check('account_unusable', 'End-User authentication is required', 'login_required', ctx => {
      const { session, account } = ctx.oidc;
      return session?.accountId !== undefined && account === undefined;
    }),
  );
  const native = consent.checks.get('native_client_prompt');
  if (native === undefined) throw new TypeError('the core has another policy than expected');
  consent.checks.remove('native_client_prompt');
  consent.checks.add(
    // RFC 8252 §8.6: another program can pose as a native client, so the person is asked each time.
    new Check('native_client_prompt', native.description, 'interaction_required', async ctx => {
      const { client } = ctx.oidc;
      if (client === undefined || isSpared(recordOf(client), ctx.oidc.params)) return false;
      return native.check(ctx);
    }),
  );
  // Initiating User Registration via OpenID Connect 1.0: the person wants an account, not the one of the session.
  policy.add(
    new Prompt(
      { name: 'create', requestable: true },
      new Check('create_prompt', 'an account is to be created', ctx => ctx.oidc.promptPending('create')),
    ),
    0,
  );
  return policy;
}
