import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Middleware } from 'koa';
import compose from 'koa-compose';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { GroupCommit } from '../audit/group-commit.js';
import type { RevokedTokenStore } from '../clients/revoked-token-store.js';
import type { ChangeFeed } from '../database/change-feed.js';
import type { Logger } from '../log.js';
import { CurrentProvider } from './current-provider.js';
import { Evaluation } from './evaluation.js';
import { noteRefusals } from './events.js';
import type { BuiltProvider, ProviderParts } from './provider.js';
import { type OwnAccessToken, structuredTokens } from './structured-tokens.js';

export interface AuthorizationServerParts extends ProviderParts {
  readonly feed: ChangeFeed;
  readonly groupCommit: GroupCommit;
  readonly revoked: RevokedTokenStore;
  readonly verify: (token: string) => Promise<OwnAccessToken | undefined>;
  readonly log: Logger;
  /** `swap` builds a whole new Provider for each new ring; the default keeps the live one. */
  readonly keyUpdate?: 'replace' | 'swap';
}

type Callback = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

/**
 * The protocol endpoints. The Provider is a Koa application itself, so the edge's own middleware runs inside it:
 * one context per request, and whichever Provider is live carries the same edge.
 */
export class AuthorizationServer {
  readonly #current: CurrentProvider;
  #live: { readonly of: BuiltProvider; readonly answer: Callback } | undefined;

  /** @param edge passed by every request before it is evaluated, in this order. */
  constructor(parts: AuthorizationServerParts, edge: readonly Middleware[]) {
    const evaluation = new Evaluation(parts);
    const equip = ({ provider }: BuiltProvider): void => {
      noteRefusals(provider);
      provider.on('error' as 'server_error', (error: unknown) => {
        parts.log.error({ event: 'core.error', err: error }, 'the core failed');
      });
      provider.silent = true;
      const core = compose([
        structuredTokens({ ...parts, policy: parts.tokenPolicy }),
        ...provider.middleware,
      ]);
      provider.middleware = [
        ...edge,
        ctx =>
          evaluation.answer(
            ctx as unknown as KoaContextWithOIDC,
            req => provider.createContext(req, ctx.res) as unknown as KoaContextWithOIDC,
            again => core(again as never),
          ),
      ];
    };
    this.#current = new CurrentProvider(parts, parts.ring.served, equip, parts.keyUpdate);
    parts.ring.listen(served => this.#current.takeRing(served));
  }

  readonly listener = (req: IncomingMessage, res: ServerResponse): void => {
    const { built } = this.#current;
    if (this.#live?.of !== built) this.#live = { of: built, answer: built.provider.callback() as Callback };
    void this.#live.answer(req, res);
  };

  get current(): CurrentProvider {
    return this.#current;
  }
}
