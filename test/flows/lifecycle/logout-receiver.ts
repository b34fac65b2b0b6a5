import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What to answer, or a promise of it; it never comes when the asking node dies first. */
type Answering = (logoutToken: string) => number | Promise<number>;

/** The back-channel logout endpoint of a client. */
export class LogoutReceiver {
  readonly #server: Server;
  /** Each logout token that arrived, whatever it was answered with. */
  readonly arrived: string[] = [];
  /** Those that were answered with success. */
  readonly accepted: string[] = [];
  answer: Answering = () => 200;

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const form = new URLSearchParams(await bodyOf(request));
      const token = form.get('logout_token');
      const isForm = request.headers['content-type'] === 'application/x-www-form-urlencoded';
      if (request.method !== 'POST' || token === null || !isForm) return response.writeHead(400).end();
      this.arrived.push(token);
      const status = await this.answer(token);
      if (status === 200) this.accepted.push(token);
      return response.writeHead(status, { 'cache-control': 'no-store' }).end();
    });
  }

  static async open(): Promise<LogoutReceiver> {
    const receiver = new LogoutReceiver();
    await new Promise<void>(resolve => receiver.#server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/logout`;
  }

  /** What arrived since the last call. */
  take(): string[] {
    this.accepted.splice(0);
    return this.arrived.splice(0);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => this.#server.close(resolve));
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}
