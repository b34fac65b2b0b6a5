import { join } from 'node:path';
import { Eta } from 'eta';
import type { Context } from 'koa';
import type { Clock } from '../clock.js';
import { type Config, LOCALES, type Locale } from '../config/config.js';
import { ACTIVITY_EVENTS } from './activity-events.js';
import type { Assets } from './assets.js';
import { readIcons } from './icons.js';
import { directionOf, LOCALE_NAMES, localeOf } from './locale.js';
import { attributes, drawing, escapeHtml, Markup, webAddress } from './markup.js';
import type { Messages } from './messages.js';
import type { FieldFault, ViewName, Views } from './view-models.js';
import { ViewWords } from './view-words.js';
import { viewsFolder } from './views-folder.js';

export interface RendererParts {
  readonly config: Pick<Config, 'issuer' | 'branding'>;
  readonly clock: Clock;
  readonly messages: Messages;
  readonly assets: Assets;
}

/** What a page needs to know of the request it answers. */
export interface PageFacts {
  readonly locale: Locale;
  /** Absent where no form is protected: then there is no form that acts. */
  readonly csrfToken?: string | undefined;
  /** Path and query of this page, to which choosing a language comes back. */
  readonly returnTo: string;
  readonly timeZone?: string | undefined;
}

/** What every template names without asking where it comes from. */
const NAMES =
  'm, t, rich, date, day, ago, lasting, list, has, icon, csrf, asset, at, web, faultOf, attrs, qr, page';

/** Turns a view model into a page. Templates decide how things look, never what is true. */
export class Renderer {
  readonly #parts: RendererParts;
  readonly #eta: Eta;
  readonly #prefix: string;
  readonly #icon = readIcons();

  constructor(parts: RendererParts) {
    this.#parts = parts;
    this.#prefix = new URL(parts.config.issuer).pathname.replace(/\/$/, '');
    this.#eta = new Eta({
      views: viewsFolder(),
      // A template is read and compiled once: changing a page means starting a node anew, like any other code.
      cache: true,
      escapeFunction: escapeHtml,
      functionHeader: `const {${NAMES}} = it;`,
    });
  }

  /**
   * Answers with a page. Reads `ctx.state`: `csrfToken`, `formActions` (origins a form's answer may redirect to),
   * `uiLocales` (what the client asked for), `timeZone` (the person's).
   */
  render<V extends ViewName>(ctx: Context, view: V, model: Views[V], status = 200): void {
    const locale = this.localeOf(ctx);
    const { csrfToken, timeZone, formActions = [] } = ctx.state;
    const { originalUrl = ctx.url } = ctx.req as { originalUrl?: string };
    ctx.status = status;
    ctx.type = 'text/html; charset=utf-8';
    ctx.set('Content-Language', locale);
    ctx.set('Content-Security-Policy', contentSecurityPolicy(formActions));
    ctx.set('Cache-Control', 'no-store');
    ctx.vary('Accept-Language');
    ctx.vary('Cookie');
    ctx.body = this.page(view, model, { locale, csrfToken, timeZone, returnTo: originalUrl });
  }

  localeOf(ctx: Context): Locale {
    return localeOf(ctx, this.#parts.config.branding.locale);
  }

  page<V extends ViewName>(view: V, model: Views[V], facts: PageFacts): string {
    const { clock, messages, assets } = this.#parts;
    const words = new ViewWords(messages, facts.locale, clock.now(), facts.timeZone);
    const faults: readonly FieldFault[] = 'faults' in model ? model.faults : [];
    return this.#eta.render(join('/', view), {
      m: model,
      ...bound(words),
      icon: this.#icon,
      csrf: new Markup(
        facts.csrfToken === undefined
          ? ''
          : `<input type="hidden" name="csrf" value="${escapeHtml(facts.csrfToken)}">`,
      ),
      asset: (name: string) => assets.url(name),
      at: (path: string) => this.#at(path),
      web: webAddress,
      faultOf: (field: string) => faults.find(fault => fault.field === field),
      attrs: attributes,
      qr: drawing,
      page: this.#frame(view, faults.length > 0, facts),
    });
  }

  /** An address of ours below the issuer's path. What already has that path, or is elsewhere, stays. */
  #at(path: string): string {
    const url = webAddress(path);
    if (url === undefined) return '#';
    const isOurs = url.startsWith('/') && this.#prefix !== '' && !url.startsWith(`${this.#prefix}/`);
    return isOurs ? `${this.#prefix}${url}` : url;
  }

  #frame(view: ViewName, hasFaults: boolean, facts: PageFacts) {
    const { assets, config } = this.#parts;
    const { branding } = config;
    const other = LOCALES.filter(locale => locale !== facts.locale);
    return {
      view,
      hasFaults,
      locale: facts.locale,
      direction: directionOf(facts.locale),
      canPost: facts.csrfToken !== undefined,
      returnTo: facts.returnTo,
      otherLocales: other.map(locale => ({ locale, name: LOCALE_NAMES[locale] })),
      host: new URL(config.issuer).host,
      brand: branding.name,
      logo: assets.logo === undefined ? undefined : assets.url(assets.logo),
      styles: ['app.css', 'branding.css'].filter(name => assets.has(name)).map(name => assets.url(name)),
      supportEmail: branding.supportEmail,
      privacyUrl: branding.privacyUrl,
      helpUrl: branding.helpUrl,
      activityEvents: ACTIVITY_EVENTS,
    };
  }
}

function bound(words: ViewWords) {
  return {
    t: words.t.bind(words),
    rich: words.rich.bind(words),
    has: words.has.bind(words),
    date: words.date.bind(words),
    day: words.day.bind(words),
    ago: words.ago.bind(words),
    lasting: words.lasting.bind(words),
    list: words.list.bind(words),
  };
}

/** Nothing runs, loads or frames that is not ours; the answer to a form may lead to the client's registered origins. */
export function contentSecurityPolicy(formActions: readonly string[]): string {
  // An origin that is not one could end the directive and begin another.
  const origins = formActions.filter(origin =>
    /^[a-z][a-z0-9+.-]*:(?:\/\/[A-Za-z0-9.:[\]-]*)?$/.test(origin),
  );
  return [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    `form-action ${["'self'", ...new Set(origins)].join(' ')}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');
}
