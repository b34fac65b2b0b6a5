import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GroupCommit } from '../audit/group-commit.js';
import type { RevokedTokenStore } from '../clients/revoked-token-store.js';
import type { ChangeFeed } from '../database/change-feed.js';
import type { KeyRing } from '../keys/key-ring.js';
import type { Logger } from '../log.js';
import { CurrentProvider } from './current-provider.js';
import { CORE_PATHS, installDiscovery } from './discovery.js';
import { Evaluation } from './evaluation.js';
import type { RequestFacts } from './events.js';
import type { BuiltProvider, ProviderParts } from './provider.js';
import { installStructuredTokens, type OwnAccessToken } from './structured-tokens.js';

export interface AuthorizationServerParts extends ProviderParts {
  readonly ring: KeyRing;
  readonly feed: ChangeFeed;
  readonly groupCommit: GroupCommit;
  readonly revoked: RevokedTokenStore;
  readonly verify: (token: string) => Promise<OwnAccessToken | undefined>;
  readonly log: Logger;
  /** `swap` builds a whole new Provider for each new ring; the default keeps the live one. */
  readonly keyUpdate?: 'replace' | 'swap';
}

interface HttpContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly state: Record<string, unknown>;
  respond?: boolean | undefined;
}

type Callback = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

/** The protocol endpoints: what `http/` mounts and what a new key ring is given to. */
export class AuthorizationServer {
  readonly paths = CORE_PATHS;
  readonly #evaluation: Evaluation;
  readonly #current: CurrentProvider;
  #callback: { readonly of: BuiltProvider; readonly answer: Callback } | undefined;

  constructor(parts: AuthorizationServerParts) {
    this.#evaluation = new Evaluation(parts);
    const equip = (built: BuiltProvider): void => {
      // The order of the first call is the order in which a request passes them.
      this.#evaluation.equip(built);
      installDiscovery(built.provider, parts.config);
      installStructuredTokens(built.provider, { ...parts, policy: parts.tokenPolicy });
      built.provider.on('error', (error: unknown) =>
        parts.log.error({ event: 'core.error', err: error }, 'the core failed'),
      );
      built.provider.silent = true;
    };
    this.#current = new CurrentProvider(parts, parts.ring.served, equip, parts.keyUpdate);
    parts.ring.listen(served => this.#current.takeRing(served));
  }

  get current(): CurrentProvider {
    return this.#current;
  }

  async answer(ctx: HttpContext): Promise<void> {
    // The core writes the answer itself.
    ctx.respond = false;
    await this.#evaluation.answer(ctx.req, ctx.res, ctx.state.facts as RequestFacts, () => this.#live());
  }

  #live(): Callback {
    const { built } = this.#current;
    if (this.#callback?.of !== built) {
      this.#callback = { of: built, answer: built.provider.callback() as Callback };
    }
    return this.#callback.answer;
  }
}
