import { createHash, randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { AppError } from '../errors.js';
import type { Cli } from './cli.js';
import { UsageError } from './command.js';
import { FlowSteps } from './flow-steps.js';
import { accepted, basic, endpointOf, metadataOf } from './issuer-endpoints.js';
import { waitOnLoopback } from './loopback-redirect.js';
import { words } from './options.js';
import { readTextFile } from './read-secret.js';

interface FlowOptions {
  readonly issuer?: string;
  readonly clientId: string;
  readonly secretFile?: string;
  readonly scope?: readonly string[];
  readonly resource?: string;
}

interface CodeOptions extends FlowOptions {
  readonly par?: boolean;
  readonly redirectPath: string;
  readonly prompt?: string;
  readonly acr?: string;
}

interface Flow {
  readonly issuer: string;
  readonly metadata: Record<string, unknown>;
  readonly steps: FlowSteps;
  /** Undefined for a public client, which names itself in the form (RFC 6749 §3.2.1). */
  readonly authorization: string | undefined;
  readonly identity: Readonly<Record<string, string>>;
}

async function begin(cli: Cli, options: FlowOptions): Promise<Flow> {
  const issuer = options.issuer ?? cli.loadConfig().config.issuer;
  const { CLIENT_SECRET: fromEnvironment } = cli.surroundings.env;
  const secret =
    options.secretFile === undefined ? fromEnvironment : readTextFile(cli.surroundings, options.secretFile);
  return {
    issuer,
    metadata: await metadataOf(issuer),
    steps: new FlowSteps(cli),
    authorization: secret === undefined ? undefined : basic(options.clientId, secret),
    identity: secret === undefined ? { client_id: options.clientId } : {},
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

async function finish(cli: Cli, flow: Flow, token: Record<string, unknown>): Promise<void> {
  const { steps, metadata, issuer } = flow;
  const accessToken = steps.claims('Claims of the access token', token.access_token);
  const idToken = steps.claims('Claims of the ID token', token.id_token);
  let userinfo: unknown;
  if (typeof token.id_token === 'string' && typeof token.access_token === 'string') {
    const url = endpointOf(metadata, issuer, 'userinfo_endpoint');
    userinfo = (await steps.get('Ask who the person is', url, token.access_token)).body;
  }
  cli.output.result(
    { exchanges: steps.exchanges, access_token_claims: accessToken, id_token_claims: idToken, userinfo },
    () => `\nDone: ${steps.exchanges.length} steps.`,
  );
}

async function performCode(cli: Cli, options: CodeOptions): Promise<void> {
  const flow = await begin(cli, options);
  const { steps, metadata, issuer, authorization, identity } = flow;
  const loopback = await waitOnLoopback(options.redirectPath);
  try {
    const { verifier, challenge } = makePkce();
    const state = randomBytes(16).toString('base64url');
    const nonce = randomBytes(16).toString('base64url');
    const scope = words(options.scope) ?? ['openid'];
    const parameters: Record<string, string> = {
      client_id: options.clientId,
      response_type: 'code',
      redirect_uri: loopback.redirectUri,
      ...wanted({ ...options, scope }),
      state,
      ...(scope.includes('openid') ? { nonce } : {}),
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
    await finish(cli, flow, token);
  } finally {
    loopback.close();
  }
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

function flowOptions(command: Command): Command {
  return command
    .requiredOption('--client-id <client-id>', 'the client that asks')
    .option('--secret-file <file>', 'its secret; else CLIENT_SECRET; without one it is a public client')
    .option('--scope <scope...>', 'what to ask for')
    .option('--resource <identifier>', 'the resource server')
    .option('--issuer <url>', 'default: the configured issuer');
}

export function performCommands(program: Command, cli: Cli): void {
  const noun = program
    .command('perform')
    .description('walk through a flow and see every request and claim; secrets are shortened');
  flowOptions(noun.command('code'))
    .description('authorization code with PKCE; the client needs the redirect URI http://127.0.0.1/callback')
    .option('--par', 'push the request first (RFC 9126)')
    .option('--redirect-path <path>', 'path of the redirect URI on 127.0.0.1', '/callback')
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
