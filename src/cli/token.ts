import type { Command } from 'commander';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { AppError } from '../errors.js';
import { createVerifier, VerificationError } from '../verifier/verify-access-token.js';
import type { Cli, Consent } from './cli.js';
import { CommandFailed, UsageError } from './command.js';
import { accepted, basic, endpointOf, metadataOf, postForm } from './issuer-endpoints.js';
import { destructive, words } from './options.js';
import { printable } from './output.js';
import { readClientSecret, readStdin, readTextFile } from './read-secret.js';
import { instant } from './wire.js';

interface TokenOptions {
  readonly issuer?: string;
  readonly clientId: string;
  readonly secretFile?: string;
}

interface GetOptions extends TokenOptions {
  readonly resource?: string;
  readonly scope?: readonly string[];
}

interface PresentedOptions extends TokenOptions, Consent {
  readonly tokenFile?: string;
}

async function issuerOf(cli: Cli, { issuer }: { readonly issuer?: string | undefined }): Promise<string> {
  return issuer ?? (await cli.loadConfig()).config.issuer;
}

async function get(cli: Cli, options: GetOptions): Promise<void> {
  const issuer = await issuerOf(cli, options);
  const secret = await readClientSecret(cli.surroundings, options.secretFile, true);
  const url = endpointOf(await metadataOf(issuer), issuer, 'token_endpoint');
  const form = {
    grant_type: 'client_credentials',
    resource: options.resource,
    scope: words(options.scope)?.join(' '),
  };
  const answer = await postForm(url, form, basic(options.clientId, secret));
  const token = accepted(answer, 'The token');
  // The token alone, so that TOKEN=$(claviger token get …) works.
  cli.output.result(token, () => String(token.access_token));
}

async function presented(
  cli: Cli,
  { tokenFile }: { readonly tokenFile?: string | undefined },
): Promise<string> {
  if (tokenFile !== undefined) return readTextFile(cli.surroundings, tokenFile);
  if (cli.surroundings.isTty) cli.output.say('Paste the token, then end the input (Ctrl-D).');
  const token = await readStdin(cli.surroundings);
  if (token === '') throw new UsageError('Give the token on standard input or by --token-file.');
  return token;
}

const TIMES = { iat: 'issued_at', nbf: 'valid_from', exp: 'expires_at' } as const;

function decoded(token: string) {
  try {
    const claims = decodeJwt(token);
    const times = Object.fromEntries(
      Object.entries(TIMES).flatMap(([claim, name]) => {
        const seconds = claims[claim];
        return typeof seconds === 'number' && Math.abs(seconds) < 8e12
          ? [[name, instant(seconds * 1000)]]
          : [];
      }),
    );
    return { header: decodeProtectedHeader(token), claims, times };
  } catch (cause) {
    throw new AppError(
      'invalid_request',
      'This is no JWT, so there is nothing to decode. An opaque token is looked up by: claviger token introspect',
      { cause },
    );
  }
}

async function verified(issuer: string, token: string, audience: unknown): Promise<string | undefined> {
  const first: unknown = Array.isArray(audience) ? audience[0] : audience;
  if (typeof first !== 'string' || first === '') return 'audience_wrong';
  try {
    await createVerifier({ issuer, audience: first }).verify(token);
    return undefined;
  } catch (error) {
    if (error instanceof VerificationError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

interface DecodeOptions {
  readonly tokenFile?: string;
  readonly verify?: boolean;
  readonly issuer?: string;
}

async function decode(cli: Cli, options: DecodeOptions): Promise<void> {
  const token = await presented(cli, options);
  const { header, claims, times } = decoded(token);
  const isVerified = options.verify === true;
  const problem = isVerified ? await verified(await issuerOf(cli, options), token, claims.aud) : undefined;
  const json = {
    header,
    claims,
    times,
    verified: isVerified ? problem === undefined : null,
    ...(problem === undefined ? {} : { problem }),
  };
  cli.output.result(json, () =>
    [
      printable(`header ${JSON.stringify(header, null, 2)}`),
      printable(`claims ${JSON.stringify(claims, null, 2)}`),
      cli.output.facts([
        ...Object.entries(times).map(([name, at]) => [name, String(at)] as const),
        [
          'verified',
          problem ?? (isVerified ? 'yes: signature, issuer, audience and times' : 'no, only decoded'),
        ],
      ]),
    ].join('\n'),
  );
  if (problem !== undefined) throw new CommandFailed();
}

async function introspect(cli: Cli, options: PresentedOptions): Promise<void> {
  const issuer = await issuerOf(cli, options);
  const secret = await readClientSecret(
    cli.surroundings,
    options.secretFile,
    options.tokenFile !== undefined,
  );
  const token = await presented(cli, options);
  const url = endpointOf(await metadataOf(issuer), issuer, 'introspection_endpoint');
  const answer = await postForm(url, { token }, basic(options.clientId, secret));
  const found = accepted(answer, 'The introspection');
  cli.output.result(found, () => printable(JSON.stringify(found, null, 2)));
}

async function revoke(cli: Cli, options: PresentedOptions): Promise<void> {
  const issuer = await issuerOf(cli, options);
  const secret = await readClientSecret(
    cli.surroundings,
    options.secretFile,
    options.tokenFile !== undefined,
  );
  const token = await presented(cli, options);
  const url = endpointOf(await metadataOf(issuer), issuer, 'revocation_endpoint');
  if (options.dryRun === true) {
    cli.output.result({ revoked: false, endpoint: url }, () => `The token would be sent to ${url}.`);
    return;
  }
  await cli.confirm('Revoke this token?', options);
  accepted(await postForm(url, { token }, basic(options.clientId, secret)), 'The revocation');
  // RFC 7009 §2.2: the same answer for a token that never was.
  cli.output.result({ revoked: true }, () => 'The token opens nothing any more.');
  cli.output.say('Resource servers that do not introspect accept a JWT until it expires.');
}

function clientOptions(command: Command): Command {
  return command
    .requiredOption('--client-id <client-id>', 'the client that asks')
    .option('--secret-file <file>', 'its secret; else CLIENT_SECRET, else standard input')
    .option('--issuer <url>', 'default: the configured issuer');
}

export function tokenCommands(program: Command, cli: Cli): void {
  const noun = program
    .command('token')
    .description('access tokens, as a client or a resource server sees them');

  clientOptions(noun.command('get'))
    .description('ask the issuer for one, by client credentials')
    .option('--resource <identifier>', 'the resource server it is for')
    .option('--scope <scope...>', 'what it shall open')
    .action((options: GetOptions) => get(cli, options));

  noun
    .command('decode')
    .description('header, claims and readable times of a JWT (standard input or --token-file)')
    .option('--token-file <file>', 'the token')
    .option('--verify', "check it against the issuer's keys")
    .option('--issuer <url>', 'default: the configured issuer')
    .action((options: DecodeOptions) => decode(cli, options));

  clientOptions(noun.command('introspect'))
    .description('what the issuer says of a token (standard input or --token-file)')
    .option('--token-file <file>', 'the token')
    .action((options: PresentedOptions) => introspect(cli, options));

  destructive(clientOptions(noun.command('revoke')))
    .description('end a token of this client (standard input or --token-file)')
    .option('--token-file <file>', 'the token')
    .action((options: PresentedOptions) => revoke(cli, options));
}
