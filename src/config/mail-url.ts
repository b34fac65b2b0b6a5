/** `smtp://user:password@host` → `smtp://user:[redacted]@host`. */
export function shownMailUrl(url: string): string {
  return url.replace(/^(smtps?:\/\/[^:@/]*):[^@]*@/, '$1:[redacted]@');
}

/** Why it is no address of a mail server; undefined when it is one, or none is given. Repeats no password. */
export function mailUrlProblem(url: string): string | undefined {
  if (url === '') return undefined;
  const form = 'write smtp://HOST:PORT or smtps://USER:PASSWORD@HOST:PORT, and @ in a password as %40.';
  if (!URL.canParse(url)) return `is no URL; ${form}`;
  const { hostname, username, password } = new URL(url);
  if (hostname === '') return `names no host; ${form}`;
  return isPercentEncoded(username) && isPercentEncoded(password)
    ? undefined
    : `has a % in its user or password that is not written as %25; ${form}`;
}

export function carriesMailPassword(url: string): boolean {
  return shownMailUrl(url) !== url;
}

function isPercentEncoded(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined;
  } catch {
    return false;
  }
}
