/** For a private-use scheme (RFC 8252 §7.1) there is no origin, and the scheme stands for it. */
export function formActionOf(uri: unknown): string[] {
  if (typeof uri !== 'string' || !URL.canParse(uri)) return [];
  const { protocol, origin } = new URL(uri);
  return [/^https?:$/.test(protocol) ? origin : protocol];
}
