import { createHash, randomBytes } from 'node:crypto';
import { type Command, InvalidArgumentError } from 'commander';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { AppError } from '../errors.js';
import { SIGNING_ALGORITHMS } from '../protocol.js';
import type { Cli } from './cli.js';
import { UsageError } from './command.js';
import { FlowSteps } from './flow-steps.js';
import { accepted, basic, endpointOf, metadataOf, request } from './issuer-endpoints.js';
import { waitOnLoopback } from './loopback-redirect.js';
import { words } from './options.js';
import { readTextFile } from './read-secret.js';

interface FlowOptions {
  readonly issuer?: string;
  readonly clientId: string;
  readonly secretFile?: string;
  readonly public?: boolean;
  readonly scope?: readonly string[];
  readonly resource?: string;
}

interface CodeOptions extends FlowOptions {
  readonly par?: boolean;
  readonly redirectUri: URL;
  readonly refresh?: boolean;
  readonly prompt?: string;
  readonly acr?: string;
}

interface Flow {
  readonly clientId: string;
  readonly issuer: string;
  readonly metadata: Record<string, unknown>;
  readonly steps: FlowSteps;
  /** Undefined for a public client, which names itself in the form (RFC 6749 §3.2.1). */
  readonly authorization: string | undefined;
  readonly identity: Readonly<Record<string, string>>;
}

function secretOf({ surroundings }: Cli, options: FlowOptions): string | undefined {
  if (options.public === true) {
    if (options.secretFile === undefined) return undefined;
    throw new UsageError('A public client has no secret: give --public or --secret-file, not both.');
  }
  if (options.secretFile !== undefined) return readTextFile(surroundings, options.secretFile);
  const { CLIENT_SECRET: given } = surroundings.env;
  return given === '' ? undefined : given;
}

async function begin(cli: Cli, options: FlowOptions): Promise<Flow> {
  const { clientId } = options;
  const issuer = options.issuer ?? (await cli.loadConfig()).config.issuer;
  const secret = secretOf(cli, options);
  const steps = new FlowSteps(cli);
  steps.note('Read what the issuer offers', `GET ${issuer}/.well-known/openid-configuration`, {});
  return {
    clientId,
    issuer,
    metadata: await metadataOf(issuer),
    steps,
    authorization: secret === undefined ? undefined : basic(clientId, secret),
    identity: secret === undefined ? { client_id: clientId } : {},
  };
}

function wanted({ scope, resource }: FlowOptions): Record<string, string> {
  const scopes = words(scope);
  return {
    ...(scopes === undefined ? {} : { scope: scopes.join(' ') }),
    ...(resource === undefined ? {} : { resource }),
  };
}

