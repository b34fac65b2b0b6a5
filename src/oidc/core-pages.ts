import type { KoaContextWithOIDC } from 'oidc-provider';
import type { ClientRecord } from '../clients/client.js';

/** A form whose sender proves that it came from our own page. */
export interface CoreForm {
  readonly action: string;
  /** The hidden field `xsrf`, bound to the session. */
  readonly xsrf: string;
}

export type UserCodeProblem = 'unknown' | 'expired' | 'used' | 'aborted' | 'missing' | 'refused';

/** Pages that the core shows in the middle of its own flows. Given in by whoever lays out pages, which lies above. */
export interface CorePages {
  /**
   * @param code the protocol's word for what happened
   * @param status as it will be sent
   */
  error(
    ctx: KoaContextWithOIDC,
    problem: {
      readonly code: string;
      readonly status: number;
      readonly client: ClientRecord | undefined;
      readonly retryAfter?: number;
    },
  ): void;
  /** Fields: `logout=yes` signs out, nothing else does. */
  logout(
    ctx: KoaContextWithOIDC,
    form: CoreForm & { readonly client: ClientRecord | undefined; readonly userId: string },
  ): Promise<void>;
  loggedOut(ctx: KoaContextWithOIDC): Promise<void>;
  /** Field: `user_code`. */
  userCode(
    ctx: KoaContextWithOIDC,
    form: CoreForm & { readonly userCode: string; readonly problem: UserCodeProblem | undefined },
  ): Promise<void>;
  /** Fields: `user_code` as given, and `confirm=yes` or `abort=yes`. */
  confirmDevice(
    ctx: KoaContextWithOIDC,
    form: CoreForm & {
      readonly client: ClientRecord;
      readonly userCode: string;
      readonly scopes: readonly string[];
      /** Milliseconds. */
      readonly askedAt: number;
      readonly askedFromIp: string;
      readonly userId: string | undefined;
    },
  ): Promise<void>;
  deviceConnected(ctx: KoaContextWithOIDC, client: ClientRecord): Promise<void>;
}
