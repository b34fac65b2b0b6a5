import { claimModules } from './claim-modules.js';
import { codeModules } from './code-modules.js';
import { requestModules } from './request-modules.js';
import { sessionModules } from './session-modules.js';
import { onEachTopology } from './topologies.js';

/** Titles are the module names of the OpenID Foundation's conformance suite, and each test demands what its module does. */
describe('conformance plan Basic', () => {
  onEachTopology('query', suite => {
    codeModules(suite);
    claimModules(suite);
    sessionModules(suite);
    requestModules(suite);
  });
});
