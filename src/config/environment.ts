/** The only place that touches `process.env`; everything else is given a copy. */
export function readEnvironment(): Record<string, string | undefined> {
  return { ...process.env };
}

/** Without our own settings, among them the root key: for code of others that runs in a process of its own. */
export function environmentOfOthers(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(readEnvironment()).filter(([name]) => !/^claviger_/i.test(name)));
}
