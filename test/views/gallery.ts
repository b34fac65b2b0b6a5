import type { Clock } from '../../src/clock.js';
import { type BrandingConfig, LOCALES, type Locale } from '../../src/config/config.js';
import { Assets } from '../../src/http/assets.js';
import { Messages } from '../../src/http/messages.js';
import { Renderer } from '../../src/http/render.js';
import type { ViewName, Views } from '../../src/http/view-models.js';
import { NOW, SAMPLES } from './samples.js';

export const ISSUER = 'https://id.tideway.example';

export const BRANDING: BrandingConfig = {
  name: 'Tideway',
  logoFile: '',
  lightAccents: [],
  darkAccents: [],
  supportEmail: 'help@tideway.example',
  privacyUrl: 'https://tideway.example/privacy',
  helpUrl: 'https://tideway.example/help',
  locale: 'en',
};

const clock: Clock = { now: () => NOW, monotonic: () => 0 };

export interface Gallery {
  readonly renderer: Renderer;
  readonly assets: Assets;
}

export function openGallery(issuer: string = ISSUER, branding: Partial<BrandingConfig> = {}): Gallery {
  const config = { issuer, branding: { ...BRANDING, ...branding } };
  const assets = new Assets(config);
  return { renderer: new Renderer({ config, clock, messages: new Messages(), assets }), assets };
}

export interface GalleryPage {
  readonly name: string;
  readonly view: ViewName;
  readonly locale: Locale;
  readonly html: string;
}

type Change = <V extends ViewName>(model: Views[V]) => Views[V];

/** Every view in every shape and language, as a browser would get it. */
export function galleryPages(
  { renderer }: Gallery = openGallery(),
  change: Change = model => model,
): GalleryPage[] {
  return LOCALES.flatMap(locale =>
    (Object.keys(SAMPLES) as ViewName[]).flatMap(view =>
      Object.entries(SAMPLES[view]).map(([shape, model]) => ({
        name: `${view}/${shape}.${locale}`,
        view,
        locale,
        html: renderer.page(view, change(model), {
          locale,
          csrfToken: 'csrf-sample',
          returnTo: '/sample?a=b',
        }),
      })),
    ),
  );
}
