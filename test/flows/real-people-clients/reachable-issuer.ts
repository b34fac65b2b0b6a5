import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { freePort } from '../../support/chromium.js';
import { freshSqlite } from '../../support/databases.js';
import { FormBrowser, roundRobin } from '../../support/form-browser.js';
import { Cluster } from '../../support/nodes.js';
import { type Person, seedUser } from '../../support/people.js';
import type { FreshDatabase } from '../../support/postgres.js';

/** Other people's clients know the issuer's address only, so this node listens where its issuer says. */
export class ReachableIssuer {
  readonly cluster: Cluster;
  readonly issuer: string;
  readonly person: Person;
  /** Of the database's clock, by which polls are counted. */
  readonly moveBy: (seconds: number) => void;
  readonly #database: FreshDatabase;

  private constructor(
    cluster: Cluster,
    person: Person,
    database: FreshDatabase,
    moveBy: (seconds: number) => void,
  ) {
    this.cluster = cluster;
    this.issuer = cluster.config.issuer;
    this.person = person;
    this.moveBy = moveBy;
    this.#database = database;
  }

  static async open(): Promise<ReachableIssuer> {
    const database = await freshSqlite();
    const port = await freePort();
    const issuer = `http://localhost:${port}`;
    let moved = 0;
    const cluster = new Cluster({
      url: database.url,
      databaseClockOffset: () => moved,
      env: {
        CLAVIGER_ISSUER: issuer,
        CLAVIGER_HTTP_PORT: String(port),
        // The clients that are told of a sign-out listen here, too.
        CLAVIGER_OUTBOUND_ALLOWED_NETWORKS: '127.0.0.0/8',
      },
    });
    await cluster.start();
    const person = await seedUser(cluster, { profile: { name: 'Ada Example' } });
    return new ReachableIssuer(cluster, person, database, seconds => {
      moved += seconds * 1000;
    });
  }

  /** A person's browser without scripts. */
  browser(): FormBrowser {
    return new FormBrowser({ issuer: this.issuer, pick: roundRobin(this.cluster.nodes) });
  }

  /** The same person in Chromium, on the sign-in page; ends on the page after it. */
  async typePassword(page: Page): Promise<void> {
    const { email, password } = this.person;
    await page.fill('input[name="email"]', email);
    await page.fill('input[name="password"]', password);
    await page.click('form:has(input[name="password"]) button');
  }

  async close(): Promise<void> {
    await this.cluster.close();
    await this.#database.drop();
  }
}

export interface Listening {
  readonly origin: string;
  close(): Promise<void>;
}

/** A site of its own at a loopback host. */
export async function listen(
  listener: RequestListener,
  {
    host = 'localhost',
    port = 0,
  }: { readonly host?: 'localhost' | '127.0.0.1'; readonly port?: number } = {},
): Promise<Listening> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    origin: `http://${host}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