/** RFC 7636 §4 */
function makePkce(): { verifier: string; challenge: string } {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

/** OpenID Connect Core §3.1.3.7 */
async function verifiedIdToken(
  { clientId, issuer, metadata }: Flow,
  idToken: string,
  nonce: string | undefined,
): Promise<Record<string, unknown>> {
  const keys = createRemoteJWKSet(new URL(endpointOf(metadata, issuer, 'jwks_uri')));
  try {
    const algorithms = [...SIGNING_ALGORITHMS];
    const { payload } = await jwtVerify(idToken, keys, { issuer, audience: clientId, algorithms });
    if (nonce !== undefined && payload.nonce !== nonce) throw new Error('it carries another nonce');
    return payload;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('conflict', `The ID token does not verify: ${why}.`, { cause });
  }
}

async function finish(
  cli: Cli,
  flow: Flow,
  token: Record<string, unknown>,
  nonce?: string | undefined,
): Promise<void> {
  const { steps, metadata, issuer } = flow;
  const accessToken = steps.claims('Claims of the access token', decoded(token.access_token));
  let idToken: Record<string, unknown> | undefined;
  let userinfo: unknown;
  if (typeof token.id_token === 'string') {
    const verified = await verifiedIdToken(flow, token.id_token, nonce);
    idToken = steps.claims('Claims of the ID token, verified', verified);
    const url = endpointOf(metadata, issuer, 'userinfo_endpoint');
    userinfo = (await steps.get('Ask who the person is', url, String(token.access_token))).body;
  }
  cli.output.result(
    {
      exchanges: steps.exchanges,
      access_token_claims: accessToken ?? null,
      id_token_claims: idToken ?? null,
      userinfo: userinfo ?? null,
    },
    () => `\nDone: ${steps.exchanges.length} steps.`,
  );
}

async function performCode(cli: Cli, options: CodeOptions): Promise<void> {
  const flow = await begin(cli, options);
  const { steps, metadata, issuer, authorization, identity } = flow;
  const loopback = await waitOnLoopback(options.redirectUri);
  try {
    const { verifier, challenge } = makePkce();
    const state = randomBytes(16).toString('base64url');
    const scope = words(options.scope) ?? ['openid'];
    const nonce = scope.includes('openid') ? randomBytes(16).toString('base64url') : undefined;
    const parameters: Record<string, string> = {
      client_id: options.clientId,
      response_type: 'code',
      redirect_uri: loopback.redirectUri,
      ...wanted({ ...options, scope }),
      state,
      ...(nonce === undefined ? {} : { nonce }),
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...(options.prompt === undefined ? {} : { prompt: options.prompt }),
      ...(options.acr === undefined ? {} : { acr_values: options.acr }),
    };
    let query = parameters;
    if (options.par === true) {
      const url = endpointOf(metadata, issuer, 'pushed_authorization_request_endpoint');
      const pushed = accepted(
        await steps.post('Push the request', url, parameters, authorization),
        'The request',
      );
      query = { client_id: options.clientId, request_uri: String(pushed.request_uri) };
    }
    const address = new URL(endpointOf(metadata, issuer, 'authorization_endpoint'));
    for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
    if (options.par !== true) await assertTaken(address.href);
    steps.note('Open this address in a browser and sign in', address.href, query);
    const answer = await loopback.answer();
    steps.note('The browser came back', loopback.redirectUri, Object.fromEntries(answer));
    const code = codeFrom(answer, state, issuer);
    const token = accepted(
      await steps.post(
        'Exchange the code',
        endpointOf(metadata, issuer, 'token_endpoint'),
        {
          grant_type: 'authorization_code',
          code,
          redirect_uri: loopback.redirectUri,
          code_verifier: verifier,
          ...identity,
        },
        authorization,
      ),
      'The code',
    );
    await finish(cli, flow, options.refresh === true ? await refreshed(flow, token) : token, nonce);
  } finally {
    loopback.close();
  }
}

/**
 * A wrong redirect URI is told on the page and never to that address (RFC 6749 §4.1.2.1): without a look beforehand the
 * command would wait for an answer that cannot come.
 */
async function assertTaken(url: string): Promise<void> {
  const { status, headers, text } = await request(url, { redirect: 'manual' });
  if (status < 400) return;
  const code = /<code>([a-z_]+)<\/code>/.exec(text)?.[1] ?? 'no reason given';
  const requestId = headers.get('x-request-id') ?? '?';
  throw new AppError(
    'invalid_request',
    `The request was refused (${status}): ${code}. See: claviger audit list --request ${requestId}`,
  );
}

/** What the refresh brings takes the place of what was there. */
async function refreshed(flow: Flow, token: Record<string, unknown>): Promise<Record<string, unknown>> {
  if (typeof token.refresh_token !== 'string') {
    throw new AppError(
      'invalid_request',
      'There is no refresh token. Ask for offline_access, and give the client the grant refresh_token.',
    );
  }
  const { steps, metadata, issuer, authorization, identity } = flow;
  const url = endpointOf(metadata, issuer, 'token_endpoint');
  const form = { grant_type: 'refresh_token', refresh_token: token.refresh_token, ...identity };
  return { ...token, ...accepted(await steps.post('Refresh', url, form, authorization), 'The refresh') };
}

function codeFrom(answer: URLSearchParams, state: string, issuer: string): string {
  // RFC 9207 §2.4 and RFC 6749 §10.12: an answer of another server, or to another request, is none.
  if (answer.get('iss') !== issuer) throw new AppError('conflict', 'The answer names another issuer.');
  if (answer.get('state') !== state) throw new AppError('conflict', 'The answer belongs to another request.');
  const code = answer.get('code');
  if (code !== null) return code;
  const why = [answer.get('error'), answer.get('error_description')].filter(Boolean).join(': ');
  throw new AppError('invalid_request', `The sign-in was refused. ${why}`);
}

async function performDevice(cli: Cli, options: FlowOptions): Promise<void> {
  const flow = await begin(cli, options);
  const { steps, metadata, issuer, authorization, identity } = flow;
  const asked = accepted(
    await steps.post(
      'Ask for a device code',
      endpointOf(metadata, issuer, 'device_authorization_endpoint'),
      { ...wanted(options), ...identity },
      authorization,
    ),
    'The device code',
  );
  cli.output.say(`\nOpen ${String(asked.verification_uri)} and enter ${String(asked.user_code)}`);
  let interval = Number(asked.interval ?? 5);
  const endsAt = cli.surroundings.clock.now() + Number(asked.expires_in ?? 600) * 1000;
  while (cli.surroundings.clock.now() < endsAt) {
    await new Promise(resolve => setTimeout(resolve, interval * 1000));
    const answer = await steps.post(
      'Ask whether the person has answered',
      endpointOf(metadata, issuer, 'token_endpoint'),
      {
        grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
        device_code: String(asked.device_code),
        ...identity,
      },
      authorization,
    );
    const error = (answer.body as { error?: unknown } | undefined)?.error;
    // RFC 8628 §3.5
    if (error === 'slow_down') interval += 5;
    else if (error !== 'authorization_pending') {
      await finish(cli, flow, accepted(answer, 'The device code'));
      return;
    }
  }
  throw new AppError('not_ready', 'The code has expired before anybody entered it. Begin again.');
}

async function performClientCredentials(cli: Cli, options: FlowOptions): Promise<void> {
  const flow = await begin(cli, options);
  if (flow.authorization === undefined) {
    throw new UsageError(
      'Give the client secret by --secret-file FILE or in the environment variable CLIENT_SECRET.',
    );
  }
  const url = endpointOf(flow.metadata, flow.issuer, 'token_endpoint');
  const form = { grant_type: 'client_credentials', ...wanted(options) };
  const answer = await flow.steps.post('Ask for a token', url, form, flow.authorization);
  await finish(cli, flow, accepted(answer, 'The token'));
}

function decoded(token: unknown): Record<string, unknown> | undefined {
  return typeof token === 'string' && token.split('.').length === 3 ? decodeJwt(token) : undefined;
}

function readLoopbackUri(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)) return url;
  throw new InvalidArgumentError('Give an http address of this machine: http://127.0.0.1/callback.');
}

