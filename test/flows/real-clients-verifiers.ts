/**
 * Other people's verifiers in a process of their own, each as its README says, so that their clocks can be moved:
 * `Date` and `performance.now`, whichever their caches count by (real-clients-rotation.test.ts).
 */
import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { JwtVerifier } from 'aws-jwt-verify';
import { SimpleJwksCache } from 'aws-jwt-verify/jwk';
import express from 'express';
import { auth } from 'express-oauth2-jwt-bearer';
import fastify from 'fastify';
import { fastifyJwtJwks } from 'fastify-jwt-jwks';
import buildGetJwks from 'get-jwks';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify, type KeyInput } from 'jose';
import jwksClient from 'jwks-rsa';
import { installShiftedClock } from '../support/shifted-clock.js';

export interface VerifyRequest {
  /** Milliseconds by which time has been moved. */
  readonly offset: number;
  readonly jwt: string;
  readonly audience: string;
}

/** By library: `verified`, or how it refused. */
export type Verdicts = Readonly<Record<string, string>>;

const [issuer = ''] = process.argv.slice(2);
const jwksUri = `${issuer}/.well-known/jwks.json`;
const clock = installShiftedClock();
const realNow = performance.now.bind(performance);
Object.defineProperty(performance, 'now', { value: () => realNow() + clock.offset });

type Verify = (jwt: string, audience: string) => Promise<unknown>;

async function checkWith(key: KeyInput, jwt: string, audience: string): Promise<void> {
  await jwtVerify(jwt, key, { issuer, audience });
}

const remoteKeys = createRemoteJWKSet(new URL(jwksUri));
const rsaClient = jwksClient({ jwksUri });
const getJwks = buildGetJwks({ issuersWhitelist: [issuer] });

/** It takes https only: its own cache, asked to fetch by us where it would refuse. */
const awsCache = new SimpleJwksCache({
  fetcher: { fetch: async () => (await fetch(jwksUri)).arrayBuffer() },
});

async function bearer(url: string, jwt: string): Promise<void> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${jwt}` } });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`.slice(0, 200));
}

/** One Express server for each audience: its middleware knows one. */
async function expressServer(audience: string): Promise<string> {
  const app = express();
  app.use(auth({ issuerBaseURL: issuer, audience }));
  app.get('/', (_req, res) => void res.send('ok'));
  const failed: express.ErrorRequestHandler = (error, _req, res, _next) =>
    void res.status(401).send(String(error.message));
  app.use(failed);
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function fastifyServer(audience: string): Promise<string> {
  const app = fastify();
  await app.register(fastifyJwtJwks, { jwksUrl: jwksUri, issuer, audience });
  app.get('/', { preValidation: app.authenticate }, async () => 'ok');
  return `${await app.listen({ host: '127.0.0.1', port: 0 })}/`;
}

/** What is made once per audience and kept. */
function perAudience<Of>(make: (audience: string) => Of): (audience: string) => Of {
  const made = new Map<string, Of>();
  return audience => {
    const found = made.get(audience) ?? make(audience);
    made.set(audience, found);
    return found;
  };
}

const awsVerifier = perAudience(audience =>
  JwtVerifier.create(
    { issuer, audience, jwksUri: 'https://issuer.example/.well-known/jwks.json' },
    { jwksCache: awsCache },
  ),
);
const expressUrl = perAudience(expressServer);
const fastifyUrl = perAudience(fastifyServer);

const LIBRARIES: Readonly<Record<string, Verify>> = {
  jose: (jwt, audience) => jwtVerify(jwt, remoteKeys, { issuer, audience }),
  'jwks-rsa': async (jwt, audience) => {
    const key = await rsaClient.getSigningKey(decodeProtectedHeader(jwt).kid);
    await checkWith(createPublicKey(key.getPublicKey()), jwt, audience);
  },
  'aws-jwt-verify': (jwt, audience) => awsVerifier(audience).verify(jwt),
  'get-jwks': async (jwt, audience) => {
    const { alg = '', kid = '' } = decodeProtectedHeader(jwt);
    await checkWith(createPublicKey(await getJwks.getPublicKey({ domain: issuer, alg, kid })), jwt, audience);
  },
  'express-oauth2-jwt-bearer': async (jwt, audience) => bearer(await expressUrl(audience), jwt),
  'fastify-jwt-jwks': async (jwt, audience) => bearer(await fastifyUrl(audience), jwt),
};

process.on('message', async ({ offset, jwt, audience }: VerifyRequest) => {
  clock.shiftTo(offset);
  const isRsa = decodeProtectedHeader(jwt).alg === 'RS256';
  const verdicts: Record<string, string> = {};
  for (const [name, verify] of Object.entries(LIBRARIES)) {
    // It knows RS256 and EdDSA only.
    if (name === 'fastify-jwt-jwks' && !isRsa) continue;
    verdicts[name] = await verify(jwt, audience).then(
      () => 'verified',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
  }
  process.send?.(verdicts satisfies Verdicts);
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
