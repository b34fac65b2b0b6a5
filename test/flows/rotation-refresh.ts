import { FormBrowser, roundRobin } from '../support/form-browser.js';
import type { LoadResponse } from '../support/load.js';
import { basic, type Cluster, ISSUER, RESOURCE } from '../support/nodes.js';
import { seedUser, seedWebClient, signIn } from '../support/people.js';
import { RelyingParty } from '../support/relying-party.js';

/** A refresh token and whatever became of it. */
interface Chain {
  refreshToken: string;
  /** It may have been used up without its owner knowing, and a repeat that comes late ends the family. */
  isDoubtful: boolean;
  /** Its answers so far, for whoever has to find out what went wrong. */
  readonly history: readonly string[];
}

/** What people's clients hold while everything breaks: refresh tokens, each used by one request at a time. */
export class RefreshChains {
  readonly headers: Readonly<Record<string, string>>;
  readonly #free: Chain[];
  refreshed = 0;
  lost = 0;

  private constructor(headers: Readonly<Record<string, string>>, free: Chain[]) {
    this.headers = headers;
    this.#free = free;
  }

  /** One person signs in once for each of them, by code. */
  static async open(
    cluster: Cluster,
    nodes: readonly { readonly port: number }[],
    count: number,
  ): Promise<RefreshChains> {
    const person = await seedUser(cluster);
    const resources = [{ identifier: RESOURCE, scopes: ['orders.read'], isDefault: true }];
    const { client } = await seedWebClient(cluster, { resources });
    const party = new RelyingParty(nodes, client, ISSUER);
    const free: Chain[] = [];
    for (let made = 0; made < count; made += 1) {
      const browser = new FormBrowser({ pick: roundRobin(nodes) });
      const attempt = party.attempt({ scope: 'openid orders.read offline_access', prompt: 'consent' });
      const { refreshToken } = await party.tokens(attempt, await signIn(browser, attempt.url, person));
      if (refreshToken === undefined) throw new Error('no refresh token');
      free.push({ refreshToken, isDoubtful: false, history: [] });
    }
    const { clientId, clientSecret = '' } = client;
    return new RefreshChains(basic({ clientId, clientSecret }), free);
  }

  take(): Chain | undefined {
    return this.#free.shift();
  }

  /**
   * @param fault of the node that was asked, when it was asked or when it answered
   * @returns the access token, or what is wrong
   */
  settle(
    chain: Chain,
    answer: LoadResponse | undefined,
    fault: string | undefined,
  ): { readonly jwt?: string; readonly wrong?: string } | undefined {
    if (answer?.status === 200) {
      const told = JSON.parse(answer.body) as { access_token: string; refresh_token: string };
      this.refreshed += 1;
      this.#free.push({ refreshToken: told.refresh_token, isDoubtful: false, history: [] });
      return { jwt: told.access_token };
    }
    const history = [...chain.history, `${answer?.status ?? 'none'} (${fault ?? 'healthy'})`];
    if (answer === undefined || answer.status === 503) {
      // 503 says that nothing was used up. A node that is cut off in the middle of a commit cannot know that; whoever
      // repeats within ten seconds gets the same successor, but a step of time is longer.
      const isCut = fault !== undefined && (fault.startsWith('cut') || fault === 'recovering');
      const isDoubtful = chain.isDoubtful || answer === undefined || isCut;
      this.#free.push({ ...chain, isDoubtful, history });
      return undefined;
    }
    this.lost += 1;
    return chain.isDoubtful
      ? undefined
      : { wrong: `refresh: ${answer.body.slice(0, 200)} after ${history.join(', ')}` };
  }
}
