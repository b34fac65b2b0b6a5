// A public client in the browser. `oidc` is oidc-client-ts, loaded by index.html; a bundler would import it.
const { InMemoryWebStorage, UserManager, WebStorageStateStore } = globalThis.oidc;

const settings = await (await fetch('settings.json')).json();
const home = `${location.origin}/`;
const people = new UserManager({
  authority: settings.issuer,
  client_id: settings.client_id,
  redirect_uri: home,
  post_logout_redirect_uri: home,
  scope: 'openid email orders.read',
  resource: settings.resource,
  loadUserInfo: true,
  // Tokens in memory only. What must survive the way to the issuer and back is in the tab's storage, and holds none.
  userStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
  stateStore: new WebStorageStateStore({ store: sessionStorage }),
});

const element = id => document.getElementById(id);

function show(user) {
  element('person').textContent = user ? `Hello ${user.profile.email}` : 'Nobody is signed in.';
  element('sign-in').hidden = Boolean(user);
  element('orders').hidden = !user;
  element('sign-out').hidden = !user;
}

element('sign-in').addEventListener('click', () => people.signinRedirect());
element('sign-out').addEventListener('click', () => people.signoutRedirect());
element('orders').addEventListener('click', async () => {
  const { access_token: token } = await people.getUser();
  const answer = await fetch(settings.api_url, { headers: { authorization: `Bearer ${token}` } });
  element('answer').textContent = await answer.text();
});

const parameters = new URLSearchParams(location.search);
if (parameters.has('state')) {
  // The code is of no use twice: away with it, so that a reload begins anew.
  const back = location.href;
  history.replaceState(null, '', home);
  try {
    if (parameters.has('code') || parameters.has('error')) await people.signinCallback(back);
    else await people.signoutCallback(back);
  } catch (error) {
    element('answer').textContent = error.error === 'access_denied' ? 'You said no.' : String(error);
  }
}
people.events.addUserLoaded(show);
people.events.addUserUnloaded(() => show(null));
show(await people.getUser());
