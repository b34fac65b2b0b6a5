import { DEVELOPMENT } from './config.js';
import type { Given, LoadInput } from './given.js';
import { readRemoteReference } from './remote-references.js';
import type { SecretReading } from './secret-reading.js';
import { readSecret, readSecretFile } from './secret-reference.js';
import { type SettingName, settingOf } from './settings.js';
import type { RawValue } from './value-kinds.js';

/** A value with its references followed. */
export interface OpenedGiven {
  readonly raw: RawValue;
  /** As written; empty when the value itself stood there. */
  readonly references: readonly string[];
  /** What they led to: nothing of it is repeated in a message. */
  readonly concealed: readonly string[];
  readonly warnings: readonly string[];
}

/** How it is reached cannot be kept there. */
const REACH = /^vault\./;

/** Why a secret may not stand where it stands. */
function misplacedSecret({ source, from }: Given, environment: string): string | undefined {
  // Arguments are visible to every user of the machine and end up in shell histories.
  if (source === 'flag')
    return `is a secret and must not be given by ${from}; use file:/path or an environment variable.`;
  // Configuration files are committed, copied and backed up.
  if (source === 'file' && environment !== DEVELOPMENT) {
    return `stands readable in ${from}; put it in a file of its own and write file:/path (or env:NAME, credential:NAME, vault:MOUNT/PATH#FIELD …).`;
  }
  return undefined;
}

function readPart(name: SettingName, given: Given, part: string, input: LoadInput): SecretReading {
  const { env, remote } = input;
  if (given.isPath) return readSecretFile(part, given.folder);
  if (REACH.test(name) && readRemoteReference(part) !== undefined)
    return {
      problem:
        'says how other machines are reached and cannot be kept on one; use file:, env: or credential:.',
    };
  return readSecret(part, { env, folder: given.folder, remote });
}

function partsOf(raw: RawValue, isList: boolean): readonly string[] {
  if (typeof raw !== 'string') return raw;
  return isList ? raw.split(',') : [raw];
}

/** Follows every reference of one setting, also in the entries of a list. */
export function openGiven(
  name: SettingName,
  given: Given,
  environment: string,
  input: LoadInput,
): OpenedGiven | { readonly problem: string } {
  const { kind, isSecret } = settingOf(name);
  const isList = kind.isList === true && !given.isPath;
  if (typeof given.raw !== 'string' && !isList) return { problem: 'takes one value, not a list.' };
  const references: string[] = [];
  const concealed: string[] = [];
  const warnings: string[] = [];
  const values: string[] = [];
  for (const part of partsOf(given.raw, isList)) {
    const opened = readPart(name, given, part, input);
    if ('problem' in opened) return { problem: `${namedReference(part)}${opened.problem}` };
    values.push(opened.value);
    if (opened.isLiteral) {
      const misplaced = isSecret?.(opened.value) === true ? misplacedSecret(given, environment) : undefined;
      if (misplaced !== undefined) return { problem: misplaced };
    } else {
      references.push(shownReference(given, part));
      concealed.push(opened.value);
      // Whether others may read a port number is nobody's concern.
      if (opened.warning !== undefined && isSecret !== undefined) warnings.push(opened.warning);
    }
  }
  const [only] = values;
  const raw = typeof given.raw === 'string' && values.length === 1 && only !== undefined ? only : values;
  return { raw, references, concealed, warnings };
}

/** Only what is a well-formed reference is repeated: anything else may be the secret itself in the wrong place. */
function namedReference(part: string): string {
  const remote = readRemoteReference(part);
  return remote === undefined || 'problem' in remote ? '' : `(${remote.reference.text}) `;
}

function shownReference({ isPath }: Given, part: string): string {
  return isPath ? `file:${part.trim()}` : part.trim();
}
