import { createRequire } from 'node:module';
import {
  type DestinationStream,
  destination as fileDestination,
  type Logger,
  pino,
  stdSerializers,
  stdTimeFunctions,
} from 'pino';
import type { LogConfig } from './config/config.js';

export type { Logger } from 'pino';

const REDACTED = '[redacted]';
const DEEPEST = 8;

/** Names, without case, dashes and underscores, whose values open something wherever they stand. */
const SECRET_NAMES: ReadonlySet<string> = new Set(
  (
    'authorization proxyauthorization cookie cookies setcookie dpop clientsecret clientsecrets clientassertion assertion ' +
    'token tokens accesstoken refreshtoken idtoken idtokenhint subjecttoken actortoken logouttoken ' +
    'registrationaccesstoken initialaccesstoken authreqid code devicecode usercode codeverifier ' +
    'password newpassword currentpassword passphrase secret secrets apikey rootkey privatekey privatejwk privatepem ' +
    'pepper datakey wrappedkey totp otp recoverycode samlresponse'
  ).split(' '),
);

/** RFC 7518 §6: members of a JWK that are private; short enough to mean other things elsewhere. */
const PRIVATE_JWK_MEMBERS: ReadonlySet<string> = new Set(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']);

/** Error codes of Node, of SQL drivers and of ours: `ECONNRESET`, `SQLITE_BUSY`, `not_found`, `23505`. */
const SYMBOLIC_CODE = /^(?:[A-Z][A-Z0-9_]*|[a-z]+(?:_[a-z]+)*|[0-9A-Z]{5})$/;

function isSecretName(name: string): boolean {
  return SECRET_NAMES.has(name.toLowerCase().replace(/[-_]/g, ''));
}

function plainError(error: Error): Record<string, unknown> {
  const { type, message, stack, ...own } = stdSerializers.err(error);
  // The serializer keeps the raw error under `raw`, not enumerable; what remains is safe to walk.
  return { type, message, stack, ...own };
}

function redactedRecord(record: Record<string, unknown>, above: readonly object[], isError: boolean): object {
  const isJwk = Object.hasOwn(record, 'kty');
  const copy: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(record)) {
    if (value === null || value === undefined || typeof value === 'boolean') copy[name] = value;
    else if (isError && name === 'code' && SYMBOLIC_CODE.test(String(value))) copy[name] = value;
    else if (isSecretName(name) || (isJwk && PRIVATE_JWK_MEMBERS.has(name))) copy[name] = REDACTED;
    else copy[name] = redacted(value, above);
  }
  return copy;
}

