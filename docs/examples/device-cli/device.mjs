// A program without a browser: the person signs in on another device and enters the code that it shows.
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

const asked = await oidc.initiateDeviceAuthorization(config, { scope: 'openid email orders.read', resource: RESOURCE });
console.log(`Open ${asked.verification_uri} on any device and enter ${asked.user_code}`);

let tokens;
try {
  // Asks every 5 s, and less often when told slow_down (RFC 8628 §3.5).
  tokens = await oidc.pollDeviceAuthorizationGrant(config, asked);
} catch (error) {
  const why = { access_denied: 'You said no.', expired_token: 'Nobody entered the code in time.' }[error.error];
  if (why === undefined) throw error;
  console.error(`${why} Start again.`);
  process.exit(1);
}

const person = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
console.log(`Signed in as ${person.email}`);

try {
  const answer = await fetch(API_URL, { headers: { authorization: `Bearer ${tokens.access_token}` } });
  console.log(await answer.text());
} catch {
  console.error(`Nothing answers at ${API_URL}.`);
}
