/**
 * What each page shows, one type a view: the seam between those who decide (controllers) and those who lay out
 * (views/). Instants are epoch milliseconds; texts that people read come from the message catalogues, so a model
 * carries facts and message keys, never sentences.
 */

export interface ClientView {
  readonly clientId: string;
  readonly name: string;
  /** First letter, for the tile. */
  readonly initial: string;
  readonly isFirstParty: boolean;
  readonly registeredAt: number;
  readonly clientUri?: string | undefined;
  readonly policyUri?: string | undefined;
  readonly tosUri?: string | undefined;
}

/** A wrong field; `message` is a key of the catalogues. */
export interface FieldFault {
  readonly field: string;
  readonly message: string;
  readonly values?: Readonly<Record<string, string | number>> | undefined;
}

/** A fact about the page. */
export interface Notice {
  readonly kind: 'good' | 'note' | 'warn' | 'stop';
  readonly message: string;
  readonly values?: Readonly<Record<string, string | number>> | undefined;
}

interface FormView {
  /** Where the forms of the page post to. */
  readonly action: string;
  readonly faults: readonly FieldFault[];
  readonly notice?: Notice | undefined;
}

export interface UpstreamView {
  readonly id: string;
  readonly name: string;
}

export interface SignInView extends FormView {
  readonly client: ClientView;
  /** From login_hint, or what was typed. */
  readonly email: string;
  /** Fixed: the person is known and only confirms. */
  readonly isReauthentication: boolean;
  /** Where somebody else signs in instead, when the person is fixed. */
  readonly notYouUrl?: string | undefined;
  readonly signUpUrl?: string | undefined;
  readonly forgotUrl: string;
  readonly cancelUrl: string;
  readonly upstreams: readonly UpstreamView[];
  /** JSON for the passkey script (PublicKeyCredentialRequestOptionsJSON), in a data attribute. */
  readonly passkeyOptions: string;
}

export interface SignUpView extends FormView {
  readonly client?: ClientView | undefined;
  readonly email: string;
  readonly name: string;
  /** Invited: the address is given and confirmed. */
  readonly isEmailFixed: boolean;
  readonly passwordMinLength: number;
  readonly signInUrl?: string | undefined;
}

export interface SecondFactorView extends FormView {
  readonly email: string;
  readonly way: 'totp' | 'recovery_code' | 'passkey';
  readonly otherWays: readonly { readonly way: 'totp' | 'recovery_code' | 'passkey'; readonly url: string }[];
  readonly recoveryCodesLeft: number;
  /** Seconds for which this device may be trusted; 0: not offered. */
  readonly trustDeviceFor: number;
  readonly passkeyOptions?: string | undefined;
  readonly cancelUrl: string;
}

/** Set up because the client or the operator asks for one. */
export interface EnrolTotpView extends FormView {
  /** Base32, in groups of four. */
  readonly secret: string;
  /** SVG of the QR code, made by this server. */
  readonly qrSvg: string;
}

export interface RecoveryCodesView {
  readonly codes: readonly string[];
  readonly continueUrl: string;
}

export interface ScopeView {
  readonly scope: string;
  /** Words of the operator for this scope in the page's language, if there are any. */
  readonly description?: string | undefined;
  readonly isOptional: boolean;
}

export interface ConsentView extends FormView {
  readonly client: ClientView;
  readonly email: string;
  readonly oidcScopes: readonly ScopeView[];
  /** Single claims that were asked for, by name. */
  readonly claims: readonly string[];
  readonly resources: readonly {
    readonly identifier: string;
    readonly name: string;
    readonly scopes: readonly ScopeView[];
    /** Scopes there that the client does not ask for, in words where there are any. */
    readonly withheld: readonly ScopeView[];
  }[];
  /** Seconds after the last use; undefined: as long as the session. */
  readonly refreshIdleFor?: number | undefined;
  readonly notYouUrl: string;
  readonly accountUrl: string;
}

