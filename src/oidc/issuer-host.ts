import type { Provider } from 'oidc-provider';

/**
 * The core derives every URL it prints or compares (endpoints, DPoP `htu`, assertion audiences) from the Host
 * header. Here they come from the configured issuer, whatever a probe, an internal name or a proxy sent, so a
 * forged Host changes nothing.
 */
export function pinIssuer(provider: Provider, issuer: string): void {
  const { protocol, host, hostname, origin } = new URL(issuer);
  const fixed = { protocol: protocol.slice(0, -1), host, hostname, secure: protocol === 'https:' };
  for (const [name, value] of Object.entries(fixed)) {
    Object.defineProperty(provider.request, name, { get: () => value, configurable: true });
  }
  // A request line may hold a whole address (`POST http://evil.example/oauth2/token`), which koa would prefer.
  Object.defineProperty(provider.request, 'href', {
    get(this: { path: string; search: string }) {
      return `${origin}${this.path}${this.search}`;
    },
    configurable: true,
  });
}