function flowOptions(command: Command): Command {
  return command
    .requiredOption('--client-id <client-id>', 'the client that asks')
    .option('--secret-file <file>', 'its secret; else CLIENT_SECRET; without one it is a public client')
    .option('--public', 'it has no secret, whatever CLIENT_SECRET says')
    .option('--scope <scope...>', 'what to ask for')
    .option('--resource <identifier>', 'the resource server')
    .option('--issuer <url>', 'default: the configured issuer');
}

export function performCommands(program: Command, cli: Cli): void {
  const noun = program
    .command('perform')
    .description('walk through a flow and see every request and claim; secrets are shortened');
  flowOptions(noun.command('code'))
    .description('authorization code with PKCE: prints the address to sign in at, and waits for the answer')
    .option('--par', 'push the request first (RFC 9126)')
    .option(
      '--redirect-uri <uri>',
      'registered, on this machine; without a port (native clients) a free one is taken',
      readLoopbackUri,
      readLoopbackUri('http://127.0.0.1/callback'),
    )
    .option('--refresh', 'use the refresh token once, too')
    .option('--prompt <prompt>', 'login, consent, create or none')
    .option('--acr <class>', 'authentication class to ask for')
    .action((options: CodeOptions) => performCode(cli, options));
  flowOptions(noun.command('device'))
    .description('device authorization (RFC 8628)')
    .action((options: FlowOptions) => performDevice(cli, options));
  flowOptions(noun.command('client-credentials'))
    .description('a token for the client itself')
    .action((options: FlowOptions) => performClientCredentials(cli, options));
}
