import type { ClientView, ScopeView, SessionView, ViewName, Views } from '../../src/http/view-models.js';

/** 25 November 2026, 09:00 UTC: when every sample page is looked at. */
export const NOW = Date.UTC(2026, 10, 25, 9, 0);
const MINUTE = 60_000;
const DAY = 86_400_000;

const FIELDBOOK: ClientView = {
  clientId: 'cl_fieldbook',
  name: 'Fieldbook',
  initial: 'F',
  isFirstParty: false,
  registeredAt: Date.UTC(2026, 2, 3),
  clientUri: 'https://fieldbook.example/',
  policyUri: 'https://fieldbook.example/privacy',
  tosUri: 'https://fieldbook.example/terms',
};

const LEDGER: ClientView = {
  clientId: 'cl_ledger',
  name: 'Tideway Ledger',
  initial: 'T',
  isFirstParty: true,
  registeredAt: Date.UTC(2025, 4, 1),
};

const SCOPES: readonly ScopeView[] = [
  { scope: 'openid', isOptional: false },
  { scope: 'profile', isOptional: false },
  { scope: 'email', isOptional: true },
  { scope: 'offline_access', isOptional: false },
];

const EMAIL = 'ledger@tideway.example';
const FORM = { action: '/interaction/x1', faults: [] } as const;
const ACCOUNT = { ...FORM, email: EMAIL, signOutUrl: '/account/sign-out' } as const;
const ADDRESS = {
  street_address: '12 St James’s Square',
  postal_code: 'SW1Y 4JH',
  locality: 'London',
  region: '',
  country: 'United Kingdom',
} as const;
/** The core's own flows: their forms carry its proof of where they come from. */
const CORE = { ...FORM, hidden: { xsrf: 'a1b2' } } as const;
const OPTIONS = JSON.stringify({ challenge: 'AAAA', allowCredentials: [], rpId: 'id.tideway.example' });

const SESSIONS: readonly SessionView[] = [
  {
    sessionId: 'se_1',
    isCurrent: true,
    browser: 'Firefox',
    system: 'Linux',
    kind: 'laptop',
    ip: '203.0.113.24',
    amr: ['pop', 'user'],
    createdAt: NOW - 58 * MINUTE,
    lastUsedAt: NOW,
    clients: ['Tideway Ledger', 'Fieldbook'],
  },
  {
    sessionId: 'se_2',
    isCurrent: false,
    browser: 'Chrome',
    system: 'Android',
    kind: 'phone',
    amr: ['pwd', 'otp', 'mfa'],
    createdAt: NOW - 16 * DAY,
    lastUsedAt: NOW - 12 * MINUTE,
    clients: [],
  },
  {
    sessionId: 'se_3',
    isCurrent: false,
    browser: 'Warehouse scanner',
    system: 'Linux',
    kind: 'scanner',
    ip: '2001:db8::17',
    amr: ['fed'],
    createdAt: NOW - 90 * DAY,
    lastUsedAt: NOW - DAY,
    clients: ['Stock'],
  },
];

const CONSENTS: Views['account/access']['consents'] = [
  {
    client: FIELDBOOK,
    scopes: [
      ...SCOPES,
      { scope: 'field:read', description: 'Read your measurements', isOptional: false },
      { scope: 'field:raw', isOptional: false },
    ],
    createdAt: NOW - 20 * DAY,
    lastUsedAt: NOW - 2 * 3_600_000,
    grants: 2,
  },
];

const ACTIVITY: Views['account/activity']['activity'] = [
  {
    at: NOW,
    event: 'activity.sign_in.succeeded',
    clientName: 'Tideway Ledger',
    ip: '203.0.113.24',
    browser: 'Firefox on Linux',
    outcome: 'success',
  },
  { at: NOW - DAY, event: 'activity.sign_in.refused', ip: '198.51.100.9', outcome: 'refused' },
  {
    at: NOW - 2 * DAY,
    event: 'activity.user.password_changed',
    browser: 'Safari on macOS',
    outcome: 'refused',
  },
  { at: NOW - 3 * DAY, event: 'activity.token.issued', outcome: 'success' },
];

const QR =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8" shape-rendering="crispEdges"><path fill="#ffffff" d="M0 0h8v8H0z"/><path stroke="#000000" d="M1 1.5h3M2 3.5h2"/></svg>\n';

function signIn(more: Partial<Views['sign-in']>): Views['sign-in'] {
  return {
    ...FORM,
    client: LEDGER,
    email: '',
    isReauthentication: false,
    signUpUrl: '/interaction/x1/sign-up',
    forgotUrl: '/forgot-password',
    cancelUrl: '/interaction/x1/cancel',
    upstreams: [{ id: 'harbour', name: 'Harbour Workspace' }],
    passkeyOptions: OPTIONS,
    ...more,
  };
}

