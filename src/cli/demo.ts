import { resolve } from 'node:path';
import type { Command } from 'commander';
import { decodeProtectedHeader } from 'jose';
import { systemClock } from '../clock.js';
import type { Config, Secret } from '../config/config.js';
import { rootKeySecret } from '../config/development-root-key.js';
import { generateRootKey, localRootKey } from '../crypto/root-key.js';
import { readInstallation } from '../database/identity.js';
import { openInstallation } from '../database/installation.js';
import { deriveKeyPolicy } from '../keys/key-policy.js';
import { openSigningBackends } from '../keys/signing-backends/open-signing-backends.js';
import { createLogger } from '../log.js';
import { createVerifier } from '../verifier/verify-access-token.js';
import type { Cli } from './cli.js';
import { UsageError } from './command.js';
import { cliActor, cliNodeId, type Opened, open, settled } from './context.js';
import { DEMO_RESOURCE, DEMO_SCOPES, type DemoFacts, readDemoFile, seedDemo } from './demo-seed.js';
import { accepted, basic, endpointOf, metadataOf, postForm } from './issuer-endpoints.js';
import { replacePrivateFile } from './private-file.js';
import { untilStopped } from './serve.js';
import { instant } from './wire.js';

const FILE = '.claviger/demo.json';
const DATABASE = 'sqlite:.claviger/demo.sqlite';
const DEFAULT_PORT = 4400;

function portOf(env: Readonly<Record<string, string | undefined>>): number {
  const { PORT: given } = env;
  if (given === undefined || given === '') return DEFAULT_PORT;
  const port = Number(given);
  if (!/^\d{1,5}$/.test(given) || port < 1 || port > 65_534) {
    throw new UsageError('PORT must be a number from 1 to 65534; the next one up is for metrics.');
  }
  return port;
}

async function demoConfig(cli: Cli): Promise<Config> {
  const port = portOf(cli.surroundings.env);
  const { config } = await cli.loadConfig({
    environment: 'development',
    issuer: `http://localhost:${port}`,
    'database.url': DATABASE,
    'http.port': String(port),
    'http.operationsPort': String(port + 1),
  });
  return settled(config, cli.surroundings.cwd);
}

async function seed(cli: Cli, config: Config, secret: Secret): Promise<DemoFacts> {
  const rootKey = localRootKey(secret);
  const file = resolve(cli.surroundings.cwd, FILE);
  const database = open(config);
  const backends = openSigningBackends(config, systemClock.monotonic);
  try {
    const { keys } = await openInstallation(database, rootKey, config);
    const installation = await database.read(readInstallation);
    if (installation === undefined) throw new TypeError('the installation has just been opened');
    const opened: Opened = {
      config,
      database,
      keys,
      installation,
      rootKey,
      policy: deriveKeyPolicy(config),
      backends,
      hasher: keys.hasher,
      nodeId: cliNodeId(),
      actor: cliActor(),
      longestTokenFor: config.tokens.longestTokenFor,
    };
    const { user, redirect_client, ...credentials } = await seedDemo(opened, readDemoFile(file));
    const facts = {
      issuer: config.issuer,
      ...credentials,
      resource: DEMO_RESOURCE,
      scope: DEMO_SCOPES.join(' '),
      user,
      redirect_client,
    };
    replacePrivateFile(file, `${JSON.stringify(facts, null, 2)}\n`);
    return facts;
  } finally {
    backends.close();
    await database.close();
  }
}

interface Proof {
  readonly tokenEndpoint: string;
  readonly lines: readonly string[];
}

