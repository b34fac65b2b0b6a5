import { type Client, errors, Provider } from 'oidc-provider';

interface ResponseRules {
  readonly responseTypes: readonly string[];
  readonly responseModes?: readonly string[];
  responseTypeAllowed(type: string): boolean;
  responseModeAllowed(mode: string | undefined, type: string | undefined): boolean;
}

/**
 * A refusal must not itself use what is refused: the core would send "fragment is not allowed" in a fragment. And a
 * type that the client may not use is unsupported for it (RFC 6749 §4.1.2.1), not a malformed request.
 */
export function installResponseRules(provider: Provider): void {
  const prototype = provider.Client.prototype as Client & ResponseRules;
  const isModeAllowed = prototype.responseModeAllowed;
  prototype.responseModeAllowed = function (this: ResponseRules, mode, type) {
    // RFC 6749 §4.1.2.1: a request without a type is malformed, and the core says so further on.
    if (type === undefined) return true;
    const allowed = isModeAllowed.call(this, mode, type);
    const params = Provider.ctx?.oidc.params;
    if (!allowed && params !== undefined) {
      delete params.response_mode;
      throw new errors.UnsupportedResponseMode('the client has not registered this response_mode');
    }
    return allowed;
  };
  prototype.responseTypeAllowed = function (this: ResponseRules, type) {
    if (this.responseTypes.includes(type)) return true;
    throw new errors.UnsupportedResponseType('the client may not use this response_type');
  };
}
