import { expect } from 'chai';
import { type Authorized, type RelyingParty, Scene } from '../../flows/authorization/relying-party.js';
import { forEachDatabase } from '../../support/databases.js';
import { rounds } from '../../support/rounds.js';

const NODES = 3;
const PARALLEL = 16;

describe('an authorization code in many hands at once', () => {
  forEachDatabase((_name, fresh) => {
    let scene: Scene;
    let shop: RelyingParty;

    before(async () => {
      scene = await Scene.open({ url: (await fresh()).url }, { nodes: NODES });
      shop = await scene.relyingParty();
    });

    after(() => scene.close());

    it(`gives tokens to one of ${PARALLEL} that redeem it over ${NODES} nodes, and never fails (requirement 28)`, async function () {
      this.timeout(1_800_000);
      const count = rounds(20, 200);
      const browser = scene.browser();
      const person = await scene.person();
      for (let round = 0; round < count; round += 1) {
        const authorized: Authorized = await shop.authorize(browser, person);
        const answers = await Promise.all(
          Array.from({ length: PARALLEL }, (_, which) =>
            shop.redeem(authorized, {}, {}, scene.cluster.nodes[which % NODES]),
          ),
        );
        const statuses = answers.map(({ status }) => status);
        const told = `round ${round}: ${statuses.join(' ')}`;
        expect(
          statuses.filter(status => status === 200),
          told,
        ).to.have.length(1);
        expect(
          statuses.filter(status => status >= 500),
          told,
        ).to.have.length(0);
        for (const { status, text, json } of answers) {
          if (status === 200) continue;
          expect(json.error, told).to.equal('invalid_grant');
          expect(text).to.not.include('access_token');
        }
      }
    });
  });
});