/** Over HTTP like anybody else: nothing of the server's inside is used. */
async function prove(facts: DemoFacts): Promise<Proof> {
  const { issuer, resource } = facts;
  const metadata = await metadataOf(issuer);
  const tokenEndpoint = endpointOf(metadata, issuer, 'token_endpoint');
  const answer = await postForm(
    tokenEndpoint,
    { grant_type: 'client_credentials' },
    basic(facts.client_id, facts.client_secret),
  );
  const token = String(accepted(answer, "The demo's own token").access_token);
  const claims = await createVerifier({ issuer, audience: resource }).verify(token);
  const { alg, kid } = decodeProtectedHeader(token);
  return {
    tokenEndpoint,
    lines: [
      `  signed with  ${alg}, key ${kid}, found in ${endpointOf(metadata, issuer, 'jwks_uri')}`,
      `  iss          ${claims.iss}`,
      `  sub          ${claims.sub}`,
      `  aud          ${String(claims.aud)}`,
      `  scope        ${claims.scope}`,
      `  exp          ${instant(claims.exp * 1000)}`,
    ],
  };
}

/** For a POSIX shell; nothing in it needs more quoting than this. */
function curlLine(tokenEndpoint: string, facts: DemoFacts): string {
  return `curl -s -u '${facts.client_id}:${facts.client_secret}' -d grant_type=client_credentials ${tokenEndpoint}`;
}

function performLine({ issuer, redirect_client, resource, scope }: DemoFacts): string {
  const asked = `--scope openid email ${scope} --resource ${resource}`;
  return `npx claviger perform code --issuer ${issuer} --client-id ${redirect_client.client_id} --public ${asked}`;
}

function welcome(
  cli: Cli,
  facts: DemoFacts,
  { tokenEndpoint, lines }: Proof,
  operationsPort: number,
): string {
  const { output } = cli;
  return [
    '',
    output.paint('A ready client', 'bold'),
    `  client_id      ${facts.client_id}`,
    `  client_secret  ${facts.client_secret}`,
    `  resource       ${facts.resource}`,
    `  scope          ${facts.scope}`,
    `  (the same as JSON in ${FILE})`,
    '',
    output.paint('Get an access token', 'bold'),
    curlLine(tokenEndpoint, facts),
    '',
    `${output.paint('Proof', 'bold')}: a token was issued over HTTP and verified with the published keys`,
    ...lines,
    '',
    output.paint('Sign in as a person', 'bold'),
    `  address    ${facts.issuer}/account`,
    `  e-mail     ${facts.user.email}`,
    `  password   ${facts.user.password}`,
    '',
    output.paint('See a program send a person here, and what it gets', 'bold'),
    performLine(facts),
    '',
    output.paint('Addresses', 'bold'),
    `  issuer    ${facts.issuer}`,
    `  metadata  ${facts.issuer}/.well-known/openid-configuration`,
    `  keys      ${facts.issuer}/.well-known/jwks.json`,
    `  metrics   http://localhost:${operationsPort}/metrics`,
    '',
    'Ctrl-C stops it; the next start has the same clients and the same person.',
    'claviger: ready',
  ].join('\n');
}

async function demo(cli: Cli): Promise<void> {
  const { surroundings } = cli;
  const stopped = untilStopped(surroundings);
  const config = await demoConfig(cli);
  // Never a configured root key: what the demo seals is worth nothing, and its file lies about.
  const rootKey = rootKeySecret({ ...config, rootKey: undefined }, surroundings.cwd, generateRootKey);
  const facts = await seed(cli, config, rootKey);
  const log = createLogger(
    { ...config.log, level: 'warn' },
    surroundings.stderr as { write(line: string): void },
  );
  const { startServer } = await import('../server.js');
  const server = await startServer({ config, rootKey, log, clock: surroundings.clock });
  try {
    const proof = await prove(facts);
    surroundings.stdout.write(`${welcome(cli, facts, proof, server.operationsPort)}\n`);
    await stopped;
  } finally {
    await server.close();
  }
}

export function demoCommand(program: Command, cli: Cli): void {
  program
    .command('demo')
    .description('a server on http://localhost:4400 with a ready client (PORT moves it)')
    .action(() => demo(cli));
}