/** Forms of the core's own flows carry its proof that they come from our page. */
interface CoreFormView extends FormView {
  readonly hidden: Readonly<Record<string, string>>;
}

export interface DeviceCodeView extends CoreFormView {
  readonly userCode: string;
}

export interface DeviceConfirmView extends CoreFormView {
  readonly client: ClientView;
  readonly email?: string | undefined;
  readonly userCode: string;
  readonly scopes: readonly ScopeView[];
  readonly askedAt: number;
  readonly askedFromIp: string;
  readonly yourIp: string;
}

export interface BackchannelConfirmView extends FormView {
  readonly client: ClientView;
  readonly email: string;
  readonly bindingMessage?: string | undefined;
  readonly scopes: readonly ScopeView[];
  readonly askedAt: number;
}

export interface LogoutView extends CoreFormView {
  readonly client?: ClientView | undefined;
  readonly email: string;
}

/** One thing happened or is to be done: check your mail, signed out, device connected, address confirmed. */
export interface MessageView {
  readonly title: string;
  readonly text: string;
  readonly values?: Readonly<Record<string, string | number>> | undefined;
  readonly isGood: boolean;
  readonly next?: { readonly url: string; readonly label: string } | undefined;
}

export interface ErrorView {
  /** Keys `error.<reason>.title`, `.text`, `.next`. */
  readonly reason:
    | 'expired'
    | 'stopped'
    | 'not_allowed'
    | 'not_found'
    | 'other_browser'
    | 'too_many'
    | 'unavailable'
    | 'unexpected';
  readonly clientName?: string | undefined;
  /** The protocol's word, folded for the developer; ours, never the caller's text. */
  readonly code?: string | undefined;
  readonly requestId: string;
  readonly at: number;
  readonly retryAfter?: number | undefined;
  /** A way to begin again; only addresses of our own. */
  readonly next?: { readonly url: string; readonly label: string } | undefined;
}

export interface ForgotPasswordView extends FormView {
  readonly email: string;
  readonly signInUrl?: string | undefined;
}

export interface NewPasswordView extends FormView {
  readonly email: string;
  readonly passwordMinLength: number;
  readonly asksCurrent: boolean;
}

/** A link in a mail acts on a POST only: mail scanners follow links. */
export interface ConfirmLinkView extends FormView {
  readonly kind: 'verify_email' | 'change_email' | 'link_identity' | 'delete_account';
  readonly email: string;
  readonly values?: Readonly<Record<string, string | number>> | undefined;
}

export interface SessionView {
  readonly sessionId: string;
  readonly isCurrent: boolean;
  /** `Firefox on Linux`, from the user agent; never its raw text. */
  readonly browser: string;
  readonly system: string;
  readonly kind: 'laptop' | 'phone' | 'scanner';
  readonly ip?: string | undefined;
  readonly amr: readonly string[];
  readonly createdAt: number;
  readonly lastUsedAt: number;
  readonly clients: readonly string[];
}

export interface ConsentSummaryView {
  readonly client: ClientView;
  readonly scopes: readonly ScopeView[];
  readonly createdAt: number;
  readonly lastUsedAt: number;
  /** What ends when it is withdrawn. */
  readonly grants: number;
}

export interface PasskeyView {
  readonly credentialId: string;
  readonly name: string;
  readonly isBackedUp: boolean;
  readonly createdAt: number;
  readonly lastUsedAt?: number | undefined;
}

export interface ActivityView {
  readonly at: number;
  /** Key `activity.<event>`. */
  readonly event: string;
  readonly clientName?: string | undefined;
  readonly ip?: string | undefined;
  readonly browser?: string | undefined;
  readonly outcome: 'success' | 'refused';
}

interface AccountPage extends FormView {
  readonly email: string;
  readonly signOutUrl: string;
}

