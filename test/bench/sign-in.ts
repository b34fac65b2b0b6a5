import { createHash, randomBytes } from 'node:crypto';
import {
  BENCH_PASSWORD,
  BENCH_REDIRECT_URI,
  BENCH_RESOURCES,
  benchEmail,
  PEOPLE_SCOPE,
} from './bench-names.js';
import { basicAuthorization, type Site } from './load-job.js';
import type { Seen, Visitor } from './visitor.js';

/** More answers than any sign-in has. */
const MOST_ANSWERS = 12;

/** What a client exchanges for tokens. */
export interface Code {
  readonly code: string;
  readonly verifier: string;
}

/** What the person of this number is asked on the way to the client; whatever else is asked is a fault. */
export interface Expected {
  readonly person?: number;
  readonly mayConsent?: boolean;
}

function attribute(tag: string, name: string): string {
  return new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1]?.replaceAll('&amp;', '&') ?? '';
}

/** Sends the form that holds `mark`, with what it hides and what is ticked in it. */
function submit(
  visitor: Visitor,
  page: string,
  mark: string,
  fields: Readonly<Record<string, string>>,
): Promise<Seen> {
  const form = page.match(/<form\b[^>]*>[\s\S]*?<\/form>/g)?.find(one => one.includes(mark)) ?? '';
  const given = (form.match(/<input\b[^>]*>/g) ?? [])
    .filter(tag => attribute(tag, 'type') === 'hidden' || /\schecked\b/.test(tag))
    .map(tag => [attribute(tag, 'name'), attribute(tag, 'value')] as const);
  return visitor.post(attribute(form, 'action'), { form: [...given, ...Object.entries(fields)] });
}

/** From the authorization request to the client's redirect URI. */
export async function obtainCode(visitor: Visitor, site: Site, expected: Expected): Promise<Code> {
  const verifier = randomBytes(32).toString('base64url');
  const parameters = new URLSearchParams({
    client_id: site.client.clientId,
    response_type: 'code',
    redirect_uri: BENCH_REDIRECT_URI,
    scope: PEOPLE_SCOPE,
    resource: BENCH_RESOURCES.es256,
    state: randomBytes(16).toString('base64url'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const { person } = expected;
  let seen = await visitor.get(`${site.paths.authorization}?${parameters}`);
  for (let count = 0; count < MOST_ANSWERS; count += 1) {
    const { status, location, text } = seen;
    if (location?.startsWith(BENCH_REDIRECT_URI)) {
      const { searchParams } = new URL(location);
      const code = searchParams.get('code');
      if (code === null) throw new Error(`no code, but ${searchParams}`);
      return { code, verifier };
    }
    if (location !== undefined) seen = await visitor.get(location);
    else if (status === 200 && person !== undefined && text.includes('name="password"')) {
      const fields = { email: benchEmail(person), password: BENCH_PASSWORD };
      seen = await submit(visitor, text, 'name="password"', fields);
    } else if (status === 200 && expected.mayConsent && text.includes('value="allow"')) {
      seen = await submit(visitor, text, 'value="allow"', { answer: 'allow' });
    } else
      throw new Error(
        `${status} ${text
          .replaceAll(/<[^>]*>|\s+/g, ' ')
          .trim()
          .slice(0, 300)}`,
      );
  }
  throw new Error('the sign-in goes round in circles');
}

/** A fast wrong answer must not win. @returns the refresh token */
async function tokens(visitor: Visitor, site: Site, form: Readonly<Record<string, string>>): Promise<string> {
  const { status, text } = await visitor.post(site.paths.token, {
    form: Object.entries(form),
    authorization: basicAuthorization(site.client),
  });
  if (status !== 200) throw new Error(`${status} ${text}`);
  const { access_token, id_token, refresh_token } = JSON.parse(text) as Record<string, unknown>;
  for (const [name, token] of Object.entries({ access_token, id_token })) {
    const [header = '', payload = ''] = String(token).split('.');
    const { alg } = JSON.parse(Buffer.from(header, 'base64url').toString());
    const { aud } = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const expected = name === 'id_token' ? site.client.clientId : BENCH_RESOURCES.es256;
    if (alg !== 'ES256' || ![aud].flat().includes(expected)) {
      throw new Error(`the ${name} is signed by ${alg} for ${aud}`);
    }
  }
  if (typeof refresh_token !== 'string') throw new Error('no refresh token');
  return refresh_token;
}

export function redeem(visitor: Visitor, site: Site, { code, verifier }: Code): Promise<string> {
  const form = { code, code_verifier: verifier, redirect_uri: BENCH_REDIRECT_URI };
  return tokens(visitor, site, { grant_type: 'authorization_code', ...form });
}

export async function rotate(visitor: Visitor, site: Site, refreshToken: string): Promise<string> {
  const next = await tokens(visitor, site, { grant_type: 'refresh_token', refresh_token: refreshToken });
  if (next === refreshToken) throw new Error('the refresh token was not rotated');
  return next;
}
