// Passkeys (Web Authentication). Forms marked data-passkey are revealed where the browser can do it; the answer of the
// authenticator travels in the form's hidden field, so everything after it is an ordinary POST.

const bytes = text =>
  Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), char => char.charCodeAt(0)).buffer;
const text = buffer =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '');

// Browsers before parse…OptionsFromJSON and toJSON (Web Authentication Level 3, §5.1.8 to §5.1.10).
const descriptors = list => (list ?? []).map(item => ({ ...item, id: bytes(item.id) }));

function parsed(kind, options) {
  const parse =
    kind === 'create'
      ? PublicKeyCredential.parseCreationOptionsFromJSON
      : PublicKeyCredential.parseRequestOptionsFromJSON;
  if (parse) return parse.call(PublicKeyCredential, options);
  const common = { ...options, challenge: bytes(options.challenge) };
  if (kind === 'get') return { ...common, allowCredentials: descriptors(options.allowCredentials) };
  return {
    ...common,
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: descriptors(options.excludeCredentials),
  };
}

function written(credential) {
  if (credential.toJSON) return credential.toJSON();
  const { response } = credential;
  const fields = ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'];
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: {
      ...Object.fromEntries(fields.filter(name => response[name]).map(name => [name, text(response[name])])),
      transports: response.getTransports?.(),
    },
  };
}

// One ceremony at a time: a click ends the one that waits in the e-mail field.
let pending;

async function perform(form, kind, mediation) {
  pending?.abort();
  const own = new AbortController();
  pending = own;
  const publicKey = parsed(kind, JSON.parse(form.dataset.options));
  const options = { publicKey, signal: own.signal, ...(mediation ? { mediation } : {}) };
  const credential = await navigator.credentials[kind](options);
  form.elements.namedItem('passkey').value = JSON.stringify(written(credential));
  form.requestSubmit();
}

async function offerInField(form) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  // Nothing was clicked, so a refusal is nobody's news; the button is still there.
  await perform(form, 'get', 'conditional').catch(() => undefined);
}

function prepare(form) {
  const kind = form.dataset.passkey;
  const status = form.querySelector('[data-passkey-status]');
  form.querySelector('[data-passkey-start]').addEventListener('click', async () => {
    // Before the ceremony: afterwards the browser would not send the form and the new passkey would be lost.
    if (!form.reportValidity()) return;
    status.textContent = '';
    try {
      await perform(form, kind);
    } catch {
      status.textContent = form.dataset.failed;
    }
  });
  // Enter in a field of the form begins the ceremony instead of sending nothing.
  form.addEventListener('submit', event => {
    if (form.elements.namedItem('passkey').value !== '') return;
    event.preventDefault();
    form.querySelector('[data-passkey-start]').click();
  });
  if ('conditional' in form.dataset) offerInField(form);
}

if (globalThis.PublicKeyCredential && navigator.credentials) {
  const forms = document.querySelectorAll('form[data-passkey]');
  if (forms.length > 0) {
    for (const part of document.querySelectorAll('[data-needs-passkey]')) part.hidden = false;
    forms.forEach(prepare);
  }
}