export interface AccountOverviewView extends AccountPage {
  /** Clients elsewhere that wait for an answer. */
  readonly waitingRequests: number;
  readonly passwordChangedAt?: number | undefined;
  readonly hasPassword: boolean;
  readonly passkeys: number;
  readonly hasTotp: boolean;
  readonly recoveryCodesLeft: number;
  readonly sessions: readonly SessionView[];
  readonly consents: readonly ConsentSummaryView[];
  readonly activity: readonly ActivityView[];
}

export interface AccountProfileView extends AccountPage {
  readonly isEmailVerified: boolean;
  /** Standard claims that people edit themselves. */
  readonly profile: Readonly<Record<string, string>>;
  /** Members of the address claim (OpenID Connect Core §5.1.1). */
  readonly address: Readonly<Record<string, string>>;
}

export interface AccountSecurityView extends AccountPage {
  readonly passwordChangedAt?: number | undefined;
  readonly hasPassword: boolean;
  readonly passwordMinLength: number;
  readonly hasTotp: boolean;
  readonly recoveryCodesLeft: number;
  readonly passkeys: readonly PasskeyView[];
  readonly identities: readonly {
    readonly provider: string;
    readonly name: string;
    readonly createdAt: number;
  }[];
  readonly linkableUpstreams: readonly UpstreamView[];
  readonly passkeyOptions: string;
  /** Browsers that are spared the second factor. */
  readonly trustedDevices: number;
}

export interface AccountAccessView extends AccountPage {
  readonly consents: readonly ConsentSummaryView[];
}

type WaitingRequest = Pick<BackchannelConfirmView, 'client' | 'bindingMessage' | 'askedAt'>;
export interface AccountRequestsView extends AccountPage {
  readonly requests: readonly (WaitingRequest & { readonly url: string })[];
}

export interface AccountSessionsView extends AccountPage {
  readonly sessions: readonly SessionView[];
}

export interface AccountActivityView extends AccountPage {
  readonly activity: readonly ActivityView[];
  readonly olderUrl?: string | undefined;
}

/** A destructive act has a page of its own: its reach, what happens, a way out first. */
export interface AccountConfirmView extends AccountPage {
  readonly act: 'delete_account' | 'remove_totp' | 'remove_passkey' | 'unlink_identity';
  readonly values: Readonly<Record<string, string | number>>;
  readonly hidden: Readonly<Record<string, string>>;
  /** To be typed; undefined: a click is enough. */
  readonly typed?: string | undefined;
  readonly cancelUrl: string;
}

/** Development only. */
export interface MailboxView {
  readonly mails: readonly (Record<'to' | 'subject' | 'text', string> & { readonly at: number })[];
}

export interface Views {
  readonly 'sign-in': SignInView;
  readonly 'sign-up': SignUpView;
  readonly 'second-factor': SecondFactorView;
  readonly 'enrol-totp': EnrolTotpView;
  readonly 'recovery-codes': RecoveryCodesView;
  readonly consent: ConsentView;
  readonly device: DeviceCodeView;
  readonly 'device-confirm': DeviceConfirmView;
  readonly 'backchannel-confirm': BackchannelConfirmView;
  readonly logout: LogoutView;
  readonly message: MessageView;
  readonly error: ErrorView;
  readonly 'forgot-password': ForgotPasswordView;
  readonly 'new-password': NewPasswordView;
  readonly 'confirm-link': ConfirmLinkView;
  readonly 'account/overview': AccountOverviewView;
  readonly 'account/profile': AccountProfileView;
  readonly 'account/security': AccountSecurityView;
  readonly 'account/access': AccountAccessView;
  readonly 'account/requests': AccountRequestsView;
  readonly 'account/sessions': AccountSessionsView;
  readonly 'account/activity': AccountActivityView;
  readonly 'account/confirm': AccountConfirmView;
  readonly 'development/mail': MailboxView;
}
export type ViewName = keyof Views;
