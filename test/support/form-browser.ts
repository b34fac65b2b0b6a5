import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { type HTMLElement, parse } from 'node-html-parser';
import { Cookie, CookieJar } from 'tough-cookie';
import { allows, entriesOf, type FieldValues, formActionOf } from './html-form.js';
import { ISSUER } from './nodes.js';

const MOST_REDIRECTS = 12;
const TIMEOUT = 20_000;
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** One request and its answer, as they went over the wire. */
export interface Exchange {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  /** Origin of the node that answered. */
  readonly node: string;
  readonly requestHeaders: Readonly<Record<string, string>>;
  readonly body: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Where the browser was sent to outside the issuer; nothing is loaded there. */
export interface Departure {
  readonly method: 'GET' | 'POST';
  /** Without the parameters of a query, for a comparison with what was registered. */
  readonly uri: string;
  /** The whole address. */
  readonly url: string;
  /** Of the query, or of the form that a form_post page submits by itself. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** Where a navigation ended. */
export interface Landing {
  readonly url: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly root: HTMLElement;
  readonly departure: Departure | undefined;
}

export interface FormBrowserOptions {
  /** The origin, with path, that the browser believes it talks to. */
  readonly issuer?: string;
  /** Origin of the node that takes the next request. */
  readonly pick: () => string;
  /** What the browser says in Accept-Language. */
  readonly languages?: string;
}

export interface NavigationOptions {
  /** Origin of the page that sent the browser here; default: the address was typed. */
  readonly from?: string;
}

interface Navigation {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly body?: string;
  readonly from: string | undefined;
  /** Fetch §3.2: a page that sends no referrer tells no origin either. */
  readonly isAnonymous?: boolean;
  /** `form-action` of the page whose form this is. */
  readonly formAction?: readonly string[] | undefined;
}

/** Nodes take turns: the next request of a browser never depends on which of them took the last one. */
export function roundRobin(nodes: readonly { readonly port: number }[]): () => string {
  let turn = 0;
  return () => {
    const node = nodes[turn % nodes.length];
    turn += 1;
    if (node === undefined) throw new Error('no node is running');
    return `http://127.0.0.1:${node.port}`;
  };
}

/** Fetch Metadata §2.3, for the hosts that tests use. */
function siteOf(from: string | undefined, to: string): 'none' | 'same-origin' | 'same-site' | 'cross-site' {
  if (from === undefined) return 'none';
  const [here, there] = [new URL(from), new URL(to)];
  if (here.origin === there.origin) return 'same-origin';
  return here.protocol === there.protocol && here.hostname === there.hostname ? 'same-site' : 'cross-site';
}

/**
 * A person's browser with scripts switched off: real HTTP, cookies by the rules of RFC 6265bis, redirects, forms,
 * Origin, Fetch Metadata and the form-action of the page it is on. Each request goes to the node that `pick` names.
 */
export class FormBrowser {
  readonly jar = new CookieJar(undefined, { prefixSecurity: 'strict', rejectPublicSuffixes: false });
  readonly exchanges: Exchange[] = [];
  readonly #issuer: URL;
  readonly #pick: () => string;
  readonly #languages: string;
  #landing: Landing | undefined;

  constructor({ issuer = ISSUER, pick, languages = 'en' }: FormBrowserOptions) {
    this.#issuer = new URL(issuer);
    this.#pick = pick;
    this.#languages = languages;
  }

