import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { freePort, type OpenedPage, openPage, type PageOptions } from '../support/chromium.js';
import { freshSqlite } from '../support/databases.js';
import { Cluster, RESOURCE } from '../support/nodes.js';
import { seedPublicClient } from '../support/people.js';
import type { FreshDatabase } from '../support/postgres.js';
import type { Attempt, RelyingParty, TokenSet } from '../support/relying-party.js';

/** A node that a browser can reach under its issuer's name, and a client that it comes back to. */
export class Site {
  readonly cluster: Cluster;
  readonly issuer: string;
  readonly client: RelyingParty;
  readonly #database: FreshDatabase;
  readonly #callback: Server;
  readonly #opened: OpenedPage[] = [];

  constructor(parts: {
    readonly cluster: Cluster;
    readonly client: RelyingParty;
    readonly database: FreshDatabase;
    readonly callback: Server;
  }) {
    this.cluster = parts.cluster;
    this.issuer = parts.cluster.config.issuer;
    this.client = parts.client;
    this.#database = parts.database;
    this.#callback = parts.callback;
  }

  async open(options: PageOptions = {}): Promise<OpenedPage> {
    const opened = await openPage(options);
    this.#opened.push(opened);
    return opened;
  }

  /** The browser is on its way to the client, or already there: the tokens for what it brings. */
  async tokens(page: Page, attempt: Attempt): Promise<TokenSet> {
    await page.waitForURL(url => url.href.startsWith(this.client.client.redirectUri));
    const url = new URL(page.url());
    const parameters = Object.fromEntries(url.searchParams);
    const response = {
      method: 'GET' as const,
      uri: `${url.origin}${url.pathname}`,
      url: url.href,
      parameters,
    };
    if (parameters.state !== attempt.parameters.state) throw new Error('the state is of another request');
    if (parameters.iss !== this.issuer) throw new Error('the response is of another issuer');
    if (parameters.code === undefined) throw new Error(`no code: ${response.url}`);
    return this.client.tokenSet(await this.client.redeem(attempt, parameters.code), attempt);
  }

  /** The link in the newest mail to this address, as the development mailbox shows it. */
  async mailedLink(email: string): Promise<string> {
    for (const node of this.cluster.nodes) await node.tick();
    const { page, close } = await openPage();
    try {
      await page.goto(`${this.issuer}/development/mail`);
      const letter = page.locator('article', { hasText: email }).locator('a[href*="/link"]').first();
      const href = await letter.getAttribute('href');
      if (href === null) throw new Error(`no link was mailed to ${email}`);
      return href;
    } finally {
      await close();
    }
  }

  async closePages(): Promise<void> {
    for (const opened of this.#opened.splice(0)) await opened.close();
  }

  async close(): Promise<void> {
    await this.closePages();
    await this.cluster.close();
    await this.#database.drop();
    this.#callback.close();
  }
}

export async function openSite(env: Readonly<Record<string, string>> = {}): Promise<Site> {
  const callback = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Client</title>');
  });
  await new Promise<void>(resolve => callback.listen(0, '127.0.0.1', resolve));
  const port = await freePort();
  const database = await freshSqlite();
  const cluster = new Cluster({
    url: database.url,
    env: { CLAVIGER_ISSUER: `http://localhost:${port}`, CLAVIGER_HTTP_PORT: String(port), ...env },
  });
  await cluster.start();
  await cluster.resourceServer();
  const redirectUri = `http://127.0.0.1:${(callback.address() as AddressInfo).port}/callback`;
  const client = await seedPublicClient(cluster, {
    redirectUris: [redirectUri],
    grantTypes: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    resources: [{ identifier: RESOURCE, scopes: ['orders.read'], isDefault: true }],
    oidcScopes: ['openid', 'profile', 'email', 'offline_access'],
  });
  return new Site({ cluster, client, database, callback });
}
