import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { AppError, type Fault } from '../errors.js';
import { type Config, DEVELOPMENT, Secret } from './config.js';
import { didYouMean } from './nearest-name.js';
import type { RemoteReferences } from './remote-references.js';
import { readSecret } from './secret-reference.js';

/** An OpenID Connect provider that people of this server may sign in with. */
export interface UpstreamProvider {
  readonly id: string;
  /** What people read on the button. */
  readonly name: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  readonly scopes: readonly string[];
  /** Whether somebody unknown who comes with a verified address gets an account. */
  readonly allowsSignUp: boolean;
}

export interface LoadedProviders {
  readonly providers: readonly UpstreamProvider[];
  readonly warnings: readonly Fault[];
}

interface Surroundings {
  readonly at: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly environment: string;
  readonly remote: RemoteReferences | undefined;
}

const KEYS = ['id', 'name', 'issuer', 'client_id', 'client_secret', 'scopes', 'allow_sign_up'] as const;
type Key = (typeof KEYS)[number];

const DEFAULT_SCOPES: readonly string[] = ['openid', 'email', 'profile'];
const ID = /^[a-z0-9-]{1,32}$/;
const NAME = /^[^\p{Cc}<>]{1,60}$/u;
/** RFC 6749 appendix A.1 and A.4. */
const CLIENT_ID = /^[\x20-\x7E]{1,512}$/;
const SCOPE = /^[\x21\x23-\x5B\x5D-\x7E]{1,128}$/;

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function issuerProblem(issuer: string, environment: string): string | undefined {
  if (!URL.canParse(issuer)) return 'is no URL; copy the issuer from the provider’s discovery document.';
  const { protocol, search, hash, username, password } = new URL(issuer);
  // OpenID Connect Discovery 1.0 §2: https, without query and fragment.
  const isHttps = protocol === 'https:' || (protocol === 'http:' && environment === DEVELOPMENT);
  if (!isHttps) return 'must be an https URL.';
  if (search !== '' || hash !== '' || username !== '' || password !== '')
    return 'must have no query, fragment or credentials.';
  return undefined;
}

/** One entry of the list; collects every fault of it. */
class Entry {
  readonly faults: Fault[] = [];
  readonly warnings: Fault[] = [];
  readonly #given: Record<string, unknown>;
  readonly #surroundings: Surroundings;

  constructor(given: Record<string, unknown>, surroundings: Surroundings) {
    this.#given = given;
    this.#surroundings = surroundings;
    const known: ReadonlySet<string> = new Set(KEYS);
    for (const key of Object.keys(given)) {
      if (!known.has(key)) this.#fault(key, `is not known here.${didYouMean(key, KEYS)}`);
    }
  }

  read(): UpstreamProvider {
    return {
      id: this.#text('id', ID, '1 to 32 of a-z, 0-9 and -'),
      name: this.#text('name', NAME, '1 to 60 characters'),
      issuer: this.#issuer(),
      clientId: this.#text('client_id', CLIENT_ID, '1 to 512 printable characters'),
      clientSecret: this.#secret(),
      scopes: this.#scopes(),
      allowsSignUp: this.#flag('allow_sign_up'),
    };
  }

