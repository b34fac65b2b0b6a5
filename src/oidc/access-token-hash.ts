import { Provider } from 'oidc-provider';

interface Savable {
  save(): Promise<string>;
}

interface Issuable {
  set(claim: string, value: unknown): void;
  issue(options?: { readonly use?: string }): Promise<string>;
}

/**
 * OpenID Connect Core §3.1.3.6: an ID token names the access token that came with it, so that a client notices one
 * that was exchanged on the way. The core leaves it out at the token endpoint, where it may be left out; it hashes
 * the value itself, by the algorithm of the ID token.
 */
export function installAccessTokenHash(provider: Provider): void {
  const issuedWith = new WeakMap<object, string>();

  const accessToken = provider.AccessToken.prototype as unknown as Savable;
  const save = accessToken.save;
  accessToken.save = async function (this: Savable): Promise<string> {
    const value = await save.call(this);
    const { ctx } = Provider;
    if (ctx?.oidc.route === 'token') issuedWith.set(ctx.oidc, value);
    return value;
  };

  const idToken = provider.IdToken.prototype as unknown as Issuable;
  const issue = idToken.issue;
  idToken.issue = async function (this: Issuable, options): Promise<string> {
    const { ctx } = Provider;
    const value = ctx === undefined ? undefined : issuedWith.get(ctx.oidc);
    if (value !== undefined && options?.use === 'idtoken') this.set('at_hash', value);
    return issue.call(this, options);
  };
}
