/** A program for the newest Node.js: everything that each algorithm has to do, done by those which only it has. */
import { AVAILABLE_ALGORITHMS } from '../../../src/config/available-algorithms.js';
import { AlgorithmScene } from './exercise-algorithm.js';

const algorithms = ['ML-DSA-44', 'ML-DSA-65'] as const;
const scene = await AlgorithmScene.open(['ES256', 'RS256', ...algorithms]);
try {
  for (const alg of algorithms) {
    await scene.exerciseAccessToken(alg);
    await scene.exerciseClient(alg);
  }
} finally {
  await scene.close();
}
process.stdout.write(`${JSON.stringify({ node: process.versions.node, available: AVAILABLE_ALGORITHMS })}\n`);
