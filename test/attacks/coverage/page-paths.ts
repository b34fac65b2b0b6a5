import { accountRoutes } from '../../../src/http/account/account-routes.js';
import { interactionRoutes } from '../../../src/http/interaction/interaction-routes.js';
import { ISSUER } from '../../support/nodes.js';

/** Stands for whatever the routes are made with: only their addresses are looked at. */
const anything: unknown = new Proxy(() => undefined, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => ISSUER : anything),
  apply: () => anything,
});

/** Every address of a page or form, so that none can be added without being attacked. One segment may be `*`. */
export function pagePaths(method: 'GET' | 'POST'): string[] {
  const parts = anything as never;
  const routes = [...interactionRoutes(parts, parts), ...accountRoutes(parts, parts)];
  return routes.filter(([, { methods }]) => methods.includes(method)).map(([path]) => path);
}
