import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { Alerts } from './alerts/alerts.js';
import { GroupCommit } from './audit/group-commit.js';
import { clientOfBasic } from './clients/basic-credentials.js';
import { RevokedTokenStore } from './clients/revoked-token-store.js';
import { SecretUses } from './clients/secret-uses.js';
import { type Clock, systemClock } from './clock.js';
import type { Config, Secret } from './config/config.js';
import type { UpstreamProvider } from './config/federation-file.js';
import { ChangeFeed } from './database/change-feed.js';
import { openDatabase } from './database/connect.js';
import { openInstallation } from './database/installation.js';
import { createMailer, DevelopmentMailbox } from './delivery/mailer.js';
import { createListener, createOperationsApp, edge } from './http/app.js';
import { listen, portOf } from './http/listen.js';
import { openPages } from './http/pages.js';
import { readiness } from './http/readiness.js';
import { stoppable } from './http/stop-server.js';
import { createJobs } from './jobs/jobs.js';
import { JwksFetches } from './keys/jwks-fetches.js';
import { deriveKeyPolicy } from './keys/key-policy.js';
import { KeyRing, LARGEST_DRIFT_FOR } from './keys/key-ring.js';
import { promotionHold } from './keys/promotion-hold.js';
import { advanceRing, type RotationContext } from './keys/rotate.js';
import { openSigningBackends } from './keys/signing-backends/open-signing-backends.js';
import type { Logger } from './log.js';
import { Metrics } from './metrics.js';
import { tellAlgorithmFindings } from './oidc/algorithm-findings.js';
import { algorithmsInUse } from './oidc/algorithm-users.js';
import { AuthorizationServer } from './oidc/authorization-server.js';
import { deliverLogout } from './oidc/deliver-logout.js';
import { ownTokenVerifier } from './oidc/own-tokens.js';
import { openAccess, openPeople, type People } from './oidc/people.js';
import { PollLimit } from './oidc/polling.js';
import { openRecords } from './oidc/records.js';
import { RefreshRotation } from './oidc/refresh-rotation.js';
import { ringCompanions } from './oidc/ring-companions.js';
import { ROUTES } from './oidc/routes.js';
import { TokenPolicy } from './oidc/token-policy.js';
import { openStatusLists } from './oidc/token-status.js';
import { createGuardedFetch } from './outbound/guarded-fetch.js';
import { GRANT_TYPES } from './protocol.js';
import { Limiter } from './rate-limits/limiter.js';
import { ResourceStore } from './resources/resource-store.js';
import { configuredRootKey } from './root-keys/configured-root-key.js';

export interface ServerOptions {
  readonly config: Config;
  readonly rootKey: Secret;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Whom people may sign in with; default: nobody. */
  readonly upstreamProviders?: readonly UpstreamProvider[];
  /** Milliseconds added to the database's clock; tests only. */
  readonly databaseClockOffset?: () => number;
  /** Called between the steps of a rotation; tests stop the process there. */
  readonly onRotationStep?: RotationContext['onStep'];
  /** How a new key ring reaches the core; the default keeps the live Provider. */
  readonly keyUpdate?: 'replace' | 'swap';
  /** Seconds between turning unready and closing the door, in which clients are asked to go elsewhere. Default 0. */
  readonly drainFor?: number;
  /** False: nothing happens by itself; a test that moves time calls `tick`. */
  readonly hasTimers?: boolean;
}

export interface RunningServer {
  readonly nodeId: string;
  readonly issuer: string;
  readonly port: number;
  readonly operationsPort: number;
  readonly ring: KeyRing;
  readonly authorizationServer: AuthorizationServer;
  readonly people: People;
  /** Runs what timers would run: feed, heartbeat, rotation, sweeps. */
  tick(): Promise<void>;
  /** Lets requests under way end, writes what is pending, gives up the lease. */
  close(): Promise<void>;
}

