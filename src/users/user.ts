/** OpenID Connect Core §5.1, those that an account holds itself. Absent is unknown. */
export interface Profile {
  readonly name?: string;
  readonly given_name?: string;
  readonly family_name?: string;
  readonly middle_name?: string;
  readonly nickname?: string;
  readonly preferred_username?: string;
  readonly profile?: string;
  readonly picture?: string;
  readonly website?: string;
  readonly gender?: string;
  readonly birthdate?: string;
  readonly zoneinfo?: string;
  readonly locale?: string;
  readonly phone_number?: string;
  readonly phone_number_verified?: boolean;
  readonly address?: Readonly<Record<string, string>>;
}

/** Instants are epoch milliseconds by the database's clock. Holds nothing that opens a door. */
export interface User {
  /** `us_…`; the subject of everything issued for this person, unless a client gets pairwise ones. */
  readonly id: string;
  readonly email: string;
  /** The address as it is compared: NFC, lower case. Limits and uniqueness go by it, not by what was typed. */
  readonly emailKey: string;
  readonly emailVerifiedAt?: number | undefined;
  readonly profile: Profile;
  readonly customClaims: Readonly<Record<string, unknown>>;
  readonly groups: readonly string[];
  readonly hasPassword: boolean;
  readonly passwordChangedAt?: number | undefined;
  readonly hasTotp: boolean;
  /** Out of service by an operator's decision. */
  readonly disabledAt?: number | undefined;
  /** Suspected to be in foreign hands: nothing works until an operator or its owner, by mail, unlocks it. */
  readonly lockedAt?: number | undefined;
  readonly lastSignInAt?: number | undefined;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Whether anything may be issued for it. */
export function isActive(user: User): boolean {
  return user.disabledAt === undefined && user.lockedAt === undefined;
}
