import { hostname } from 'node:os';
import type { Actor } from '../../src/audit/events.js';
import { createClient, type NewClientInput } from '../../src/clients/change-client.js';
import type { Clock } from '../../src/clock.js';
import { type Config, Secret } from '../../src/config/config.js';
import { loadConfig } from '../../src/config/load.js';
import { generateRootKey, localRootKey } from '../../src/crypto/root-key.js';
import { type Database, openDatabase } from '../../src/database/connect.js';
import { type DataKeys, openInstallation } from '../../src/database/installation.js';
import { createLogger } from '../../src/log.js';
import { createResourceServer } from '../../src/resources/change-resource-server.js';
import type { ResourceServer, ResourceServerInput } from '../../src/resources/resource-server.js';
import { type RunningServer, type ServerOptions, startServer } from '../../src/server.js';

export const ISSUER = 'http://localhost:4400';
export const RESOURCE = 'https://api.example.test/orders';
export const OPERATOR: Actor = `os:test@${hostname()}`;

export interface SeededClient {
  readonly clientId: string;
  readonly clientSecret: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // Whatever the server said; the test that reads it says what it expects.
  readonly json: Record<string, unknown>;
}

export interface ClusterOptions {
  readonly url: string;
  /** Settings by environment variable, e.g. CLAVIGER_KEYS_ANNOUNCE_FOR. */
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  /** Of nodes that take over a database; default: a new one. */
  readonly rootKey?: string;
  /** Milliseconds by which the database's clock is moved, for everybody. */
  readonly databaseClockOffset?: () => number;
  /** Receives each log line; default: nobody. */
  readonly onLog?: (line: string) => void;
}

type NodeOptions = Pick<
  ServerOptions,
  'onRotationStep' | 'keyUpdate' | 'hasTimers' | 'drainFor' | 'upstreamProviders'
> & {
  /** Settings that differ from the cluster's. */
  readonly env?: Readonly<Record<string, string>>;
};

/** Real nodes in this process, on one database, with what an operator would have set up. */
export class Cluster {
  readonly rootKey: string;
  readonly config: Config;
  readonly nodes: RunningServer[] = [];
  readonly #options: ClusterOptions;
  #operator: { readonly database: Database; readonly keys: DataKeys } | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.rootKey = options.rootKey ?? generateRootKey();
    this.config = this.configWith();
  }

  /** The cluster's configuration, with what one node or one operator has of its own. */
  configWith(env: Readonly<Record<string, string>> = {}): Config {
    const options = this.#options;
    return loadConfig({
      env: {
        CLAVIGER_ENVIRONMENT: 'development',
        CLAVIGER_ISSUER: ISSUER,
        CLAVIGER_DATABASE_URL: options.url,
        CLAVIGER_ROOT_KEY: this.rootKey,
        CLAVIGER_HTTP_PORT: '0',
        CLAVIGER_HTTP_OPERATIONS_PORT: '0',
        CLAVIGER_LOG_FORMAT: 'json',
        CLAVIGER_LOG_LEVEL: options.onLog === undefined ? 'error' : 'debug',
        ...options.env,
        ...env,
      },
      cwd: '/nonexistent',
    }).config;
  }

  async start({ env, ...options }: NodeOptions = {}): Promise<RunningServer> {
    const { clock, databaseClockOffset, onLog } = this.#options;
    const node = await startServer({
      config: env === undefined ? this.config : this.configWith(env),
      rootKey: new Secret(this.rootKey),
      log: createLogger(this.config.log, { write: line => onLog?.(line) }),
      ...(clock === undefined ? {} : { clock }),
      ...(databaseClockOffset === undefined ? {} : { databaseClockOffset }),
      ...options,
    });
    this.nodes.push(node);
    return node;
  }

  /** What the operator's command line works with, beside the nodes. */
  async operator(): Promise<{
    readonly database: Database;
    readonly keys: DataKeys;
    readonly nodeId: string;
    readonly config: Config;
  }> {
    if (this.#operator === undefined) {
      const { databaseClockOffset } = this.#options;
      const database = openDatabase({
        url: this.#options.url,
        ...(databaseClockOffset === undefined ? {} : { clockOffset: databaseClockOffset }),
      });
      const { keys } = await openInstallation(database, localRootKey(this.rootKey), this.config);
      this.#operator = { database, keys };
    }
    return { ...this.#operator, nodeId: 'operator', config: this.config };
  }

  async resourceServer(input: Partial<ResourceServerInput> = {}): Promise<ResourceServer> {
    const { database, nodeId } = await this.operator();
    return createResourceServer(
      { database, nodeId },
      { identifier: RESOURCE, scopes: ['orders.read', 'orders.write'], accessTokenFor: 600, ...input },
      OPERATOR,
    );
  }

  async client(input: Partial<NewClientInput> = {}): Promise<SeededClient> {
    const { database, keys, nodeId, config } = await this.operator();
    const { client, secret } = await createClient(
      { database, nodeId, config, hasher: keys.hasher },
      {
        name: 'orders worker',
        resources: [{ identifier: RESOURCE, scopes: ['orders.read', 'orders.write'] }],
        ...input,
      },
      OPERATOR,
    );
    if (secret === undefined) throw new Error('a client without a secret');
    return { clientId: client.clientId, clientSecret: secret.clientSecret };
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.splice(0).map(node => node.close()));
    await this.#operator?.database.close();
    this.#operator = undefined;
  }
}

export function basic({ clientId, clientSecret }: SeededClient): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}` };
}

export function urlOf(node: RunningServer, path: string): string {
  return `http://127.0.0.1:${node.port}${path}`;
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // Not every answer is JSON; a test that expects it fails on what it finds missing.
  }
  return { status: response.status, headers: response.headers, text, json };
}

export async function post(
  node: RunningServer,
  path: string,
  form: Readonly<Record<string, string>> | string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const body = typeof form === 'string' ? form : new URLSearchParams(form).toString();
  return answerOf(
    await fetch(urlOf(node, path), {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    }),
  );
}

export async function get(
  node: RunningServer,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return answerOf(await fetch(urlOf(node, path), { headers }));
}

/** The access token of a client_credentials request that succeeds. */
export async function token(
  node: RunningServer,
  client: SeededClient,
  form: Readonly<Record<string, string>> = {},
): Promise<string> {
  const answer = await post(
    node,
    '/oauth2/token',
    { grant_type: 'client_credentials', ...form },
    basic(client),
  );
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
  return String(answer.json.access_token);
}
