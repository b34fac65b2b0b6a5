import type { Provider } from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';

const ASKED: unique symbol = Symbol('asked for offline access');

interface OidcContext {
  readonly params?: { scope?: unknown; prompt?: unknown };
  [ASKED]?: boolean;
}

/**
 * OpenID Connect Core §11 lets `offline_access` be ignored unless `prompt=consent` came with it, or other conditions
 * for offline access are met. Ours are: the consent page says how long access lasts, and the answer is kept until it
 * is withdrawn. The core knows the first condition only and takes the scope away; most clients send no prompt. It
 * reads `prompts` right before it does, so that is where the wish is noted.
 */
export function installOfflineAccess(provider: Provider): void {
  const prototype = (provider as unknown as { OIDCContext: { prototype: OidcContext } }).OIDCContext
    .prototype;
  Object.defineProperty(prototype, 'prompts', {
    configurable: true,
    get(this: OidcContext): Set<string> {
      const { scope, prompt } = this.params ?? {};
      if (typeof scope === 'string' && scope.split(' ').includes('offline_access')) this[ASKED] = true;
      return new Set(typeof prompt === 'string' ? prompt.split(' ') : []);
    },
  });
}

/** The scope as it was asked for, after the core has shortened it. */
export function restoreOfflineAccess(oidc: object, scope: string | undefined): string | undefined {
  if ((oidc as OidcContext)[ASKED] !== true) return scope;
  const scopes = scope === undefined ? [] : scope.split(' ');
  return scopes.includes('offline_access') ? scope : [...scopes, 'offline_access'].join(' ');
}

/**
 * Whether what is issued outlives a session that expires: the person agreed to it, or the operator decided so for the
 * client. A session that somebody ends takes the second kind with it.
 */
export function asksOffline(client: ClientRecord, scopes: ReadonlySet<string>): boolean {
  return client.alwaysIssueRefreshToken || scopes.has('offline_access');
}
