import { Secret } from '../../src/config/config.js';
import { loadConfig } from '../../src/config/load.js';
import { createLogger } from '../../src/log.js';
import { startServer } from '../../src/server.js';
import { ISSUER } from '../support/nodes.js';

/** A node in a process of its own, so that it can be killed. */
const [url = '', rootKey = ''] = process.argv.slice(2);
const { config } = loadConfig({
  env: {
    CLAVIGER_ENVIRONMENT: 'development',
    CLAVIGER_ISSUER: ISSUER,
    CLAVIGER_DATABASE_URL: url,
    CLAVIGER_ROOT_KEY: rootKey,
    CLAVIGER_HTTP_PORT: '0',
    CLAVIGER_HTTP_OPERATIONS_PORT: '0',
    CLAVIGER_LOG_LEVEL: 'error',
  },
  cwd: '/nonexistent',
});
const server = await startServer({
  config,
  rootKey: new Secret(rootKey),
  log: createLogger(config.log, { write: () => undefined }),
});
process.send?.({ port: server.port });
