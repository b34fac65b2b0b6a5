import { VerificationError } from '../../../src/verifier/errors.js';
import type { FormBrowser, Landing } from '../../support/form-browser.js';
import type { Answer } from '../../support/nodes.js';
import type { Person } from '../../support/people.js';
import { type Attempt, CLIENT_ORIGIN, type RelyingParty } from '../../support/relying-party.js';
import { verifierAt } from '../../support/verifier-at.js';
import { CIBA, DEVICE, type LifecycleScene, OPAQUE_RESOURCE } from './lifecycle-scene.js';

/** Milliseconds in which every node must know. */
const WITHIN = 1000;

/** Someone who is signed in, and a client of theirs that nothing else in the test uses. */
export interface Held {
  readonly scene: LifecycleScene;
  readonly person: Person;
  readonly browser: FormBrowser;
  readonly party: RelyingParty;
  /** Nothing is changed: what a person can allow is allowed. */
  readonly isControl: boolean;
}

/**
 * What happened, in a word or two: `token`, `active`, `code`, what is asked for (`sign-in`, `consent`), or the error.
 */
export type Outcome = string;

interface Path {
  readonly name: string;
  /** What the client has before the change; what it then tries, on another node than the change was made on. */
  prepare(held: Held): Promise<() => Promise<Outcome>>;
}

const OTHER = -1;

function outcomeOf({ status, json }: Answer): Outcome {
  if (status !== 200) return String(json.error ?? status);
  const scopes = String(json.scope ?? '').split(' ');
  return scopes.includes('orders.read') ? 'token' : 'token without the scope';
}

/** What the page that a browser has come to wants, or what the client is told. */
function landed({ departure, root, status }: Landing): Outcome {
  if (departure !== undefined) return departure.parameters.error ?? 'code';
  if (root.querySelector('input[name="password"]') !== null) return 'sign-in';
  if (root.querySelector('button[name="answer"][value="allow"]') !== null) return 'consent';
  return status === 200 ? 'page' : `page ${status}`;
}

/** Asked again until it says `dead`, or for a second: nothing is obtained meanwhile, an old answer is only given once more. */
async function until(dead: Outcome, ask: () => Promise<Outcome>): Promise<Outcome> {
  const end = performance.now() + WITHIN;
  for (;;) {
    const outcome = await ask();
    if (outcome === dead || performance.now() > end) return outcome;
  }
}

/** Both other nodes of a trio, the only other of a pair. */
function others({ scene, party }: Held): RelyingParty[] {
  return scene.cluster.nodes.slice(1).map((_node, index) => scene.at(party, index + 1));
}

async function worst(
  held: Held,
  dead: Outcome,
  ask: (party: RelyingParty) => Promise<Outcome>,
): Promise<Outcome> {
  const outcomes = await Promise.all(others(held).map(party => until(dead, () => ask(party))));
  return outcomes.find(outcome => outcome !== dead) ?? dead;
}

async function introspected(held: Held, token: string): Promise<Outcome> {
  const resourceServer = held.scene.introspector;
  return worst({ ...held, party: resourceServer }, 'inactive', async party => {
    const { status, json } = await party.ask('/oauth2/introspect', { token });
    return status !== 200 ? String(status) : json.active === true ? 'active' : 'inactive';
  });
}

/** What a resource server sees that asks nobody but fetches the list, from each of the other nodes. */
async function listed({ scene }: Held, token: string): Promise<Outcome> {
  const outcomes = scene.cluster.nodes.slice(1).map(node =>
    until('inactive', async () => {
      const answer = await verifierAt(node)
        .verify(token)
        .catch((error: unknown) => error);
      if (!(answer instanceof VerificationError)) return 'active';
      return answer.code === 'revoked' ? 'inactive' : answer.code;
    }),
  );
  return (await Promise.all(outcomes)).find(outcome => outcome !== 'inactive') ?? 'inactive';
}

function informed(held: Held, token: string): Promise<Outcome> {
  return worst(held, '401', async party => String((await party.userinfo(token)).status));
}

/** A device shows a code; its person types it in, in the browser of before. */
async function device({ party }: Held): Promise<{ deviceCode: string; userCode: string }> {
  const { json, status, text } = await party.ask('/oauth2/device', { scope: 'openid orders.read' });
  if (status !== 200) throw new Error(`${status} ${text}`);
  return { deviceCode: String(json.device_code), userCode: String(json.user_code) };
}

/** As far as it goes without a password. */
async function connect(browser: FormBrowser, userCode: string, allows: boolean): Promise<Outcome> {
  await browser.get('/oauth2/device/verify');
  await browser.submit('main form', { user_code: userCode });
  const button = 'button[name="confirm"]';
  if (!browser.has(button)) return `no such code (${browser.landing.status})`;
  await browser.submit(button, {}, { button });
  const asked = landed(browser.landing);
  if (asked !== 'consent' || !allows) return asked === 'page' ? 'connected' : asked;
  const allow = 'button[name="answer"][value="allow"]';
  await browser.submit(allow, {}, { button: allow });
  return landed(browser.landing) === 'page' ? 'connected' : browser.describe();
}

function poll({ scene, party }: Held, grant: Record<string, string>): Promise<Answer> {
  return scene.at(party, OTHER).ask('/oauth2/token', grant);
}

async function backchannel({ party, person }: Held): Promise<string> {
  const { json, status, text } = await party.ask('/oauth2/ciba', {
    scope: 'openid orders.read',
    login_hint: person.email,
  });
  if (status !== 200) throw new Error(`${status} ${text}`);
  return String(json.auth_req_id);
}

function open({ browser, scene }: Held, { url }: Attempt): Promise<Landing> {
  return scene.elsewhere(browser, OTHER).get(url, { from: CLIENT_ORIGIN });
}

