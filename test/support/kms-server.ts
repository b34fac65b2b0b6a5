import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

type Body = Readonly<Record<string, unknown>>;
interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const NONCE = 12;
const TAG = 16;

/** Real AES-256-GCM with real additional data: what the two services do inside. */
class SymmetricKey {
  readonly #key = randomBytes(32);

  seal(plaintext: Buffer, additional: string): Buffer {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(additional));
    return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  open(sealed: Buffer, additional: string): Buffer | undefined {
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE));
      decipher.setAAD(Buffer.from(additional)).setAuthTag(sealed.subarray(-TAG));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE, -TAG)), decipher.final()]);
    } catch {
      return undefined;
    }
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/**
 * A small server that speaks, as far as this project asks, the protocols of AWS KMS (JSON 1.1), of Google Cloud KMS
 * (REST) and of Google's metadata server. Not the services themselves: what they check beyond that is not tested.
 */
export class KmsServer {
  readonly accessToken = `ya29.${randomBytes(12).toString('hex')}`;
  readonly requests: string[] = [];
  /** Statuses for the next requests, before they are looked at. */
  readonly faults: number[] = [];
  readonly #keys = new Map<string, SymmetricKey>();
  readonly #server = createServer((request, response) => {
    void this.#answer(request).then(({ status, body }) => {
      response.writeHead(status, {
        'content-type': 'application/json',
        'metadata-flavor': 'Google',
      });
      response.end(JSON.stringify(body));
    });
  });

  async listen(): Promise<void> {
    await new Promise<void>(ready => this.#server.listen(0, '127.0.0.1', ready));
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise(done => this.#server.close(done));
  }

  /** A new key under a name, also under one that had another. */
  createKey(name: string): void {
    this.#keys.set(name, new SymmetricKey());
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    let sent = '';
    for await (const chunk of request) sent += String(chunk);
    this.requests.push(`${request.method} ${request.url}`);
    const fault = this.faults.shift();
    if (fault !== undefined) return { status: fault, body: { __type: 'KMSInternalException' } };
    if (request.url?.startsWith('/computeMetadata/v1/') === true) return this.#metadata(request.url);
    const body = JSON.parse(sent) as Body;
    const target = request.headers['x-amz-target'];
    return target === undefined ? this.#google(request, body) : this.#amazon(request, String(target), body);
  }

  #metadata(url: string): Answer {
    if (!url.includes('/service-accounts/default/token')) return { status: 200, body: {} };
    return {
      status: 200,
      body: { access_token: this.accessToken, expires_in: 3600, token_type: 'Bearer' },
    };
  }

  #amazon(request: IncomingMessage, target: string, body: Body): Answer {
    const refuse = (type: string) => ({ status: 400, body: { __type: type, message: `${type} for a test` } });
    if (!/^AWS4-HMAC-SHA256 Credential=AKIATEST\//.test(request.headers.authorization ?? '')) {
      return refuse('UnrecognizedClientException');
    }
    const key = this.#keys.get(text(body.KeyId));
    if (key === undefined) return refuse('NotFoundException');
    const additional = JSON.stringify(body.EncryptionContext ?? {});
    if (target === 'TrentService.Encrypt') {
      const sealed = key.seal(Buffer.from(text(body.Plaintext), 'base64'), additional);
      return { status: 200, body: { KeyId: body.KeyId, CiphertextBlob: sealed.toString('base64') } };
    }
    const opened = key.open(Buffer.from(text(body.CiphertextBlob), 'base64'), additional);
    if (opened === undefined) return refuse('InvalidCiphertextException');
    return { status: 200, body: { KeyId: body.KeyId, Plaintext: opened.toString('base64') } };
  }

  #google(request: IncomingMessage, body: Body): Answer {
    const refuse = (status: number, name: string) => ({
      status,
      body: { error: { code: status, status: name, message: `${name} for a test` } },
    });
    if (request.headers.authorization !== `Bearer ${this.accessToken}`) return refuse(401, 'UNAUTHENTICATED');
    const [, name = '', verb] = /^\/v1\/(.+):(encrypt|decrypt)$/.exec(request.url ?? '') ?? [];
    const key = this.#keys.get(name);
    if (key === undefined) return refuse(404, 'NOT_FOUND');
    const additional = text(body.additionalAuthenticatedData);
    if (verb === 'encrypt') {
      const sealed = key.seal(Buffer.from(text(body.plaintext), 'base64'), additional);
      return {
        status: 200,
        body: { name: `${name}/cryptoKeyVersions/1`, ciphertext: sealed.toString('base64') },
      };
    }
    const opened = key.open(Buffer.from(text(body.ciphertext), 'base64'), additional);
    if (opened === undefined) return refuse(400, 'INVALID_ARGUMENT');
    return { status: 200, body: { plaintext: opened.toString('base64') } };
  }
}
