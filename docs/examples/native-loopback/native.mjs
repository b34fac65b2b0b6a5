// A program on a desktop: the system's browser signs the person in and comes back to a port of this machine.
import { once } from 'node:events';
import { createServer } from 'node:http';
import * as oidc from 'openid-client';

const {
  ISSUER = 'http://localhost:4400',
  RESOURCE = 'https://api.example.test/orders',
  API_URL = 'http://localhost:3001/orders',
  CLIENT_ID,
} = process.env;
const issuer = new URL(ISSUER);
const config = await oidc.discovery(issuer, CLIENT_ID, {}, oidc.None(), {
  // Only for an issuer on this machine; elsewhere http is refused.
  execute: issuer.hostname === 'localhost' ? [oidc.allowInsecureRequests] : [],
});

// RFC 8252 §7.3 and §8.3: the address, not the name localhost, and a port that is free just now.
const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
const redirectUri = `http://127.0.0.1:${server.address().port}/callback`;

const [state, nonce, codeVerifier] = [oidc.randomState(), oidc.randomNonce(), oidc.randomPKCECodeVerifier()];
const parameters = {
  redirect_uri: redirectUri,
  scope: 'openid email orders.read',
  resource: RESOURCE,
  code_challenge: await oidc.calculatePKCECodeChallenge(codeVerifier),
  code_challenge_method: 'S256',
  state,
  nonce,
};
console.log(`Open ${oidc.buildAuthorizationUrl(config, parameters).href}`);

const answer = await new Promise(resolve => {
  server.on('request', (req, res) => {
    const url = new URL(req.url, redirectUri);
    if (url.pathname !== '/callback') return res.writeHead(404).end();
    res.end('You can close this window.');
    resolve(url);
  });
});
server.close();
server.closeAllConnections();

if (answer.searchParams.get('error') === 'access_denied') {
  console.error('You said no. Start again.');
  process.exit(1);
}
// Checks state and issuer of the answer, and signature, audience, times and nonce of the ID token.
const tokens = await oidc.authorizationCodeGrant(config, answer, {
  pkceCodeVerifier: codeVerifier,
  expectedState: state,
  expectedNonce: nonce,
});

const person = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
console.log(`Signed in as ${person.email}`);

try {
  const orders = await fetch(API_URL, { headers: { authorization: `Bearer ${tokens.access_token}` } });
  console.log(await orders.text());
} catch {
  console.error(`Nothing answers at ${API_URL}.`);
}