  #fault(key: string, problem: string): void {
    this.faults.push({ at: `${this.#surroundings.at}.${key}`, problem });
  }

  #text(key: Key, pattern: RegExp, form: string): string {
    const value = this.#given[key];
    if (value === undefined || value === null) this.#fault(key, `is missing; give ${form}.`);
    else if (typeof value !== 'string' || !pattern.test(value)) this.#fault(key, `must be ${form}.`);
    else return value;
    return '';
  }

  #issuer(): string {
    const issuer = this.#text('issuer', /^\S{1,512}$/, 'the provider’s issuer URL');
    const problem = issuer === '' ? undefined : issuerProblem(issuer, this.#surroundings.environment);
    if (problem !== undefined) this.#fault('issuer', problem);
    return issuer;
  }

  #secret(): Secret {
    const { env, folder, environment, remote } = this.#surroundings;
    const raw = this.#text(
      'client_secret',
      /^[^\0\r\n]{1,4096}$/,
      'a reference (file:/path, env:NAME, credential:NAME, vault:MOUNT/PATH#FIELD …)',
    );
    const reading = raw === '' ? { value: '', isLiteral: false } : readSecret(raw, { env, folder, remote });
    if ('problem' in reading) {
      this.#fault('client_secret', reading.problem);
      return new Secret('');
    }
    if (reading.warning !== undefined)
      this.warnings.push({ at: `${this.#surroundings.at}.client_secret`, problem: reading.warning });
    // Configuration files are committed, copied and backed up.
    if (reading.isLiteral && environment !== DEVELOPMENT) {
      this.#fault(
        'client_secret',
        'stands readable in this file; put it in a file of its own and write file:/path (or env:NAME, credential:NAME, vault:MOUNT/PATH#FIELD …).',
      );
    }
    return new Secret(reading.value);
  }

  #scopes(): readonly string[] {
    const given = this.#given.scopes;
    if (given === undefined) return DEFAULT_SCOPES;
    const scopes: readonly unknown[] = Array.isArray(given) ? given : String(given).split(' ');
    const read = scopes.filter((scope): scope is string => typeof scope === 'string' && SCOPE.test(scope));
    if (read.length !== scopes.length || read.length > 50)
      this.#fault('scopes', 'must be a list of at most 50 scopes.');
    // OpenID Connect Core §3.1.2.1: without it there is no ID token, and nobody is known.
    else if (!read.includes('openid')) this.#fault('scopes', 'must include openid.');
    return read;
  }

  #flag(key: Key): boolean {
    const value = this.#given[key] ?? false;
    if (typeof value !== 'boolean') this.#fault(key, 'must be true or false.');
    return value === true;
  }
}

/** The list of the document, or what is wrong with the file as a whole. */
function readList(path: string): { readonly list: readonly unknown[]; readonly faults: readonly Fault[] } {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    return {
      list: [],
      faults: [{ at: 'federation.providersFile', problem: `names ${path}, which cannot be read (${code}).` }],
    };
  }
  const document = parseDocument(content, { version: '1.2', prettyErrors: false });
  if (document.errors.length > 0) {
    // Only the code and the place: the library's text may quote the line, and with it a secret.
    const faults = document.errors.map(({ code, pos }) => ({
      at: `${path}:${content.slice(0, pos[0]).split('\n').length}`,
      problem: `This is not valid YAML (${code.toLowerCase()}).`,
    }));
    return { list: [], faults };
  }
  const root: unknown = document.toJS({ maxAliasCount: 20 });
  if (root === null || root === undefined) return { list: [], faults: [] };
  if (Array.isArray(root)) return { list: root, faults: [] };
  return { list: [], faults: [{ at: path, problem: 'Must be a list of providers (`- id: …`).' }] };
}

function repeated(providers: readonly UpstreamProvider[], path: string): Fault[] {
  const ids = providers.map(({ id }) => id).filter(id => id !== '');
  const twice = new Set(ids.filter((id, index) => ids.indexOf(id) !== index));
  // People's identities are stored under it.
  return [...twice].map(id => ({ at: path, problem: `has more than one provider with the id ${id}.` }));
}

/**
 * Reads the file that `federation.providersFile` names; an empty list if it names none.
 *
 * @throws AppError `configuration_invalid` with every fault found.
 */
export function loadUpstreamProviders(
  config: Pick<Config, 'federation' | 'environment'>,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
  remote?: RemoteReferences,
): LoadedProviders {
  const { providersFile } = config.federation;
  if (providersFile === '') return { providers: [], warnings: [] };
  const path = resolve(cwd, providersFile);
  const { list, faults: whole } = readList(path);
  const faults = [...whole];
  const warnings: Fault[] = [];
  const providers: UpstreamProvider[] = [];
  list.forEach((given, index) => {
    const at = `${providersFile}[${index}]`;
    if (!isMapping(given)) {
      faults.push({ at, problem: 'Must be a mapping (`id:`, `issuer:` …).' });
      return;
    }
    const { environment } = config;
    const entry = new Entry(given, { at, folder: dirname(path), env, environment, remote });
    providers.push(Object.freeze(entry.read()));
    faults.push(...entry.faults);
    warnings.push(...entry.warnings);
  });
  faults.push(...repeated(providers, providersFile));
  if (faults.length > 0) {
    const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`;
    const listed = faults.map(({ at, problem }) => `\n  ${at}: ${problem}`).join('');
    throw new AppError('configuration_invalid', `The list of providers has ${count}:${listed}`, { faults });
  }
  return { providers: Object.freeze(providers), warnings };
}