/** A copy without the values of secret names, however deep. What is neither plain nor an error is made plain first. */
function redacted(value: unknown, above: readonly object[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (above.includes(value)) return '[circular]';
  if (above.length >= DEEPEST) return '[too deep]';
  const below = [...above, value];
  if (value instanceof Error) return redactedRecord(plainError(value), below, true);
  // Bytes would be printed as numbers, which no pattern recognises: a root key among them.
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.map(each => redacted(each, below));
  if (value instanceof Map) return redactedRecord(Object.fromEntries(value), below, false);
  if (value instanceof Set) return [...value].map(each => redacted(each, below));
  if ('toJSON' in value && typeof value.toJSON === 'function') return redacted(value.toJSON(), below);
  return redactedRecord(value as Record<string, unknown>, below, false);
}

function redactedFields(fields: object): Record<string, unknown> {
  return redactedRecord(fields as Record<string, unknown>, [fields], false) as Record<string, unknown>;
}

const FORM_NAMES =
  'client_secret|client_assertion|assertion|access_token|refresh_token|id_token|id_token_hint|subject_token|actor_token|' +
  'logout_token|token|device_code|user_code|code_verifier|password|passphrase|secret|api_key|root_key|private_key';

/**
 * What looks like a secret is taken out of the finished line, wherever it stands: message, stack, a value under a
 * harmless name. The line is JSON, so a quote inside a string appears as `\"`.
 */
const SECRET_VALUES: readonly (readonly [marker: string, pattern: RegExp, replacement: string])[] = [
  // Our own client secrets, API keys and registration tokens.
  ['cvg_', /cvg_(?:cs|ak|rt)_[0-9A-Za-z_]+/g, REDACTED],
  // Compact JWS and JWE (RFC 7515 §7.1): the header always begins with `{"`.
  ['eyJ', /eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){2,4}/g, REDACTED],
  [' ', /\b(Basic|Bearer|DPoP) +[A-Za-z0-9._~+/-]{20,}=*/gi, `$1 ${REDACTED}`],
  [
    '-----BEGIN',
    /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END)(?:[^"\\]|\\[^"]))*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g,
    REDACTED,
  ],
  // user:password@ in URLs, as database drivers quote them.
  ['://', /(:\/\/[^:/\s"@\\]*):[^@\s"\\/]+@/g, `$1:${REDACTED}@`],
  // Form bodies and query strings; a bare `code=` is too common a word, so it must follow a separator.
  ['=', new RegExp(`(?<![A-Za-z0-9_])(${FORM_NAMES})=[^&\\s"\\\\]+`, 'gi'), `$1=${REDACTED}`],
  ['code=', /([?&]|")code=[^&\s"\\]+/g, `$1code=${REDACTED}`],
  // JSON inside a string; an escaped quote within it appears as `\\\"` and does not end the value.
  [
    '\\"',
    new RegExp(
      String.raw`(\\"(?:${FORM_NAMES}|code|authorization|cookie|d)\\": ?\\")(?:[^"\\]|\\\\(?:\\["\\]|[^"\\]))+`,
      'gi',
    ),
    `$1${REDACTED}`,
  ],
];

function withoutSecretValues(line: string): string {
  let clean = line;
  for (const [marker, pattern, replacement] of SECRET_VALUES) {
    // Most lines hold none; looking for a few plain characters is far cheaper than the pattern.
    if (clean.includes(marker)) clean = clean.replace(pattern, replacement);
  }
  return clean;
}

/** What is used of pino-pretty, written down here: its own types do not stand up to a strict check. */
interface PrettyModule {
  prettyFactory(options: Readonly<Record<string, string | boolean>>): (line: string) => string;
}

/** Lines for people. pino-pretty is not part of an installation for production; without it lines stay JSON. */
function prettyDestination(out: DestinationStream): DestinationStream {
  let pretty: (line: string) => string;
  try {
    const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as PrettyModule;
    pretty = prettyFactory({
      colorize: process.stdout.isTTY === true,
      translateTime: 'SYS:HH:MM:ss.l',
      ignore: 'service',
    });
  } catch {
    return out;
  }
  return { write: line => out.write(pretty(line)) };
}

/**
 * Structured logs on pino. No secret gets out by two nets: names at any depth, and the shape of values in the whole
 * line. Neither can be switched off.
 */
export function createLogger(
  { level, format }: LogConfig,
  destination: DestinationStream = fileDestination({ fd: 1, sync: false }),
  service: { readonly version?: string } = {},
): Logger {
  const logger = pino(
    {
      level,
      base: { service: { name: 'claviger', ...service } },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }), log: redactedFields },
      // Errors are plain by then; pino's own serializer would take them for errors again and lose their class.
      serializers: { err: (error: unknown) => error },
      hooks: { streamWrite: withoutSecretValues },
    },
    format === 'pretty' ? prettyDestination(destination) : destination,
  );
  // pino drops the formatter of bindings in children, so bindings are cleaned before they reach it. Children inherit
  // from the root and with it these methods.
  const { child, setBindings } = logger;
  logger.child = function redactingChild(this: Logger, bindings: object, options?: object) {
    return child.call(this, redactedFields(bindings), options);
  } as Logger['child'];
  logger.setBindings = function redactingBindings(this: Logger, bindings: object) {
    setBindings.call(this, redactedFields(bindings));
  };
  return logger;
}
