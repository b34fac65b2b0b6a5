import { VerificationError } from './errors.js';

/** RFC 6749 §3.3. Excludes `"` and `\`, so a scope can stand in a quoted string of a challenge as it is. */
const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]{1,128}$/;

/**
 * Checks the scopes a resource server was configured to ask for.
 *
 * @throws TypeError when one of them is not a scope-token (RFC 6749 §3.3): it could never be granted, or would break
 * out of the challenge header.
 */
export function checkedScopes(scopes: readonly string[] = []): readonly string[] {
  for (const scope of scopes) {
    if (typeof scope !== 'string' || !SCOPE_TOKEN.test(scope))
      throw new TypeError(`"${scope}" is not a scope (RFC 6749 section 3.3)`);
  }
  return Object.freeze([...scopes]);
}

/**
 * The scopes of a verified token.
 *
 * @param claims what `verify` returned; `scope` is one string, separated by spaces (RFC 9068 §2.2.3, RFC 8693 §4.2).
 * @returns an empty set when the token has no `scope`.
 */
export function scopesOf(claims: { readonly scope?: unknown }): ReadonlySet<string> {
  return new Set(
    typeof claims.scope === 'string' ? claims.scope.split(' ').filter(scope => scope !== '') : [],
  );
}

/**
 * Refuses a token that lacks one of the scopes. All are needed; their order and repetition mean nothing.
 *
 * @throws VerificationError `scope_insufficient` (RFC 6750 §3.1).
 */
export function requireScopes(claims: { readonly scope?: unknown }, required: readonly string[]): void {
  if (required.length === 0) return;
  const granted = scopesOf(claims);
  if (required.every(scope => granted.has(scope))) return;
  throw new VerificationError('scope_insufficient', 'the token lacks a required scope', {
    requiredScopes: required,
  });
}
