import { expect } from 'chai';
import { createClient } from '../../../src/clients/change-client.js';
import { UNAVAILABLE_ALGORITHMS } from '../../../src/config/available-algorithms.js';
import { AppError } from '../../../src/errors.js';
import type { SigningAlgorithm } from '../../../src/protocol.js';
import { get, OPERATOR } from '../../support/nodes.js';
import { AlgorithmScene } from './exercise-algorithm.js';

const CLASSICAL = ['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA'] as const;

describe('each signing algorithm', () => {
  let scene: AlgorithmScene;

  before(async () => {
    scene = await AlgorithmScene.open(CLASSICAL);
  });

  after(() => scene.close());

  for (const alg of CLASSICAL) {
    it(`signs access tokens that other verifiers, ours and introspection accept: ${alg}`, () =>
      scene.exerciseAccessToken(alg));

    it(`signs ID tokens, userinfo and authorization responses of a client registered with it: ${alg}`, () =>
      scene.exerciseClient(alg));
  }

  it('is in discovery', async () => {
    const { json } = await get(scene.scene.node, '/.well-known/openid-configuration');
    for (const name of ['id_token', 'userinfo', 'authorization'])
      expect(json[`${name}_signing_alg_values_supported`]).to.deep.equal([...CLASSICAL]);
  });

  it('is refused by name where nothing can sign with it', async () => {
    const { database, keys, nodeId, config } = await scene.scene.cluster.operator();
    const context = { database, nodeId, config, hasher: keys.hasher };
    const idTokenSignedResponseAlg: SigningAlgorithm = 'ML-DSA-44';
    const input = { name: 'shop', resources: [], idTokenSignedResponseAlg };
    const refusal = await createClient(context, input, OPERATOR).catch((error: unknown) => error);
    expect(refusal).to.be.instanceOf(AppError);
    expect((refusal as AppError).faults[0]?.problem).to.match(/^ML-DSA-44 has no signing key: add it to/);
  });

  it('that this Node.js lacks is refused when it is configured, and the sentence says what to do', async function () {
    if (UNAVAILABLE_ALGORITHMS.length === 0) return this.skip();
    const { cluster } = scene.scene;
    expect(() => cluster.configWith({ CLAVIGER_KEYS_ALGORITHMS: 'RS256,ML-DSA-65' })).to.throw(
      /ML-DSA-65, which this Node.js cannot sign with; run every node on Node.js 24.7 or newer/,
    );
  });
});
