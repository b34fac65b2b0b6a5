import { expect } from 'chai';
import { decodeJwt } from 'jose';
import { StatusListStore } from '../../../src/status-lists/status-list-store.js';
import { forEachDatabase } from '../../support/databases.js';
import { figure, rounds, timeLimit } from '../../support/scale.js';
import { LifecycleScene } from './lifecycle-scene.js';

const ROUNDS = rounds({ short: 4, long: 200 });
const SCOPE = 'openid orders.read offline_access';

interface Place {
  readonly idx: number;
  readonly uri: string;
}

describe('tokens that are issued while their grant is revoked', () => {
  forEachDatabase((name, fresh) => {
    let scene: LifecycleScene;

    before(async () => {
      scene = await LifecycleScene.open({ url: (await fresh()).url, nodes: 3 });
    });
    after(() => scene.close());

    /** `list index` of everything that is revoked, as every node will publish it. */
    async function revoked(): Promise<ReadonlySet<string>> {
      const { database } = scene.context;
      const rows = await new StatusListStore().listRevoked(database.reader, 0, await database.now());
      return new Set(rows.flatMap(({ listId, indices }) => indices.map(index => `${listId} ${index}`)));
    }

    it(`have their bit set, whichever of three nodes commits first (${ROUNDS} rounds)`, async function () {
      this.timeout(timeLimit(30_000));
      const party = await scene.client();
      const person = await scene.person();
      const browser = scene.browser();
      let issued = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        const { json } = await scene.tokens(party, browser, person, { scope: SCOPE, prompt: 'consent' });
        const refreshToken = String(json.refresh_token);
        // The same token several times at once is one use and its repeats, which write nothing of their own.
        const refreshes = [0, 1, 2, 0, 1].map(index => scene.at(party, index).refresh(refreshToken));
        // Before the first is through, and while its repeats are under way.
        if (round % 2 === 1) await Promise.race(refreshes);
        const revocation = scene.at(party, round % 3).ask('/oauth2/revoke', { token: refreshToken });
        const answers = await Promise.all(refreshes);
        await revocation;
        const tokens = [json, ...answers.filter(({ status }) => status === 200).map(answer => answer.json)];
        const dead = await revoked();
        for (const { access_token: jwt } of tokens) {
          const { status_list: place } = decodeJwt(String(jwt)).status as { readonly status_list: Place };
          expect(dead, `round ${round}`).to.include(`${place.uri.split('/').at(-1)} ${place.idx}`);
        }
        issued += tokens.length - 1;
      }
      expect(issued, 'races that were none').to.be.above(0);
      figure(
        `status lists: ${issued} tokens issued in ${ROUNDS} races with a revocation, none escaped (${name})`,
      );
    });
  });
});