/** Refused tokens give their grant away, so each path has a client of its own. */
export const PATHS: readonly Path[] = [
  {
    name: 'refresh',
    async prepare({ scene, party, browser, person }) {
      const { json } = await scene.tokens(party, browser, person);
      return async () => outcomeOf(await scene.at(party, OTHER).refresh(String(json.refresh_token)));
    },
  },
  {
    name: 'refresh with offline_access',
    async prepare({ scene, party, browser, person }) {
      const refreshToken = await scene.refreshToken(party, browser, person);
      return async () => outcomeOf(await scene.at(party, OTHER).refresh(refreshToken));
    },
  },
  {
    name: 'code in flight',
    async prepare({ scene, party, browser, person }) {
      const { attempt, code } = await scene.code(party, browser, person);
      return async () => outcomeOf(await scene.at(party, OTHER).redeem(attempt, code));
    },
  },
  {
    name: 'approved device',
    async prepare(held) {
      const { deviceCode, userCode } = await device(held);
      const outcome = await connect(held.browser.window(), userCode, true);
      if (outcome !== 'connected') throw new Error(outcome);
      return async () => outcomeOf(await poll(held, { grant_type: DEVICE, device_code: deviceCode }));
    },
  },
  {
    name: 'device not yet approved',
    async prepare(held) {
      const { deviceCode, userCode } = await device(held);
      return async () => {
        const asked = await connect(held.browser.window(), userCode, held.isControl);
        const polled = outcomeOf(await poll(held, { grant_type: DEVICE, device_code: deviceCode }));
        return `${asked}, ${polled}`;
      };
    },
  },
  {
    name: 'CIBA',
    async prepare(held) {
      const id = await backchannel(held);
      await held.scene.confirm(held.person);
      return async () => outcomeOf(await poll(held, { grant_type: CIBA, auth_req_id: id }));
    },
  },
  {
    name: 'introspection of a JWT',
    async prepare(held) {
      const { json } = await held.scene.tokens(held.party, held.browser, held.person);
      return () => introspected(held, String(json.access_token));
    },
  },
  {
    name: 'status list of a JWT',
    async prepare(held) {
      const { json } = await held.scene.tokens(held.party, held.browser, held.person);
      return () => listed(held, String(json.access_token));
    },
  },
  {
    name: 'introspection of an opaque token',
    async prepare(held) {
      const parameters = { resource: OPAQUE_RESOURCE };
      const { json } = await held.scene.tokens(held.party, held.browser, held.person, parameters);
      return () => introspected(held, String(json.access_token));
    },
  },
  {
    name: 'userinfo',
    async prepare(held) {
      const { json } = await held.scene.tokens(held.party, held.browser, held.person);
      return () => informed(held, String(json.access_token));
    },
  },
  {
    name: 'userinfo with an opaque token',
    async prepare(held) {
      const parameters = { resource: OPAQUE_RESOURCE };
      const { json } = await held.scene.tokens(held.party, held.browser, held.person, parameters);
      return () => informed(held, String(json.access_token));
    },
  },
  {
    name: 'silent sign-in',
    async prepare(held) {
      const { scene, party, browser, person } = held;
      await scene.code(party, browser, person);
      return async () => {
        return landed(await open(held, party.attempt({ scope: 'openid orders.read', prompt: 'none' })));
      };
    },
  },
  {
    name: 'PAR in flight',
    async prepare(held) {
      const { scene, party, browser, person } = held;
      await scene.code(party, browser, person);
      const attempt = party.attempt({ scope: 'openid orders.read' });
      const { json, status, text } = await party.ask('/oauth2/par', attempt.parameters);
      if (status !== 201) throw new Error(`${status} ${text}`);
      const query = new URLSearchParams({
        client_id: party.client.clientId,
        request_uri: String(json.request_uri),
      });
      return async () => landed(await open(held, { ...attempt, url: `/oauth2/authorize?${query}` }));
    },
  },
];

/** Answers about tokens may be a second old; everything else is decided by what is true at that moment. */
const ANSWERED: ReadonlySet<string> = new Set(
  PATHS.map(({ name }) => name).filter(name => /^(?:introspection|status list|userinfo)/.test(name)),
);

export type Change = (person: Person, parties: readonly RelyingParty[]) => Promise<void>;

/**
 * Prepares every path.
 *
 * @param change undefined: the control
 * @returns to be called once: makes the change, tries every path, and tells by its name what came of it.
 */
export async function preparePaths(
  scene: LifecycleScene,
  change: Change | undefined,
): Promise<() => Promise<ReadonlyMap<string, Outcome>>> {
  const person = await scene.person();
  const browser = scene.browser();
  await browser.get('/account');
  await browser.submit('input[name="password"]', { email: person.email, password: person.password });
  const prepared: { name: string; party: RelyingParty; attempt: () => Promise<Outcome> }[] = [];
  for (const { name, prepare } of PATHS) {
    const party = await scene.client({ alwaysIssueRefreshToken: true });
    const held = { scene, person, browser, party, isControl: change === undefined };
    prepared.push({ name, party, attempt: await prepare(held) });
  }
  const parties = prepared.map(({ party }) => party);
  const outcomes = new Map<string, Outcome>();
  const note = async ({ name, attempt }: (typeof prepared)[number]): Promise<void> => {
    outcomes.set(name, await attempt().catch((error: unknown) => String(error)));
  };
  return async () => {
    await change?.(person, parties);
    const asked = prepared.filter(({ name }) => ANSWERED.has(name)).map(note);
    // One after the other: they share a browser, and with it a session.
    for (const each of prepared) if (!ANSWERED.has(each.name)) await note(each);
    await Promise.all(asked);
    return outcomes;
  };
}