function secondFactor(more: Partial<Views['second-factor']>): Views['second-factor'] {
  return {
    ...FORM,
    email: EMAIL,
    way: 'totp',
    otherWays: [
      { way: 'passkey', url: '/interaction/x1/second-factor?way=passkey' },
      { way: 'recovery_code', url: '/interaction/x1/second-factor?way=recovery_code' },
    ],
    recoveryCodesLeft: 8,
    trustDeviceFor: 30 * 86_400,
    cancelUrl: '/interaction/x1/cancel',
    ...more,
  };
}

function consent(more: Partial<Views['consent']>): Views['consent'] {
  return {
    ...FORM,
    client: FIELDBOOK,
    email: EMAIL,
    oidcScopes: SCOPES,
    claims: ['birthdate', 'https://tideway.example/crew'],
    resources: [
      {
        identifier: 'https://api.tideway.example/field',
        name: 'Tideway Field',
        scopes: [
          { scope: 'field:read', description: 'Read your measurements', isOptional: false },
          { scope: 'field:write', description: 'Add and change measurements', isOptional: true },
          { scope: 'field:raw', isOptional: true },
        ],
        withheld: [
          { scope: 'field:delete', description: 'Delete measurements', isOptional: false },
          { scope: 'field:admin', isOptional: false },
        ],
      },
    ],
    refreshIdleFor: 30 * 86_400,
    notYouUrl: '/interaction/x1/not-you',
    accountUrl: '/account/access',
    ...more,
  };
}

function error(reason: Views['error']['reason'], more: Partial<Views['error']> = {}): Views['error'] {
  return { reason, requestId: '01JDFK7Q9M-4TZ2', at: NOW, ...more };
}

function security(more: Partial<Views['account/security']>): Views['account/security'] {
  return {
    ...ACCOUNT,
    action: '/account/security',
    passwordChangedAt: NOW - 84 * DAY,
    hasPassword: true,
    passwordMinLength: 12,
    hasTotp: true,
    recoveryCodesLeft: 8,
    passkeys: [
      { credentialId: 'AAEC', name: 'Office laptop', isBackedUp: false, createdAt: NOW - 40 * DAY },
      {
        credentialId: 'AwQF',
        name: 'Phone',
        isBackedUp: true,
        createdAt: NOW - 30 * DAY,
        lastUsedAt: NOW - DAY,
      },
    ],
    identities: [{ provider: 'harbour', name: 'Harbour Workspace', createdAt: NOW - 9 * DAY }],
    linkableUpstreams: [{ id: 'quay', name: 'Quay' }],
    passkeyOptions: OPTIONS,
    trustedDevices: 2,
    ...more,
  };
}

function confirm(act: Views['account/confirm']['act'], more: Partial<Views['account/confirm']> = {}) {
  return {
    ...ACCOUNT,
    action: '/account/confirm',
    act,
    values: { sessions: 3, consents: 1, name: 'Phone', provider: 'Harbour Workspace', client: 'Fieldbook' },
    hidden: { credential_id: 'AwQF' },
    cancelUrl: '/account/security',
    ...more,
  } satisfies Views['account/confirm'];
}

function link(kind: Views['confirm-link']['kind']): Views['confirm-link'] {
  return { ...FORM, kind, email: EMAIL, values: { provider: 'Harbour Workspace' } };
}

