// A web server that signs people in, keeps their tokens to itself and calls an API for them.
import { randomBytes } from 'node:crypto';
import express from 'express';
import * as oidc from 'openid-client';

const { ISSUER = 'http://localhost:4400', CLIENT_ID, CLIENT_SECRET, PORT = '3000' } = process.env;
const { RESOURCE = 'https://api.example.test/orders', API_URL = 'http://localhost:3001/orders' } = process.env;
const { RENEW_BEFORE = '30' } = process.env; // seconds before its end at which an access token is renewed
const [origin, issuer] = [`http://localhost:${PORT}`, new URL(ISSUER)];
const config = await oidc.discovery(issuer, CLIENT_ID, {}, oidc.ClientSecretBasic(CLIENT_SECRET), {
  // Only for an issuer on this machine; elsewhere http is refused.
  execute: issuer.hostname === 'localhost' ? [oidc.allowInsecureRequests] : [],
});

/** By the visitor's cookie. With several servers: a store that all of them share. */
const visitors = new Map();
const idOf = req => /(?:^|; )visitor=([\w-]+)/.exec(req.headers.cookie ?? '')?.[1];
const visitorOf = req => visitors.get(idOf(req));

/** A new name at each sign-in: one that was planted before it opens nothing after it. */
function remember(req, res, visitor) {
  forget(req, res);
  const id = randomBytes(32).toString('base64url');
  visitors.set(id, visitor);
  // Lax: it must come along when the sign-in sends the person back. Outside development also `secure: true`.
  res.cookie('visitor', id, { httpOnly: true, sameSite: 'lax' });
}

function forget(req, res) {
  visitors.delete(idOf(req));
  res.clearCookie('visitor');
}

/** Access tokens are short-lived; requests that need a new one at the same time share one refresh. */
async function accessTokenOf(visitor) {
  if (Date.now() < visitor.refreshAt) return visitor.tokens.access_token;
  // The old refresh token is used up: the new one is kept before anything else.
  visitor.refreshing ??= oidc
    .refreshTokenGrant(config, visitor.tokens.refresh_token)
    .then(tokens => keep(visitor, { ...visitor.tokens, ...tokens }));
  await visitor.refreshing.finally(() => delete visitor.refreshing);
  return visitor.tokens.access_token;
}

function keep(visitor, tokens) {
  return Object.assign(visitor, { tokens, refreshAt: Date.now() + (tokens.expires_in - RENEW_BEFORE) * 1000 });
}
const escaped = text => String(text).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`);
const page = body => `<!doctype html><html lang="en"><title>Order desk</title><main>${body}</main>`;

const app = express();
app.get('/', (req, res) => {
  const { person } = visitorOf(req) ?? {};
  if (person === undefined) return res.send(page('<a href="/sign-in">Sign in</a>'));
  const next = '<a href="/orders">Orders</a> <form method="post" action="/sign-out"><button>Sign out</button></form>';
  res.send(page(`<p>Hello ${escaped(person.name ?? person.email)}</p>${next}`));
});

app.get('/sign-in', async (req, res) => {
  const [state, nonce, codeVerifier] = [oidc.randomState(), oidc.randomNonce(), oidc.randomPKCECodeVerifier()];
  const visitor = visitorOf(req) ?? { pending: {} };
  // A person may begin in two tabs: each sign-in has a state, and what belongs to it, of its own.
  visitor.pending[state] = { nonce, codeVerifier };
  remember(req, res, visitor);
  const parameters = {
    redirect_uri: `${origin}/callback`,
    scope: 'openid profile email offline_access orders.read',
    resource: RESOURCE,
    code_challenge: await oidc.calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  };
  res.redirect(oidc.buildAuthorizationUrl(config, parameters).href);
});

app.get('/callback', async (req, res) => {
  const visitor = visitorOf(req);
  const pending = visitor?.pending[req.query.state];
  // Another browser's answer, a reload or the Back button: begin again instead of a dead end.
  if (pending === undefined) return res.redirect('/');
  delete visitor.pending[req.query.state];
  if (req.query.error !== undefined) return res.redirect('/');
  // Checks state and issuer of the answer, and signature, audience, times and nonce of the ID token.
  const tokens = await oidc.authorizationCodeGrant(config, new URL(req.url, origin), {
    pkceCodeVerifier: pending.codeVerifier,
    expectedState: req.query.state,
    expectedNonce: pending.nonce,
  });
  visitor.person = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
  remember(req, res, keep(visitor, tokens));
  res.redirect('/');
});

app.get('/orders', async (req, res) => {
  const visitor = visitorOf(req);
  if (visitor?.tokens === undefined) return res.redirect('/sign-in');
  try {
    const token = await accessTokenOf(visitor);
    const answer = await fetch(API_URL, { headers: { authorization: `Bearer ${token}` } });
    res.send(page(`<pre>${escaped(await answer.text())}</pre>`));
  } catch (error) {
    // Access withdrawn, password changed, or too old: the person signs in again.
    if (error.error !== 'invalid_grant') throw error;
    forget(req, res);
    res.redirect('/sign-in');
  }
});

app.post('/sign-out', async (req, res) => {
  const { tokens } = visitorOf(req) ?? {};
  forget(req, res);
  if (tokens === undefined) return res.redirect('/');
  // offline_access outlives the session at the issuer: what nobody needs any more is given back.
  await oidc.tokenRevocation(config, tokens.refresh_token).catch(console.error);
  const parameters = { id_token_hint: tokens.id_token, post_logout_redirect_uri: `${origin}/` };
  res.redirect(oidc.buildEndSessionUrl(config, parameters).href);
});

app.listen(Number(PORT), 'localhost', () => console.log(`order desk at ${origin}`));
