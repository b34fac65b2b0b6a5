import { createPublicKey } from 'node:crypto';
import type { Fault } from '../errors.js';
import { quoted } from '../resources/text-checks.js';
import type { ClientJwks } from './client-metadata.js';

const MOST_CLIENT_KEYS = 10;
const SHORTEST_RSA = 2048;
/** A longer one makes us work for whoever sends a signature. */
const LONGEST_RSA = 8192;
const LONGEST_KID = 200;

/** RFC 7518 §6, RFC 8037 §2: what a public key of each kind consists of. */
const PUBLIC_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'x', 'y'],
  OKP: ['crv', 'x'],
  RSA: ['n', 'e'],
};
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'] as const;
const CURVES: Readonly<Record<string, string>> = { EC: 'P-256', OKP: 'Ed25519' };
const KEY_TYPES: Readonly<Record<string, string>> = { ES256: 'EC', RS256: 'RSA', PS256: 'RSA', EdDSA: 'OKP' };

type Jwk = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Jwk {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function keyProblem(key: unknown): string | undefined {
  if (!isObject(key)) return 'Give a JSON Web Key.';
  const { kty, kid, use, alg } = key;
  if (PRIVATE_MEMBERS.some(member => key[member] !== undefined)) {
    return 'It is a private or a shared key: give the public half only, and replace the key, which has been shown.';
  }
  const members =
    typeof kty === 'string' && Object.hasOwn(PUBLIC_MEMBERS, kty) ? PUBLIC_MEMBERS[kty] : undefined;
  if (members === undefined) return 'Use an EC key on P-256, an RSA key or an Ed25519 key.';
  const curve = CURVES[String(kty)];
  if (curve !== undefined && key.crv !== curve) return `Of ${String(kty)} keys only ${curve} is offered.`;
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > LONGEST_KID)) {
    return `The kid must be a text of at most ${LONGEST_KID} characters.`;
  }
  if (use !== undefined && use !== 'sig')
    return 'Only keys for signatures are used here: "use" must be "sig".';
  if (alg !== undefined && (typeof alg !== 'string' || KEY_TYPES[alg] !== kty)) {
    return `${quoted(alg)} is no algorithm for this key.`;
  }
  try {
    const read = createPublicKey({ key: publicPart(key, members), format: 'jwk' });
    const bits = read.asymmetricKeyDetails?.modulusLength;
    if (bits !== undefined && (bits < SHORTEST_RSA || bits > LONGEST_RSA)) {
      return `Use an RSA key of ${SHORTEST_RSA} to ${LONGEST_RSA} bits.`;
    }
  } catch {
    return 'It is damaged: no public key can be read from it.';
  }
  return undefined;
}

function publicPart(key: Jwk, members: readonly string[]): Record<string, string> {
  return Object.fromEntries(['kty', ...members].map(member => [member, String(key[member])]));
}

/** What is stored of a key: what verifies with it, and nothing that anybody else has put in. */
function normalKey(key: Jwk): Jwk {
  const members = ['kty', 'kid', 'use', 'alg', ...(PUBLIC_MEMBERS[String(key.kty)] ?? [])];
  return Object.fromEntries(members.filter(name => key[name] !== undefined).map(name => [name, key[name]]));
}

/** @returns undefined when there is none, or when it was refused. */
export function checkJwks(
  jwks: unknown,
  requestObjectAlg: string | undefined,
  faults: Fault[],
): ClientJwks | undefined {
  if (jwks === undefined || jwks === null) {
    if (requestObjectAlg !== undefined) {
      faults.push({ at: 'jwks', problem: 'Signed request objects need the public keys of the client.' });
    }
    return undefined;
  }
  const keys = isObject(jwks) ? jwks.keys : undefined;
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > MOST_CLIENT_KEYS) {
    faults.push({ at: 'jwks', problem: `Give {"keys": […]} with 1 to ${MOST_CLIENT_KEYS} public keys.` });
    return undefined;
  }
  const before = faults.length;
  const kids = new Set<unknown>();
  for (const [index, key] of keys.entries()) {
    const at = `jwks.keys[${index}]`;
    const problem = keyProblem(key);
    const kid = isObject(key) ? key.kid : undefined;
    if (problem !== undefined) faults.push({ at, problem });
    else if (kid !== undefined && kids.has(kid)) faults.push({ at, problem: 'Its kid is used twice.' });
    kids.add(kid);
  }
  if (faults.length > before) return undefined;
  const wanted = requestObjectAlg === undefined ? undefined : KEY_TYPES[requestObjectAlg];
  if (wanted !== undefined && !(keys as Jwk[]).some(({ kty }) => kty === wanted)) {
    faults.push({ at: 'jwks', problem: `None of its keys can verify ${requestObjectAlg}.` });
  }
  return { keys: (keys as Jwk[]).map(normalKey) };
}