/** Every view, and every shape of it that looks different. */
export const SAMPLES: { readonly [V in ViewName]: Readonly<Record<string, Views[V]>> } = {
  'sign-in': {
    first: signIn({}),
    failed: signIn({ email: EMAIL, faults: [{ field: '', message: 'sign_in.failed' }] }),
    throttled: signIn({
      email: EMAIL,
      faults: [
        { field: '', message: 'sign_in.throttled', values: { minutes: 5 } },
        { field: 'password', message: 'password.required' },
      ],
    }),
    again: signIn({
      email: EMAIL,
      isReauthentication: true,
      signUpUrl: undefined,
      upstreams: [],
      notice: { kind: 'note', message: 'notice.sign_in_again' },
    }),
  },
  'sign-up': {
    first: {
      ...FORM,
      client: FIELDBOOK,
      email: '',
      name: '',
      isEmailFixed: false,
      passwordMinLength: 12,
      signInUrl: '/interaction/x1',
    },
    invited: {
      ...FORM,
      email: EMAIL,
      name: 'Ada',
      isEmailFixed: true,
      passwordMinLength: 12,
      faults: [
        { field: 'password', message: 'password.too_short', values: { min: 12 } },
        { field: 'name', message: 'name.too_long', values: { max: 200 } },
      ],
    },
  },
  'second-factor': {
    totp: secondFactor({}),
    wrong: secondFactor({ faults: [{ field: 'code', message: 'code.wrong' }], passkeyOptions: OPTIONS }),
    recovery: secondFactor({ way: 'recovery_code', recoveryCodesLeft: 1, otherWays: [], trustDeviceFor: 0 }),
    passkey: secondFactor({ way: 'passkey', passkeyOptions: OPTIONS }),
  },
  'enrol-totp': {
    first: {
      ...FORM,
      secret: 'JBSW Y3DP EHPK 3PXP',
      qrSvg: QR,
      notice: { kind: 'note', message: 'notice.second_factor_needed' },
    },
  },
  'recovery-codes': {
    first: { codes: ['ABCDE-FGHIJ', 'KLMNO-PQRST', 'UVWXY-23456'], continueUrl: '/account/security' },
  },
  consent: {
    full: consent({}),
    small: consent({
      client: LEDGER,
      oidcScopes: [{ scope: 'openid', isOptional: false }],
      claims: [],
      resources: [],
      refreshIdleFor: undefined,
    }),
  },
  device: {
    first: { ...CORE, userCode: '' },
    unknown: {
      ...CORE,
      userCode: 'WDJB-MJHT',
      faults: [{ field: 'user_code', message: 'device.code_unknown' }],
    },
  },
  'device-confirm': {
    first: {
      ...CORE,
      client: { ...FIELDBOOK, name: 'Warehouse scanner', initial: 'W' },
      email: EMAIL,
      userCode: 'WDJB-MJHT',
      scopes: [...SCOPES, { scope: 'stock:read', description: 'Read stock', isOptional: false }],
      askedAt: NOW - 2 * MINUTE,
      askedFromIp: '203.0.113.24',
      yourIp: '2001:db8:85a3::8a2e:370:7334',
    },
  },
  'backchannel-confirm': {
    first: {
      ...FORM,
      client: FIELDBOOK,
      email: EMAIL,
      bindingMessage: 'W4SCT',
      scopes: SCOPES,
      askedAt: NOW - MINUTE,
    },
  },
  logout: { asked: { ...CORE, client: FIELDBOOK, email: EMAIL }, plain: { ...CORE, email: EMAIL } },
  message: {
    good: {
      title: 'message.device_connected.title',
      text: 'message.device_connected.text',
      values: { client: 'Warehouse scanner' },
      isGood: true,
      next: { url: '/account', label: 'next.account' },
    },
    mail: {
      title: 'message.reset_sent.title',
      text: 'message.reset_sent.text',
      values: { email: EMAIL, minutes: 15 },
      isGood: false,
    },
  },
  error: {
    expired: error('expired', {
      clientName: 'Fieldbook',
      next: { url: '/account', label: 'next.start_again' },
    }),
    stopped: error('stopped', { clientName: 'Fieldbook', code: 'invalid_redirect_uri' }),
    'not-allowed': error('not_allowed', { clientName: 'Fieldbook' }),
    'not-found': error('not_found'),
    'other-browser': error('other_browser'),
    'too-many': error('too_many', { retryAfter: 240 }),
    unavailable: error('unavailable', { retryAfter: 1 }),
    unexpected: error('unexpected', { code: 'server_error' }),
  },
  'forgot-password': {
    first: { ...FORM, email: '', signInUrl: '/account' },
    wrong: { ...FORM, email: 'ledger', faults: [{ field: 'email', message: 'email.invalid' }] },
  },
  'new-password': {
    reset: { ...FORM, email: EMAIL, passwordMinLength: 12, asksCurrent: false },
    short: {
      ...FORM,
      email: EMAIL,
      passwordMinLength: 15,
      asksCurrent: false,
      notice: { kind: 'warn', message: 'notice.password_short' },
    },
    change: {
      ...FORM,
      email: EMAIL,
      passwordMinLength: 12,
      asksCurrent: true,
      faults: [
        { field: 'current_password', message: 'password.wrong' },
        { field: 'password', message: 'password.too_common' },
      ],
    },
  },
  'confirm-link': {
    verify: link('verify_email'),
    change: link('change_email'),
    link: link('link_identity'),
    delete: link('delete_account'),
  },
  'account/overview': {
    full: {
      ...ACCOUNT,
      action: '/account',
      waitingRequests: 2,
      notice: { kind: 'good', message: 'notice.session_ended' },
      passwordChangedAt: NOW - 84 * DAY,
      hasPassword: true,
      passkeys: 2,
      hasTotp: true,
      recoveryCodesLeft: 8,
      sessions: SESSIONS,
      consents: CONSENTS,
      activity: ACTIVITY,
    },
    fresh: {
      ...ACCOUNT,
      action: '/account',
      waitingRequests: 0,
      notice: { kind: 'warn', message: 'notice.recovery_codes_low', values: { count: 1 } },
      hasPassword: false,
      passkeys: 0,
      hasTotp: false,
      recoveryCodesLeft: 0,
      sessions: SESSIONS.slice(0, 1),
      consents: [],
      activity: ACTIVITY.slice(0, 1),
    },
  },
  'account/profile': {
    full: {
      ...ACCOUNT,
      action: '/account/profile',
      isEmailVerified: true,
      profile: {
        name: 'Ada Lovelace',
        given_name: 'Ada',
        family_name: 'Lovelace',
        nickname: '',
        website: 'https://ada.example',
        birthdate: '1815-12-10',
        zoneinfo: 'Europe/London',
        locale: 'en',
        phone_number: '',
      },
      address: ADDRESS,
    },
    wrong: {
      ...ACCOUNT,
      action: '/account/profile',
      isEmailVerified: false,
      profile: { name: 'Ada', birthdate: '10.12.1815' },
      address: { ...ADDRESS, country: '<Tideway>' },
      faults: [
        { field: 'birthdate', message: 'profile.invalid' },
        { field: 'country', message: 'profile.invalid' },
        { field: 'email', message: 'email.unchanged' },
      ],
    },
  },
  'account/security': {
    full: security({ notice: { kind: 'good', message: 'notice.passkey_added', values: { name: 'Phone' } } }),
    bare: security({
      hasPassword: false,
      passwordChangedAt: undefined,
      hasTotp: false,
      recoveryCodesLeft: 0,
      trustedDevices: 0,
      passkeys: [],
      identities: [],
      linkableUpstreams: [],
    }),
  },
  'account/access': {
    full: { ...ACCOUNT, action: '/account/access', consents: CONSENTS },
    empty: { ...ACCOUNT, action: '/account/access', consents: [] },
  },
  'account/requests': {
    full: {
      ...ACCOUNT,
      action: '/account/requests',
      requests: [
        { url: '/account/requests/a1', client: FIELDBOOK, bindingMessage: 'W4SCT', askedAt: NOW - MINUTE },
        { url: '/account/requests/b2', client: LEDGER, askedAt: NOW },
      ],
    },
    empty: { ...ACCOUNT, action: '/account/requests', requests: [] },
  },
  'account/sessions': { full: { ...ACCOUNT, action: '/account/sessions', sessions: SESSIONS } },
  'account/activity': {
    full: {
      ...ACCOUNT,
      action: '/account/activity',
      activity: ACTIVITY,
      olderUrl: '/account/activity?before=a1',
    },
    empty: { ...ACCOUNT, action: '/account/activity', activity: [] },
  },
  'account/confirm': {
    delete: confirm('delete_account', {
      typed: EMAIL,
      faults: [{ field: 'typed', message: 'confirm.mismatch' }],
    }),
    totp: confirm('remove_totp'),
    passkey: confirm('remove_passkey'),
    identity: confirm('unlink_identity'),
  },
  'development/mail': {
    full: {
      mails: [
        {
          to: EMAIL,
          subject: 'Confirm your e-mail address for Tideway',
          text: 'Open this address:\n\nhttp://localhost:4400/verify-email?token=abc\n\nTideway',
          at: NOW,
        },
      ],
    },
    empty: { mails: [] },
  },
};

