import { expect } from 'chai';
import { isAppError } from '../../../src/errors.js';
import { disableUser, lockUser } from '../../../src/users/change-user.js';
import { setPassword } from '../../../src/users/set-password.js';
import { forEachDatabase } from '../../support/databases.js';
import type { RelyingParty } from '../../support/relying-party.js';
import { ACTING, LifecycleScene, NEXT_PASSWORD } from './lifecycle-scene.js';
import { type Change, type Outcome, PATHS, preparePaths } from './matrix-paths.js';

/** What each outcome is in words; where somebody is asked again, what was asked for before is worth nothing. */
const WORDS: Readonly<Record<Outcome, string>> = {
  token: 'a token',
  'token without the scope': 'a token without that scope',
  invalid_grant: 'no token',
  invalid_client: 'no token',
  active: 'active',
  inactive: 'inactive',
  '200': 'answers',
  '401': 'refused',
  code: 'a code',
  consent: 'the person is asked again',
  'sign-in': 'the person must sign in',
  login_required: 'no code',
  consent_required: 'no code',
  invalid_scope: 'no code',
  'page 400': 'no code',
  'connected, token': 'a token',
  'no such code (422), invalid_client': 'cannot be approved, no token',
  'page 422, invalid_scope': 'cannot be approved, no token',
  'consent, authorization_pending': 'the person is asked again, no token',
  'sign-in, authorization_pending': 'the person must sign in, no token',
};

const DEAD_TOKENS = {
  'introspection of a JWT': 'inactive',
  'status list of a JWT': 'inactive',
  'introspection of an opaque token': 'inactive',
  userinfo: '401',
  'userinfo with an opaque token': '401',
};

/** The client is to the server what a client is that never was. */
const CLIENT_GONE = {
  ...DEAD_TOKENS,
  refresh: 'invalid_client',
  'refresh with offline_access': 'invalid_client',
  'code in flight': 'invalid_client',
  'approved device': 'invalid_client',
  'device not yet approved': 'no such code (422), invalid_client',
  CIBA: 'invalid_client',
  'silent sign-in': 'page 400',
  'PAR in flight': 'page 400',
};

/** Whatever was allowed is not allowed any more. */
const GRANTS_GONE = {
  ...DEAD_TOKENS,
  refresh: 'invalid_grant',
  'refresh with offline_access': 'invalid_grant',
  'code in flight': 'invalid_grant',
  'approved device': 'invalid_grant',
  CIBA: 'invalid_grant',
};

/** And nobody is signed in. */
const PERSON_GONE = {
  ...GRANTS_GONE,
  'device not yet approved': 'sign-in, authorization_pending',
  'silent sign-in': 'login_required',
  'PAR in flight': 'sign-in',
};

type Outcomes = Readonly<Record<string, Outcome>>;

interface Row {
  readonly title: string;
  readonly leadsTo: Outcomes;
  readonly change: ((scene: LifecycleScene) => Change) | undefined;
}

function toEach(work: (scene: LifecycleScene, party: RelyingParty) => Promise<unknown>): Row['change'] {
  return scene => async (_person, parties) => {
    for (const party of parties) await work(scene, party);
  };
}

const ROWS: readonly Row[] = [
  {
    title: 'nothing changed (control)',
    change: undefined,
    leadsTo: {
      refresh: 'token',
      'refresh with offline_access': 'token',
      'code in flight': 'token',
      'approved device': 'token',
      'device not yet approved': 'connected, token',
      CIBA: 'token',
      'introspection of a JWT': 'active',
      'status list of a JWT': 'active',
      'introspection of an opaque token': 'active',
      userinfo: '200',
      'userinfo with an opaque token': '200',
      'silent sign-in': 'code',
      'PAR in flight': 'code',
    },
  },
  {
    title: 'client disabled',
    change: toEach((scene, party) => scene.disable(party)),
    leadsTo: CLIENT_GONE,
  },
  {
    title: 'client deleted',
    change: toEach((scene, party) => scene.delete(party)),
    leadsTo: CLIENT_GONE,
  },
  {
    title: 'user disabled',
    change:
      ({ context }) =>
      async ({ user }) => {
        await disableUser(context, { userId: user.id }, ACTING);
      },
    leadsTo: PERSON_GONE,
  },
  {
    title: 'user locked',
    change:
      ({ context }) =>
      async ({ user }) => {
        await lockUser(context, { userId: user.id }, ACTING);
      },
    leadsTo: PERSON_GONE,
  },
  {
    title: 'consent revoked',
    change: toEachConsent,
    leadsTo: {
      ...GRANTS_GONE,
      'device not yet approved': 'consent, authorization_pending',
      'silent sign-in': 'consent_required',
      'PAR in flight': 'consent',
    },
  },
  {
    title: 'scope removed from the client',
    change: toEach((scene, party) => scene.removeScope(party)),
    leadsTo: {
      ...DEAD_TOKENS,
      refresh: 'invalid_grant',
      'refresh with offline_access': 'invalid_grant',
      'code in flight': 'token without the scope',
      'approved device': 'token without the scope',
      'device not yet approved': 'page 422, invalid_scope',
      CIBA: 'token without the scope',
      'silent sign-in': 'invalid_scope',
      'PAR in flight': 'invalid_scope',
    },
  },
  {
    // Requirement 51: what was granted for the person's absence goes on, and nothing else does.
    title: 'session ended',
    change: scene => async person => {
      await scene.access.sessions.endAll(person.user.id, ACTING);
    },
    leadsTo: { ...PERSON_GONE, 'refresh with offline_access': 'token' },
  },
  {
    title: 'password changed by an operator',
    change:
      ({ context }) =>
      async ({ user }) => {
        await setPassword(context, { userId: user.id, password: NEXT_PASSWORD }, ACTING);
      },
    leadsTo: PERSON_GONE,
  },
];

function toEachConsent(scene: LifecycleScene): Change {
  return async ({ user }, parties) => {
    for (const { client } of parties) {
      await scene.access.consents.revoke(user.id, client.clientId, ACTING).catch((error: unknown) => {
        // The device that was not approved yet has been allowed nothing so far.
        if (!isAppError(error, 'not_found')) throw error;
      });
    }
  };
}

// There is no token exchange yet; its row belongs here when there is.
describe('what ends access, by what access is had with (requirement 40)', function () {
  this.timeout(120_000);
  forEachDatabase((name, fresh) => {
    let scene: LifecycleScene;
    const runs = new Map<string, () => Promise<ReadonlyMap<string, Outcome>>>();

    before(async () => {
      const nodes = name === 'SQLite' ? 2 : 3;
      scene = await LifecycleScene.open({ url: (await fresh()).url, nodes, hasTimers: true });
      await Promise.all(
        ROWS.map(async ({ title, change }) => runs.set(title, await preparePaths(scene, change?.(scene)))),
      );
    });

    after(() => scene.close());

    for (const { title, leadsTo } of ROWS) {
      describe(title, () => {
        let outcomes: ReadonlyMap<string, Outcome>;

        before(async () => {
          outcomes = (await runs.get(title)?.()) ?? new Map();
        });

        for (const { name: path } of PATHS) {
          const expected = leadsTo[path] ?? 'unknown';
          it(`${title} × ${path}: ${WORDS[expected] ?? expected}, on another node, within a second`, () => {
            expect(outcomes.get(path)).to.equal(expected);
          });
        }
      });
    }
  });
});