  /** Where it is. */
  get landing(): Landing {
    if (this.#landing === undefined) throw new Error('the browser has not been anywhere yet');
    return this.#landing;
  }

  /** An address is typed, or, with `from`, a page elsewhere sends the browser here. */
  async get(url: string, { from }: NavigationOptions = {}): Promise<Landing> {
    return this.#navigate({ method: 'GET', url: this.#absolute(url), from });
  }

  /** A form on a page elsewhere, or (from the issuer's own origin) one that no page of ours contains. */
  async post(
    url: string,
    fields: Readonly<Record<string, string>>,
    { from }: Required<NavigationOptions>,
  ): Promise<Landing> {
    const body = new URLSearchParams(fields).toString();
    return this.#navigate({ method: 'POST', url: this.#absolute(url), body, from });
  }

  /** The link that `selector` finds on the page, or the first whose text is `selector`. */
  async follow(selector: string): Promise<Landing> {
    const { root, url } = this.landing;
    const links = root.querySelectorAll('a[href]');
    const link = links.find(one => one.textContent.trim() === selector) ?? root.querySelector(selector);
    const href = link?.getAttribute('href');
    if (href === undefined) throw new Error(`no link ${selector} on ${this.describe()}`);
    return this.#navigate({ method: 'GET', url: new URL(href, url).href, from: this.#issuer.origin });
  }

  /** Whether the page has it. */
  has(selector: string): boolean {
    return this.landing.root.querySelector(selector) !== null;
  }

  form(selector = 'main form'): HTMLElement {
    const form = this.landing.root.querySelector(selector);
    if (form === null) throw new Error(`no form ${selector} on ${this.describe()}`);
    return form;
  }

  /**
   * Fills in a form of the page and sends it.
   *
   * @param form which one: a selector of the form, or of something in it
   * @param button selector of the button to press; default: the form's first, as Enter does
   */
  async submit(
    form: string | HTMLElement,
    fields: FieldValues = {},
    { button }: { readonly button?: string } = {},
  ): Promise<Landing> {
    const { root, url, headers } = this.landing;
    const found = typeof form === 'string' ? this.form(form) : form;
    const element = found.tagName === 'FORM' ? found : found.closest('form');
    if (element === null) throw new Error(`no form around ${form} on ${this.describe()}`);
    const pressed = element.querySelector(button ?? 'button:not([type="button"]),input[type="submit"]');
    if (button !== undefined && pressed === null) throw new Error(`no ${button} on ${this.describe()}`);
    const sent = entriesOf(root, element, fields, pressed ?? undefined);
    const action = pressed?.getAttribute('formaction') ?? element.getAttribute('action') ?? url;
    const method = pressed?.getAttribute('formmethod') ?? element.getAttribute('method') ?? 'get';
    const target = new URL(action, url);
    const common = {
      from: this.#issuer.origin,
      isAnonymous: headers['referrer-policy'] === 'no-referrer',
      formAction: formActionOf(headers),
    };
    if (method.toLowerCase() === 'post') {
      return this.#navigate({ method: 'POST', url: target.href, body: sent.toString(), ...common });
    }
    target.search = sent.toString();
    return this.#navigate({ method: 'GET', url: target.href, ...common });
  }

  /** Names and values that would be sent to the issuer's path. */
  async cookies(path = '/'): Promise<Readonly<Record<string, string>>> {
    const cookies = await this.jar.getCookies(this.#absolute(path));
    return Object.fromEntries(cookies.map(({ key, value }) => [key, value]));
  }

  /** Another window of the same browser: the same cookies, another place. */
  window(): FormBrowser {
    const other = new FormBrowser({
      issuer: this.#issuer.href,
      pick: this.#pick,
      languages: this.#languages,
    });
    Object.defineProperty(other, 'jar', { value: this.jar });
    return other;
  }

  /** What a failed test needs to know. */
  describe(): string {
    const { url, status, root } = this.landing;
    const main = root.querySelector('main') ?? root;
    return `${status} ${url}: ${main.textContent.replace(/\s+/g, ' ').trim().slice(0, 600)}`;
  }

  #absolute(url: string): string {
    if (URL.canParse(url)) return url;
    return `${this.#issuer.origin}${this.#issuer.pathname.replace(/\/$/, '')}${url}`;
  }

  async #navigate(first: Navigation): Promise<Landing> {
    let step: Navigation = first;
    for (let count = 0; count <= MOST_REDIRECTS; count += 1) {
      const target = new URL(step.url);
      if (first.formAction !== undefined && !allows(first.formAction, target, this.#issuer)) {
        throw new Error(
          `form-action ${first.formAction.join(' ')} stops the browser on its way to ${step.url}`,
        );
      }
      if (target.origin !== this.#issuer.origin) return this.#depart(step, target);
      const exchange = await this.#send(step);
      const { status, headers } = exchange;
      const { location } = headers;
      if (location === undefined || status < 300 || status > 399) return this.#land(exchange);
      const next = new URL(location, step.url).href;
      const { from } = step;
      // Fetch §4.4: 303 always becomes GET, 301 and 302 do for POST, 307 and 308 keep method and body.
      step = status > 303 ? { ...step, url: next } : { method: 'GET', url: next, from };
    }
    throw new Error(`more than ${MOST_REDIRECTS} redirects from ${first.url}`);
  }

  #land({ url, status, headers, text }: Exchange): Landing {
    const isPage = String(headers['content-type'] ?? '').startsWith('text/html');
    const landing: Landing = {
      url,
      status,
      headers,
      text,
      root: parse(isPage ? text : ''),
      departure: undefined,
    };
    this.#landing = landing;
    // OAuth 2.0 Form Post Response Mode §2: a page with one form for the client, which a script of it submits.
    const forms = landing.root.querySelectorAll('form');
    const action = forms.length === 1 ? forms[0]?.getAttribute('action') : undefined;
    const target = action === undefined ? undefined : new URL(action, url);
    if (target === undefined || target.origin === this.#issuer.origin) return landing;
    const sources = formActionOf(headers);
    if (sources !== undefined && !allows(sources, target, this.#issuer)) {
      throw new Error(`form-action ${sources.join(' ')} stops the form post to ${target.href}`);
    }
    const fields = entriesOf(landing.root, this.form('form'), {}, undefined);
    const parameters = Object.fromEntries(fields);
    const departure = { method: 'POST' as const, uri: target.href, url: target.href, parameters };
    this.#landing = { ...landing, departure };
    return this.#landing;
  }

  #depart({ method, url, body }: Navigation, target: URL): Landing {
    const uri = url.split(/[?#]/)[0] ?? url;
    const parameters = Object.fromEntries(
      method === 'POST' ? new URLSearchParams(body) : target.searchParams,
    );
    const last = this.exchanges.at(-1);
    const { status = 0, headers = {}, text = '' } = last ?? {};
    const departure = { method, uri, url, parameters };
    this.#landing = { url, status, headers, text, root: parse(''), departure };
    return this.#landing;
  }

  async #send({ method, url, body = '', from, isAnonymous = false }: Navigation): Promise<Exchange> {
    const target = new URL(url);
    const node = this.#pick();
    const site = siteOf(from, url);
    // RFC 6265bis §5.2: another site's link brings Lax cookies, its form brings none of them.
    const foreign = method === 'GET' ? 'lax' : 'none';
    const sameSiteContext = site === 'cross-site' ? foreign : 'strict';
    const requestHeaders: Record<string, string> = {
      host: target.host,
      accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
      'accept-language': this.#languages,
      'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      'sec-fetch-site': site,
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    };
    const cookie = await this.jar.getCookieString(url, { sameSiteContext });
    if (cookie !== '') requestHeaders.cookie = cookie;
    if (method === 'POST') {
      requestHeaders.origin = isAnonymous ? 'null' : (from ?? 'null');
      requestHeaders['content-type'] = 'application/x-www-form-urlencoded';
      requestHeaders['content-length'] = String(Buffer.byteLength(body));
    }
    const { hostname, port } = new URL(node);
    const path = `${target.pathname}${target.search}`;
    const answer = await new Promise<Pick<Exchange, 'status' | 'headers' | 'text'>>((resolve, reject) => {
      const outgoing = request(
        { hostname, port, path, method, headers: requestHeaders, agent, timeout: TIMEOUT },
        response => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.once('error', reject);
          response.once('end', () => {
            const { statusCode: status = 0, headers } = response;
            resolve({ status, headers, text: Buffer.concat(chunks).toString('utf8') });
          });
        },
      );
      outgoing.once('timeout', () => outgoing.destroy(new Error(`${method} ${url} took too long`)));
      outgoing.once('error', reject);
      outgoing.end(body);
    });
    for (const line of answer.headers['set-cookie'] ?? []) await this.#keep(line, url);
    const exchange = { method, url, node, requestHeaders, body, ...answer };
    this.exchanges.push(exchange);
    return exchange;
  }

  async #keep(line: string, url: string): Promise<void> {
    const cookie = Cookie.parse(line);
    if (cookie === undefined) throw new Error(`no browser understands the cookie ${line}`);
    // Browsers take a cookie that says nothing as Lax.
    cookie.sameSite ??= 'lax';
    // What a browser would drop without a word is a fault of the server.
    await this.jar.setCookie(cookie, url);
  }
}
