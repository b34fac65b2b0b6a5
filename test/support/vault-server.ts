import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

interface TransitVersion {
  readonly symmetric?: Buffer;
  readonly privateKey?: KeyObject;
  readonly publicKey?: string;
}

interface TransitRecord {
  readonly type: string;
  readonly versions: TransitVersion[];
  isDeletable: boolean;
}

interface Issued {
  readonly role: string;
  expiresAt: number;
}

type Body = Record<string, unknown>;

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** What a test puts in the way of the next requests, first come first served. */
export type Fault =
  | { readonly status: number; readonly errors?: readonly string[]; readonly location?: string }
  | { readonly bytes: number }
  | 'silence'
  | 'cut';

export interface VaultServerOptions {
  /** Milliseconds; moves the leases of tokens. */
  readonly now?: () => number;
  readonly leaseFor?: number;
  readonly tls?: { readonly key: string; readonly cert: string };
}

const CURVES: Readonly<Record<string, string>> = { 'ecdsa-p256': 'P-256', 'ecdsa-p384': 'P-384' };

function generated(type: string): TransitVersion {
  if (type === 'aes256-gcm96') return { symmetric: randomBytes(32) };
  const namedCurve = CURVES[type];
  const pair =
    namedCurve !== undefined
      ? generateKeyPairSync('ec', { namedCurve })
      : type === 'ed25519'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength: Number(type.slice('rsa-'.length)) });
  const publicKey =
    type === 'ed25519'
      ? Buffer.from(String(pair.publicKey.export({ format: 'jwk' }).x), 'base64url').toString('base64')
      : String(pair.publicKey.export({ format: 'pem', type: 'spki' }));
  return { privateKey: pair.privateKey, publicKey };
}

const HASHES: Readonly<Record<string, string>> = {
  'sha2-256': 'sha256',
  'sha2-384': 'sha384',
  'sha2-512': 'sha512',
};
/** RFC 8017 §9.2, note 1: what stands before the hash in a PKCS #1 v1.5 signature. */
const DIGEST_PREFIX: Readonly<Record<string, string>> = {
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};

