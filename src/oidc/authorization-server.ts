import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Middleware } from 'koa';
import compose from 'koa-compose';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { GroupCommit } from '../audit/group-commit.js';
import type { RevokedTokenStore } from '../clients/revoked-token-store.js';
import type { ChangeFeed } from '../database/change-feed.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';
import { CurrentProvider } from './current-provider.js';
import { Evaluation, type LiveCore } from './evaluation.js';
import { noteRefusals } from './events.js';
import type { BuiltProvider, ProviderParts } from './provider.js';
import { type OwnAccessToken, structuredTokens } from './structured-tokens.js';

export interface AuthorizationServerParts extends ProviderParts {
  readonly feed: ChangeFeed;
  readonly groupCommit: GroupCommit;
  readonly revoked: RevokedTokenStore;
  readonly verify: (token: string) => Promise<OwnAccessToken | undefined>;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** `swap` builds a whole new Provider for each new ring; the default keeps the live one. */
  readonly keyUpdate?: 'replace' | 'swap';
}

type Callback = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

interface Live {
  readonly of: BuiltProvider;
  readonly answer: Callback;
  readonly core: LiveCore;
}

/**
 * The protocol endpoints. The Provider is a Koa application itself, so the edge's own middleware runs inside it:
 * one context per request, and whichever Provider is live carries the same edge.
 */
export class AuthorizationServer {
  readonly #current: CurrentProvider;
  readonly #equip: (built: BuiltProvider) => LiveCore;
  #live: Live | undefined;

  /** @param edge passed by every request before it is evaluated, in this order. */
  constructor(parts: AuthorizationServerParts, edge: readonly Middleware[]) {
    const evaluation = new Evaluation(parts);
    const structured = structuredTokens({ ...parts, policy: parts.tokenPolicy });
    this.#equip = ({ provider, recordOf }: BuiltProvider): LiveCore => {
      noteRefusals(provider);
      provider.on('error' as 'server_error', (error: unknown) => {
        parts.log.error({ event: 'core.error', err: error }, 'the core failed');
      });
      provider.silent = true;
      const evaluate = compose([structured, ...provider.middleware]);
      provider.middleware = [
        ...edge,
        ctx => evaluation.answer(ctx as unknown as KoaContextWithOIDC, () => this.#liveNow().core),
      ];
      return {
        createContext: (req, res) => provider.createContext(req, res) as unknown as KoaContextWithOIDC,
        evaluate: ctx => evaluate(ctx as never),
        recordOf,
      };
    };
    this.#current = new CurrentProvider(parts, parts.ring.served, parts.keyUpdate);
    parts.ring.listen(served => this.#current.takeRing(served));
  }

  readonly listener = (req: IncomingMessage, res: ServerResponse): void => {
    void this.#liveNow().answer(req, res);
  };

  get current(): CurrentProvider {
    return this.#current;
  }

  #liveNow(): Live {
    const { built } = this.#current;
    if (this.#live?.of !== built) {
      const core = this.#equip(built);
      this.#live = { of: built, core, answer: built.provider.callback() as Callback };
    }
    return this.#live;
  }
}
