import { type ChildProcess, fork } from 'node:child_process';
import { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect } from 'chai';
import { forEachDatabase } from '../../support/databases.js';
import { type Answer, ISSUER } from '../../support/nodes.js';
import type { Person } from '../../support/people.js';
import { RelyingParty } from '../../support/relying-party.js';
import { isLongRun, rounds } from '../../support/rounds.js';
import { figure } from '../../support/scale.js';
import type { DyingNodeAssignment } from './dying-node.js';
import { LifecycleScene } from './lifecycle-scene.js';

const PARALLEL = 16;

describe('simultaneous and lost refreshes', function () {
  this.timeout(3_600_000);
  forEachDatabase((name, fresh) => {
    let scene: LifecycleScene;
    let person: Person;
    let url: string;

    before(async () => {
      ({ url } = await fresh());
      scene = await LifecycleScene.open({ url, nodes: 3 });
      person = await scene.person();
    });

    after(() => scene.close());

    /** Refresh tokens of the client that could be used now. */
    async function liveTokens({ client }: RelyingParty): Promise<number> {
      const { database } = scene.context;
      const rows = await database
        .reader('artifacts')
        .leftJoin('grant_tombstones', 'grant_tombstones.grant_key', 'artifacts.grant_key')
        .whereNull('grant_tombstones.grant_key')
        .where({ model: 'RefreshToken', client_id: client.clientId, consumed_at: null });
      return rows.length;
    }

    function successors(answers: readonly Answer[]): string[] {
      const refused = answers.filter(({ status }) => status !== 200);
      expect(refused.map(({ text }) => text)).to.deep.equal([]);
      return [...new Set(answers.map(({ json }) => String(json.refresh_token)))];
    }

    // Most of the short run is where nodes do not share a process's lock.
    const count = rounds(name === 'PostgreSQL' ? 20 : 5, 200);
    const fewer = rounds(5, 200);

    it(`${count} × ${PARALLEL} simultaneous uses on three nodes give one successor each, the same to all (requirement 46)`, async () => {
      const party = await scene.client();
      let token = await scene.refreshToken(party, scene.browser(), person);
      for (let round = 0; round < count; round += 1) {
        const answers = await Promise.all(Array.from({ length: PARALLEL }, () => party.refresh(token)));
        const [next = '', ...more] = successors(answers);
        expect(more, `round ${round}`).to.deep.equal([]);
        expect(new Set(answers.map(({ json }) => json.access_token))).to.have.property('size', PARALLEL);
        expect(await liveTokens(party), 'live families').to.equal(1);
        token = next;
        // A node that hears nothing for 30 s signs nothing.
        await scene.tick();
      }
    });

    it(`${fewer} × ${PARALLEL} uses of a token and of its successor at once never leave two live families (requirement 46)`, async () => {
      const party = await scene.client();
      const browser = scene.browser();
      const ends = { alive: 0, dead: 0 };
      let token = await scene.refreshToken(party, browser, person);
      for (let round = 0; round < fewer; round += 1) {
        const [next = ''] = successors([await party.refresh(token)]);
        const answers = await Promise.all(
          Array.from({ length: PARALLEL }, (_, which) => party.refresh(which % 2 === 0 ? token : next)),
        );
        for (const { status } of answers) expect(status).to.be.oneOf([200, 400]);
        const live = await liveTokens(party);
        expect(live).to.be.at.most(1);
        ends[live === 1 ? 'alive' : 'dead'] += 1;
        // Whoever was told of it can use it, if it lives.
        const last = answers.filter((answer, which) => which % 2 === 1 && answer.status === 200).at(-1);
        const after = await party.refresh(String(last?.json.refresh_token));
        expect(after.status).to.equal(live === 1 ? 200 : 400);
        token =
          live === 1 ? String(after.json.refresh_token) : await scene.refreshToken(party, browser, person);
        await scene.tick();
      }
      if (isLongRun())
        figure(`${name}: of ${fewer} mixed rounds ${ends.alive} families lived, ${ends.dead} died`);
    });

    it(`${fewer} answers that are lost after the commit sign nobody out: the retry gets the same successor (requirement 47)`, async () => {
      const party = await scene.client();
      let token = await scene.refreshToken(party, scene.browser(), person);
      const { end } = ServerResponse.prototype;
      for (let round = 0; round < fewer; round += 1) {
        ServerResponse.prototype.end = function (this: ServerResponse) {
          this.socket?.destroy();
          return this;
        } as typeof end;
        const lost = await party.refresh(token).catch(() => undefined);
        ServerResponse.prototype.end = end;
        expect(lost).to.equal(undefined);
        expect(await liveTokens(party), 'the successor stands').to.equal(1);
        const [next = ''] = successors([await party.refresh(token), await party.refresh(token)]);
        expect(await liveTokens(party), 'and is the only one').to.equal(1);
        token = next;
        await scene.tick();
      }
    });

    const kills = rounds(1, 100);

    it(`${kills} node${kills === 1 ? '' : 's'} killed between commit and answer sign nobody out (requirement 47)`, async () => {
      const party = await scene.client();
      let token = await scene.refreshToken(party, scene.browser(), person);
      for (let kill = 0; kill < kills; kill += 1) {
        const { child, port } = await startDyingNode();
        const there = new RelyingParty([{ port }], party.client);
        const died = new Promise<string | null>(resolve =>
          child.once('exit', (_code, signal) => resolve(signal)),
        );
        expect(await there.refresh(token).catch(() => undefined)).to.equal(undefined);
        expect(await died).to.equal('SIGKILL');
        expect(await liveTokens(party), 'it had committed').to.equal(1);
        await scene.tick();
        const [next = ''] = successors([await party.refresh(token)]);
        expect(await liveTokens(party)).to.equal(1);
        successors([await party.refresh(next)]);
        token = await scene.refreshToken(party, scene.browser(), person);
        expect(await liveTokens(party)).to.equal(2);
        await party.ask('/oauth2/revoke', { token: next });
      }
    });

    async function startDyingNode(): Promise<{ child: ChildProcess; port: number }> {
      const assignment: DyingNodeAssignment = {
        rootKey: scene.cluster.rootKey,
        offset: scene.time.offset,
        env: {
          CLAVIGER_ENVIRONMENT: 'development',
          CLAVIGER_ISSUER: ISSUER,
          CLAVIGER_DATABASE_URL: url,
          CLAVIGER_HTTP_PORT: '0',
          CLAVIGER_HTTP_OPERATIONS_PORT: '0',
        },
      };
      const child = fork(join(import.meta.dirname, 'dying-node.ts'), [JSON.stringify(assignment)], {
        execArgv: ['--import', 'tsx'],
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      });
      let told = '';
      child.stderr?.on('data', bytes => {
        told += String(bytes);
      });
      const port = await new Promise<number>((resolve, reject) => {
        child.once('message', message => resolve(Number(message)));
        child.once('exit', code => reject(new Error(`the node ended with ${code}: ${told}`)));
      });
      return { child, port };
    }
  });
});