/** Names of a model that hold keys and choices of ours, which no stranger can write. */
const OURS: ReadonlySet<string> = new Set([
  'kind',
  'way',
  'message',
  'reason',
  'title',
  'label',
  'outcome',
  'act',
  'event',
  'field',
]);

export const HOSTILE = `"'><script>alert(1)</script><img src=x onerror=alert(1)>\u202Eevil`;
export const HOSTILE_URL = `javascript:alert(1)//"><script>alert(1)</script>`;

/** The same model, as if strangers had written every text and every address in it. */
export function hostile<T>(model: T, name = ''): T {
  if (typeof model === 'string') {
    if (OURS.has(name) || model.startsWith('message.')) return model;
    return (/(?:url|uri|action|addresses)$/i.test(name) ? HOSTILE_URL : `${model}${HOSTILE}`) as T;
  }
  if (Array.isArray(model)) return model.map(item => hostile(item, name)) as T;
  if (typeof model !== 'object' || model === null) return model;
  return Object.fromEntries(Object.entries(model).map(([key, value]) => [key, hostile(value, key)])) as T;
}

export function sampleOf<V extends ViewName>(view: V, shape: string): Views[V] {
  const model = SAMPLES[view][shape];
  if (model === undefined) throw new TypeError(`no sample ${view}/${shape}`);
  return model;
}
