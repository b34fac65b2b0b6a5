import type { Cli } from './cli.js';
import { type Answer, isRecord, request } from './issuer-endpoints.js';
import { printable } from './output.js';

export interface Exchange {
  readonly step: string;
  readonly request: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly status: number | undefined;
  readonly answer: unknown;
}

/** Parameters that open something: shown as what they are, never in full. */
const SECRET_PARAMETERS: ReadonlySet<string> = new Set([
  'client_secret',
  'code',
  'code_verifier',
  'device_code',
  'refresh_token',
  'access_token',
  'id_token',
]);

function shown<Value>(record: Readonly<Record<string, Value>>): Record<string, Value | string> {
  const entries = Object.entries(record).map(([name, value]): [string, Value | string] =>
    SECRET_PARAMETERS.has(name) && typeof value === 'string'
      ? [name, `${value.slice(0, 8)}… (${value.length} characters)`]
      : [name, value],
  );
  return Object.fromEntries(entries);
}

/** Keeps what was said between client and server, and shows it as it happens: a walk through a flow is for people. */
export class FlowSteps {
  readonly #cli: Cli;
  readonly #exchanges: Exchange[] = [];

  constructor(cli: Cli) {
    this.#cli = cli;
  }

  get exchanges(): readonly Exchange[] {
    return this.#exchanges;
  }

  note(step: string, url: string, parameters: Readonly<Record<string, string>>): void {
    this.#add({ step, request: url, parameters: shown(parameters), status: undefined, answer: undefined });
  }

  async post(
    step: string,
    url: string,
    parameters: Readonly<Record<string, string>>,
    authorization: string | undefined,
  ): Promise<Answer> {
    const headers = { accept: 'application/json', ...(authorization === undefined ? {} : { authorization }) };
    const answer = await request(url, { method: 'POST', headers, body: new URLSearchParams(parameters) });
    this.#add({
      step,
      request: `POST ${url}`,
      parameters: shown(parameters),
      status: answer.status,
      answer: isRecord(answer.body) ? shown(answer.body) : answer.body,
    });
    return answer;
  }

  async get(step: string, url: string, accessToken: string): Promise<Answer> {
    const answer = await request(url, { headers: { authorization: `Bearer ${accessToken}` } });
    this.#add({ step, request: `GET ${url}`, parameters: {}, status: answer.status, answer: answer.body });
    return answer;
  }

  claims(name: string, claims: Record<string, unknown> | undefined): Record<string, unknown> | undefined {
    if (claims !== undefined) this.#cli.output.say(`\n${name}\n${JSON.stringify(claims, null, 2)}`);
    return claims;
  }

  #add(exchange: Exchange): void {
    this.#exchanges.push(exchange);
    const { output } = this.#cli;
    output.say(`\n${this.#exchanges.length}. ${exchange.step}\n   ${exchange.request}`);
    for (const [name, value] of Object.entries(exchange.parameters))
      output.say(`   ${name} = ${printable(value)}`);
    if (exchange.status !== undefined) {
      output.say(`   → ${exchange.status} ${JSON.stringify(exchange.answer)}`);
    }
  }
}
