export const DATABASE_URL = /^(?:sqlite:.+|postgres(?:ql)?:\/\/.+)$/s;
export const DATABASE_URL_FORM = 'sqlite:PATH or postgres://user@host/name';

/** libpq also reads these from the query string. */
const SECRET_PARAMETERS = ['password', 'sslpassword'];

function asUrl(url: string): URL | undefined {
  return url.startsWith('sqlite:') || !URL.canParse(url) ? undefined : new URL(url);
}

/** The URL without what opens the database, for people and logs. */
export function shownDatabaseUrl(url: string): string {
  if (url.startsWith('sqlite:')) return url;
  const parsed = asUrl(url);
  // What cannot be taken apart cannot be shown in part either.
  if (parsed === undefined) return '[redacted]';
  if (parsed.password !== '') parsed.password = 'REDACTED';
  for (const name of SECRET_PARAMETERS) {
    if (parsed.searchParams.has(name)) parsed.searchParams.set(name, 'REDACTED');
  }
  return parsed.href;
}

export function carriesPassword(url: string): boolean {
  const parsed = asUrl(url);
  if (parsed === undefined) return !url.startsWith('sqlite:');
  return parsed.password !== '' || SECRET_PARAMETERS.some(name => parsed.searchParams.has(name));
}

export function isMemoryDatabase(url: string): boolean {
  return /^sqlite:(?:\/\/)?(?::memory:|file::memory:)/.test(url) || /^sqlite:.*[?&]mode=memory/.test(url);
}

/** Set when the connection to another machine is not required to be encrypted and verified. */
export function crossesNetworkUnverified(url: string): boolean {
  const parsed = asUrl(url);
  if (parsed === undefined) return false;
  const host = parsed.searchParams.get('host') ?? parsed.hostname;
  if (host === '' || host.startsWith('/') || host === 'localhost' || host === '127.0.0.1' || host === '[::1]')
    return false;
  return !['verify-full', 'verify-ca'].includes(parsed.searchParams.get('sslmode') ?? '');
}