/**
 * Builds everything once, in order, and listens only when the ring is loaded and the database knows this node.
 *
 * @throws AppError for everything an operator can mend: foreign database, wrong root key, unreachable database.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, log, clock = systemClock, drainFor = 0 } = options;
  let draining = false;
  const isDraining = (): boolean => draining;
  const nodeId = `${hostname().slice(0, 40)}-${randomUUID().slice(0, 8)}`;
  const database = openDatabase({
    ...config.database,
    log,
    clockOffset: options.databaseClockOffset ?? (() => config.database.clockOffsetFor * 1000),
  });
  const backends = openSigningBackends(config, clock.monotonic);
  try {
    const rootKey = configuredRootKey(config, options.rootKey);
    // From here on the data keys are in memory: whoever holds the root key may be away.
    const { keys, migrated, movedFrom } = await openInstallation(database, rootKey, config).finally(() =>
      rootKey.close(),
    );
    if (migrated.length > 0)
      log.info({ event: 'database.migrated', migrations: migrated }, 'database migrated');
    if (movedFrom !== undefined) {
      log.warn(
        { event: 'database.moved', from: movedFrom, to: config.issuer },
        'development issuer has moved',
      );
    }

    const feed = new ChangeFeed(database);
    const metrics = new Metrics(GRANT_TYPES);
    const keyPolicy = deriveKeyPolicy(config);
    const ring = new KeyRing({
      database,
      feed,
      policy: keyPolicy,
      envelope: keys.signingKeyEnvelope,
      backends,
      nodeId,
      clock,
      log,
    });
    const access = openAccess({ database, nodeId, keys });
    const alerts = new Alerts({ database, nodeId, outbox: access.outbox, config, log });
    const rotation: RotationContext = {
      database,
      policy: keyPolicy,
      envelope: keys.signingKeyEnvelope,
      backends,
      onBlocked: (alg, err) =>
        log.warn({ event: 'signing_key.blocked', alg, err }, 'the next key cannot be made, or not be opened'),
      nodeId,
      actor: `node:${nodeId}`,
      algorithmsInUse,
      companions: ringCompanions({ database, nodeId, config, alerts }),
      hold: promotionHold(config.keys),
      isClockRight: now => Math.abs(clock.now() - now) <= LARGEST_DRIFT_FOR * 1000,
      ...(options.onRotationStep === undefined ? {} : { onStep: options.onRotationStep }),
    };
    const revoked = new RevokedTokenStore();
    const statusLists = openStatusLists({ database, config, ring, clock, log });
    const { clients, resources, users } = openRecords(database, feed, config.clients.cacheSize);
    const { artifacts } = access;
    const fetch = createGuardedFetch(config.outbound.allowedNetworks);
    const mailer = createMailer(config, log, clock);
    const limiter = new Limiter(database, keys.hasher, config.rateLimits);
    const people = openPeople(
      {
        ...{ config, database, nodeId, access, users, resources },
        mayMail: async userId => (await limiter.reserve('backchannel_mail', userId)).allowed,
      },
      () => authorizationServer.current,
    );
    const pages = openPages({
      config,
      clock,
      log,
      database,
      nodeId,
      keys,
      access,
      people,
      limiter,
      users,
      clients,
      resources,
      upstreamProviders: options.upstreamProviders ?? [],
      fetch,
      mailbox: mailer instanceof DevelopmentMailbox ? mailer : undefined,
      databaseNow: () => ring.databaseNow,
    });
    const secretUses = new SecretUses(database);
    const databaseNow = (): number => ring.databaseNow;
    const jwksFetches = new JwksFetches({
      database,
      networks: config.keys.verifierNetworks,
      authenticate: header => clientOfBasic(header, { clients, hasher: keys.hasher, databaseNow }),
      databaseNow,
    });
    const groupCommit = new GroupCommit({
      database,
      nodeId,
      monotonic: clock.monotonic,
      onBatch: (units, seconds) => metrics.observeCommit(units, seconds),
    });

    await advanceRing(rotation);
    await feed.catchUp();
    await ring.heartbeat();
    await tellAlgorithmFindings({ database, ring, config, log });

    const edgeParts = {
      config,
      clock,
      log,
      metrics,
      ring,
      keyPolicy,
      jwksFetches,
      statusLists: statusLists.published,
      readiness: () => readiness({ database, ring, keyPolicy, backends, isDraining }),
      pages,
    };
    const tokenPolicy = new TokenPolicy({
      database,
      resources: new ResourceStore(),
      revoked,
      clients,
      users,
      artifacts,
    });
    const verify = ownTokenVerifier(config, ring);
    const authorizationServer = new AuthorizationServer(
      {
        config,
        database,
        artifacts,
        clients,
        resources,
        hasher: keys.hasher,
        cookieKeys: [keys.cookieKey.toString('base64url')],
        dpopNonceSecret: keys.dpopNonceSecret,
        tokenPolicy,
        users,
        rotation: new RefreshRotation({
          database,
          artifacts,
          successorKey: keys.successorKey,
          databaseNow: () => ring.databaseNow,
        }),
        polls: new PollLimit(async key => (await limiter.reserve('token_poll', key)).allowed),
        subjects: access.subjects,
        ending: access.ending,
        pages: pages.core,
        backchannel: people.backchannel,
        fetch,
        ownAccessTokens: {
          database,
          artifacts,
          userinfoUrl: `${config.issuer}${ROUTES.userinfo}`,
          verify,
          isLive: token => tokenPolicy.isLive(token),
        },
        databaseNow: () => ring.databaseNow,
        secretUses,
        ring,
        statusLists,
        feed,
        groupCommit,
        revoked,
        verify,
        log,
        metrics,
        ...(options.keyUpdate === undefined ? {} : { keyUpdate: options.keyUpdate }),
      },
      edge(edgeParts),
    );
    const jobs = createJobs({
      database,
      nodeId,
      feed,
      ring,
      rotation,
      artifacts,
      revoked,
      secretUses,
      jwksFetches,
      metrics,
      alerts,
      limiter,
      deliveries: {
        database,
        nodeId,
        outbox: access.outbox,
        mailer,
        renderMail: pages.renderMail,
        deliverLogout: delivery =>
          deliverLogout(authorizationServer.current, fetch, () => randomUUID(), delivery),
        log,
      },
      log,
    });
    // Tells the database which ring this node answers with, so that nobody has to wait for its second heartbeat.
    await ring.heartbeat();
    const main = createServer(
      {
        requestTimeout: config.http.requestTimeoutAfter * 1000,
        headersTimeout: 10_000,
        keepAliveTimeout: 65_000,
      },
      createListener(edgeParts, authorizationServer.listener, isDraining),
    );
    const operations = createServer(createOperationsApp(edgeParts).callback());
    const [stopMain, stopOperations] = [stoppable(main), stoppable(operations)];
    await listen(main, config.http.port, config.http.host);
    await listen(operations, config.http.operationsPort, config.http.operationsHost).catch(async error => {
      await stopMain(0);
      throw error;
    });
    if (options.hasTimers !== false) jobs.start();

    return {
      nodeId,
      issuer: config.issuer,
      port: portOf(main),
      operationsPort: portOf(operations),
      ring,
      authorizationServer,
      people,
      tick: () => jobs.tick(),
      async close() {
        draining = true;
        if (drainFor > 0) await new Promise(resolve => setTimeout(resolve, drainFor * 1000));
        await Promise.all([stopMain(config.http.shutdownAfter), stopOperations(1)]);
        await jobs.stop();
        await groupCommit.settled();
        for (const noted of [secretUses, jwksFetches]) {
          await noted
            .flush()
            .catch((error: unknown) => log.warn({ err: error }, 'last uses could not be written'));
        }
        await ring
          .leave()
          .catch((error: unknown) => log.warn({ err: error }, 'the lease could not be given up'));
        metrics.close();
        backends.close();
        await database.close();
      },
    };
  } catch (error) {
    backends.close();
    await database.close();
    throw error;
  }
}