function signed(type: string, key: KeyObject, body: Body): Buffer {
  const input = Buffer.from(String(body.input), 'base64');
  if (type === 'ed25519') return sign(null, input, key);
  const hash = HASHES[String(body.hash_algorithm ?? 'sha2-256')] ?? 'sha256';
  if (type.startsWith('ecdsa')) {
    if (body.prehashed === true) throw new Error('this stand-in signs whole messages with ECDSA only');
    return sign(hash, input, {
      key,
      dsaEncoding: body.marshaling_algorithm === 'jws' ? 'ieee-p1363' : 'der',
    });
  }
  if (body.signature_algorithm === 'pkcs1v15') {
    if (body.prehashed !== true) return sign(hash, input, key);
    const block = Buffer.concat([Buffer.from(DIGEST_PREFIX[hash] ?? '', 'hex'), input]);
    return sign(null, block, { key, padding: constants.RSA_PKCS1_PADDING });
  }
  if (body.prehashed === true) throw new Error('this stand-in signs whole messages with PSS only');
  const saltLength =
    body.salt_length === 'hash' ? createHash(hash).digest().length : constants.RSA_PSS_SALTLEN_MAX_SIGN;
  return sign(hash, input, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

/**
 * A server that answers as the documentation of Vault's and OpenBao's HTTP API says, as far as this project asks:
 * KV versions 1 and 2, Transit, AppRole, Kubernetes/JWT logins, renewal, sealing. Real HTTP, real cryptography.
 */
export class VaultServer {
  readonly rootToken = `hvs.${randomBytes(16).toString('base64url')}`;
  readonly roleId = 'claviger-role';
  secretId = randomBytes(8).toString('hex');
  jwt = `eyJhbGciOiJub25lIn0.${randomBytes(12).toString('base64url')}.x`;
  readonly requests: string[] = [];
  readonly headers: IncomingMessage['headers'][] = [];
  readonly faults: Fault[] = [];
  isSealed = false;
  /** Paths that a policy denies to everybody but the root token. */
  readonly denied = new Set<string>();
  readonly kv1 = new Map<string, Body>();
  readonly kv2 = new Map<string, Body>();
  logins = 0;
  renewals = 0;
  /** Of the tokens that are issued from now on. */
  leaseFor: number;
  /** Connections that were opened. */
  connections = 0;
  readonly #tokens = new Map<string, Issued>();
  readonly #transit = new Map<string, TransitRecord>();
  readonly #server: Server;
  readonly #now: () => number;
  readonly #scheme: string;

  constructor({ now = () => performance.now(), leaseFor = 3_600, tls }: VaultServerOptions = {}) {
    this.#now = now;
    this.leaseFor = leaseFor;
    this.#scheme = tls === undefined ? 'http' : 'https';
    const listener = (request: IncomingMessage, response: ServerResponse) =>
      void this.#serve(request, response);
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
    this.#server.on('connection', () => {
      this.connections += 1;
    });
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>(ready => this.#server.listen(port, '127.0.0.1', ready));
    return this.address;
  }

  get address(): string {
    return `${this.#scheme}://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(done => this.#server.close(done));
  }

  /** As a restored or cleaned Vault would. */
  forgetTokens(): void {
    this.#tokens.clear();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://vault');
    const path = decodeURIComponent(url.pathname.replace(/^\/v1\//, ''));
    this.requests.push(`${request.method} ${path}`);
    this.headers.push(request.headers);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const fault = this.faults.shift();
    if (fault === 'silence') return;
    if (fault === 'cut') {
      request.socket.destroy();
      return;
    }
    if (fault !== undefined && 'bytes' in fault) {
      response.end(JSON.stringify({ data: { filler: 'x'.repeat(fault.bytes) } }));
      return;
    }
    if (fault !== undefined) {
      if (fault.location !== undefined) response.setHeader('location', fault.location);
      response.writeHead(fault.status).end(JSON.stringify({ errors: fault.errors ?? [] }));
      return;
    }
    const text = Buffer.concat(chunks).toString();
    let answer: Answer;
    try {
      const body = text === '' ? {} : (JSON.parse(text) as Body);
      answer = this.#answer(
        request.method ?? 'GET',
        path,
        body,
        String(request.headers['x-vault-token'] ?? ''),
      );
    } catch (error) {
      answer = { status: 400, body: { errors: [String(error)] } };
    }
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
  }

  #answer(method: string, path: string, body: Body, token: string): Answer {
    if (this.isSealed) return { status: 503, body: { errors: ['Vault is sealed'] } };
    const login = /^auth\/(.+)\/login$/.exec(path);
    if (login !== null) return this.#login(login[1] ?? '', body);
    const issued = this.#tokens.get(token);
    const isAlive = token === this.rootToken || (issued !== undefined && issued.expiresAt > this.#now());
    if (!isAlive || (token !== this.rootToken && this.denied.has(path)))
      return { status: 403, body: { errors: ['permission denied'] } };
    if (path === 'auth/token/renew-self') return this.#renew(token, issued);
    if (path.startsWith('sys/internal/ui/mounts/'))
      return this.#mount(path.slice('sys/internal/ui/mounts/'.length));
    if (path.startsWith('transit/')) return this.#transitAnswer(method, path.slice('transit/'.length), body);
    return this.#secret(path);
  }

  #issue(role: string): Answer {
    const token = `hvs.${randomBytes(18).toString('base64url')}`;
    this.#tokens.set(token, { role, expiresAt: this.#now() + this.leaseFor * 1_000 });
    return {
      status: 200,
      body: { auth: { client_token: token, lease_duration: this.leaseFor, renewable: true } },
    };
  }

  #login(mount: string, body: Body): Answer {
    this.logins += 1;
    if (mount === 'approle' && body.role_id === this.roleId && body.secret_id === this.secretId)
      return this.#issue(this.roleId);
    if (mount === 'kubernetes' && body.role === 'claviger' && body.jwt === this.jwt)
      return this.#issue('claviger');
    // As careless as a server can be: it repeats what it was sent.
    return { status: 400, body: { errors: [`invalid role or secret ID: ${JSON.stringify(body)}`] } };
  }

  #renew(token: string, issued: Issued | undefined): Answer {
    this.renewals += 1;
    if (issued === undefined) return { status: 400, body: { errors: ['lease is not renewable'] } };
    issued.expiresAt = this.#now() + this.leaseFor * 1_000;
    return {
      status: 200,
      body: { auth: { client_token: token, lease_duration: this.leaseFor, renewable: true } },
    };
  }

  #mount(path: string): Answer {
    const kv = (mount: string, version: string) => ({
      status: 200,
      body: { data: { path: `${mount}/`, type: 'kv', options: { version } } },
    });
    if (path.startsWith('team/old/')) return kv('team/old', '1');
    if (path.startsWith('secret/')) return kv('secret', '2');
    return { status: 403, body: { errors: [`preflight capability check returned 403 for ${path}`] } };
  }

  #secret(path: string): Answer {
    const old = this.kv1.get(path.replace(/^team\/old\//, ''));
    if (path.startsWith('team/old/') && old !== undefined) return { status: 200, body: { data: old } };
    const found = this.kv2.get(path.replace(/^secret\/data\//, ''));
    if (path.startsWith('secret/data/') && found !== undefined)
      return { status: 200, body: { data: { data: found, metadata: { version: 1, destroyed: false } } } };
    return { status: 404, body: { errors: [] } };
  }

  #transitAnswer(method: string, path: string, body: Body): Answer {
    const [verb = '', name = '', rest] = path.split('/');
    const key = this.#transit.get(name);
    if (verb === 'keys') return this.#transitKey(method, name, rest, key, body);
    if (key === undefined) return { status: 400, body: { errors: ['encryption key not found'] } };
    const version = Number(body.key_version ?? key.versions.length);
    const material = key.versions[version - 1];
    if (verb === 'sign' && material?.privateKey !== undefined) {
      const bytes = signed(key.type, material.privateKey, body);
      const encoding = body.marshaling_algorithm === 'jws' ? 'base64url' : 'base64';
      return { status: 200, body: { data: { signature: `vault:v${version}:${bytes.toString(encoding)}` } } };
    }
    if (verb === 'encrypt' && material?.symmetric !== undefined) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', material.symmetric, nonce);
      cipher.setAAD(Buffer.from(String(body.associated_data ?? ''), 'base64'));
      const sealed = [nonce, cipher.update(Buffer.from(String(body.plaintext), 'base64')), cipher.final()];
      const whole = Buffer.concat([...sealed, cipher.getAuthTag()]).toString('base64');
      return { status: 200, body: { data: { ciphertext: `vault:v${version}:${whole}` } } };
    }
    if (verb === 'decrypt') return this.#opened(key, body);
    return { status: 400, body: { errors: [`unsupported operation ${verb}`] } };
  }

  #opened(key: TransitRecord, body: Body): Answer {
    const match = /^vault:v(\d+):(.+)$/.exec(String(body.ciphertext));
    const symmetric = key.versions[Number(match?.[1]) - 1]?.symmetric;
    if (match === null || symmetric === undefined)
      return { status: 400, body: { errors: ['invalid ciphertext: no prefix'] } };
    try {
      const whole = Buffer.from(match[2] ?? '', 'base64');
      const decipher = createDecipheriv('aes-256-gcm', symmetric, whole.subarray(0, 12));
      decipher.setAAD(Buffer.from(String(body.associated_data ?? ''), 'base64'));
      decipher.setAuthTag(whole.subarray(-16));
      const plain = Buffer.concat([decipher.update(whole.subarray(12, -16)), decipher.final()]);
      return { status: 200, body: { data: { plaintext: plain.toString('base64') } } };
    } catch {
      return { status: 400, body: { errors: ['cipher: message authentication failed'] } };
    }
  }

  #transitKey(
    method: string,
    name: string,
    rest: string | undefined,
    key: TransitRecord | undefined,
    body: Body,
  ): Answer {
    if (rest === 'config') {
      if (key === undefined)
        return { status: 400, body: { errors: [`no existing key named ${name} could be found`] } };
      key.isDeletable = body.deletion_allowed === true;
      return { status: 204 };
    }
    if (rest === 'rotate') {
      key?.versions.push(generated(key.type));
      return { status: 204 };
    }
    if (method === 'POST') {
      const type = String(body.type ?? 'aes256-gcm96');
      if (key === undefined)
        this.#transit.set(name, { type, versions: [generated(type)], isDeletable: false });
      return { status: 204 };
    }
    if (method === 'DELETE') {
      if (key === undefined) return { status: 400, body: { errors: ['could not delete key; not found'] } };
      if (!key.isDeletable)
        return { status: 400, body: { errors: ['deletion is not allowed for this key'] } };
      this.#transit.delete(name);
      return { status: 204 };
    }
    if (key === undefined) return { status: 404, body: { errors: [] } };
    const keys = Object.fromEntries(
      key.versions.map(({ publicKey }, index) => [
        String(index + 1),
        publicKey === undefined ? 1_700_000_000 : { public_key: publicKey, name: key.type },
      ]),
    );
    const described = { name, type: key.type, latest_version: key.versions.length, exportable: false, keys };
    return { status: 200, body: { data: described } };
  }
}
