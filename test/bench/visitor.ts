import { Agent, request } from 'node:http';

const TIMEOUT = 20_000;

export interface Seen {
  readonly status: number;
  readonly location: string | undefined;
  readonly text: string;
}

interface Sent {
  readonly form?: readonly (readonly [name: string, value: string])[];
  readonly authorization?: string;
}

interface KeptCookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

/** One connection, with the cookies of one browser. */
export class Visitor {
  readonly #url: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #cookies: readonly KeptCookie[] = [];

  constructor(url: string) {
    this.#url = new URL(url);
  }

  /** The session is gone; that the browser is a known one stays. */
  forgetSession(): void {
    this.#cookies = this.#cookies.filter(({ name }) => name.includes('device'));
  }

  get(path: string): Promise<Seen> {
    return this.#send('GET', path, {});
  }

  post(path: string, sent: Sent): Promise<Seen> {
    return this.#send('POST', path, sent);
  }

  #send(method: 'GET' | 'POST', path: string, { form, authorization }: Sent): Promise<Seen> {
    const { origin, hostname, port } = this.#url;
    const target = new URL(path, origin);
    const body =
      form === undefined ? '' : new URLSearchParams(form.map(([name, value]) => [name, value])).toString();
    const cookie = this.#cookies
      .filter(({ path: of }) => target.pathname.startsWith(of))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
    const headers = {
      'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      ...(cookie === '' ? {} : { cookie }),
      ...(authorization === undefined ? {} : { authorization }),
      ...(form === undefined
        ? {}
        : {
            'content-type': 'application/x-www-form-urlencoded',
            'content-length': Buffer.byteLength(body),
            ...(authorization === undefined ? { origin, 'sec-fetch-site': 'same-origin' } : {}),
          }),
    };
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          hostname,
          port,
          method,
          path: target.pathname + target.search,
          headers,
          agent: this.#agent,
          timeout: TIMEOUT,
        },
        response => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.once('error', reject);
          response.once('end', () => {
            this.#keep(response.headers['set-cookie'] ?? []);
            const { statusCode: status = 0, headers: received } = response;
            resolve({ status, location: received.location, text: Buffer.concat(chunks).toString('utf8') });
          });
        },
      );
      outgoing.once('timeout', () =>
        outgoing.destroy(new Error(`${method} ${target.pathname} took too long`)),
      );
      outgoing.once('error', reject);
      outgoing.end(body);
    });
  }

  #keep(lines: readonly string[]): void {
    for (const line of lines) {
      const [pair = '', ...attributes] = line.split(';').map(part => part.trim());
      const at = pair.indexOf('=');
      const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
      const path = attributes.find(attribute => /^path=/i.test(attribute))?.slice(5) ?? '/';
      this.#cookies = this.#cookies.filter(one => one.name !== name || one.path !== path);
      // Both sides take a cookie away by emptying it.
      if (value !== '') this.#cookies = [...this.#cookies, { name, value, path }];
    }
  }
}
