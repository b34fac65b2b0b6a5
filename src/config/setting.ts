import type { Kind } from './value-kinds.js';

/** What a default may depend on. */
export interface Earlier {
  readonly environment: string;
  readonly port: number;
}

export interface Setting<T> {
  readonly kind: Kind<T>;
  readonly fallback: T | ((earlier: Earlier) => T);
  /** How a default that depends on other settings is described in the settings table. */
  readonly fallbackSays?: string;
  /** One sentence. */
  readonly says: string;
  /**
   * Set on what is, or may be, a secret: it can be given as a reference and by `…_FILE`, and is shown redacted.
   * Tells whether this very value is one (a database URL is only when it carries a password).
   */
  readonly isSecret?: (value: string) => boolean;
}

export function setting<T>(definition: Setting<T>): Setting<T> {
  return definition;
}
