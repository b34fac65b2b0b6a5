/** `smtp://user:password@host` → `smtp://user:[redacted]@host`. */
export function shownMailUrl(url: string): string {
  return url.replace(/^(smtps?:\/\/[^:@/]*):[^@]*@/, '$1:[redacted]@');
}

export function carriesMailPassword(url: string): boolean {
  return shownMailUrl(url) !== url;
}
