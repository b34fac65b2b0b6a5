import { expect } from 'chai';
import { type HTMLElement, parse } from 'node-html-parser';
import { type GalleryPage, galleryPages } from './gallery.js';
import { HOSTILE, hostile } from './samples.js';

interface Page extends GalleryPage {
  readonly root: HTMLElement;
}

function parsed(pages: readonly GalleryPage[]): Page[] {
  return pages.map(page => ({ ...page, root: parse(page.html, { comment: true }) }));
}

const ADDRESSES = ['href', 'src', 'action', 'formaction'];

/** What would run, load or style without being a file of ours. */
function dangers({ root }: Page): string[] {
  return root.querySelectorAll('*').flatMap(element => {
    const { attributes } = element;
    const found = Object.keys(attributes).filter(name => /^on|^style$|^srcdoc$/i.test(name));
    const tag = element.tagName.toLowerCase();
    if (tag === 'style' || tag === 'iframe' || tag === 'object' || tag === 'base') found.push(tag);
    if (tag === 'script' && !/^\/assets\/[\w.-]+\.js$/.test(attributes.src ?? ''))
      found.push('inline script');
    if (tag === 'script' && element.innerHTML.trim() !== '') found.push('script text');
    if (tag === 'img' && !attributes.src?.startsWith('/assets/')) found.push('foreign image');
    for (const name of ADDRESSES) {
      const address = attributes[name];
      if (address !== undefined && !/^(?:https?:\/\/|\/(?!\/)|#|\?|mailto:)/i.test(address))
        found.push(address);
    }
    return found.map(danger => `${tag} ${danger}`);
  });
}

function labelOf(root: HTMLElement, field: HTMLElement): string | undefined {
  return root.querySelector(`label[for="${field.id}"]`)?.text.trim();
}

function visibleFields(root: HTMLElement): HTMLElement[] {
  return root
    .querySelectorAll('input, select, textarea')
    .filter(field => field.getAttribute('type') !== 'hidden' && field.getAttribute('aria-hidden') !== 'true');
}

describe('pages', () => {
  let pages: Page[];
  let attacked: Page[];

  before(() => {
    pages = parsed(galleryPages());
    attacked = parsed(galleryPages(undefined, model => hostile(model)));
  });

  function each(check: (page: Page) => void, of: readonly Page[] = pages): void {
    for (const page of of) {
      try {
        check(page);
      } catch (error) {
        throw new Error(`${page.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }

  it('hold no inline script, no inline style and nothing from elsewhere', () => {
    each(page => expect(dangers(page)).to.deep.equal([]));
  });

  it('show what strangers wrote as text, in every field of every view', () => {
    each(page => {
      expect(dangers(page)).to.deep.equal([]);
      expect(page.html).to.not.include('<script>alert');
      expect(page.html).to.not.include('javascript:');
    }, attacked);
    expect(attacked.some(({ root }) => root.querySelector('main')?.text.includes('<script>alert'))).to.equal(
      true,
    );
  });

  it('drop characters that turn a sentence around (UAX #9)', () => {
    expect(HOSTILE).to.match(/\p{Bidi_Control}/u);
    each(page => expect(page.html).to.not.match(/\p{Bidi_Control}/u), attacked);
  });

  it('have a language, a direction, a title and exactly one h1', () => {
    each(({ root, locale }) => {
      const html = root.querySelector('html');
      expect(html?.getAttribute('lang')).to.equal(locale);
      expect(html?.getAttribute('dir')).to.equal('ltr');
      expect(root.querySelector('title')?.text).to.match(/\S+ · .*Tideway/);
      expect(root.querySelectorAll('h1')).to.have.length(1);
      expect(root.querySelectorAll('main')).to.have.length(1);
    });
  });

  it('leave no value unsaid', () => {
    each(({ html }) => expect(html).to.not.match(/undefined|\[object|NaN|>null</));
  });

  it('label every field, and never by a placeholder', () => {
    each(({ root }) => {
      for (const field of visibleFields(root)) {
        expect(labelOf(root, field), field.outerHTML).to.match(/\S/);
        expect(field.getAttribute('placeholder')).to.equal(undefined);
      }
    });
  });

  it('use each id once', () => {
    each(({ root }) => {
      const ids = root.querySelectorAll('[id]').map(({ id }) => id);
      expect(ids.filter((id, index) => ids.indexOf(id) !== index)).to.deep.equal([]);
    });
  });

  it('protect every form against forgery by its token', () => {
    each(({ root }) => {
      for (const form of root.querySelectorAll('form')) {
        expect(form.getAttribute('method')).to.equal('post');
        // The core's own forms carry the core's proof instead.
        const proof = form.querySelector('input[name="csrf"]') ?? form.querySelector('input[name="xsrf"]');
        expect(proof?.getAttribute('value')).to.be.oneOf(['csrf-sample', 'a1b2']);
      }
    });
  });

  it('have one main button for people, and at most one for a form', () => {
    each(({ root, view }) => {
      if (!view.startsWith('account/')) {
        const shown = root.querySelectorAll('.btn.main');
        expect(shown.length).to.be.at.most(1);
      }
      for (const form of root.querySelectorAll('form'))
        expect(form.querySelectorAll('.btn.main').length).to.be.at.most(1);
    });
  });

  it('say which fields to fill in how (WCAG 2.2, 1.3.5)', () => {
    const token = (view: string, name: string): string | undefined =>
      pages
        .find(page => page.name === `${view}.en`)
        ?.root.querySelector(`input[name="${name}"]`)
        ?.getAttribute('autocomplete');
    expect(token('sign-in/first', 'email')).to.equal('username webauthn');
    expect(token('sign-in/first', 'password')).to.equal('current-password');
    expect(token('sign-up/first', 'email')).to.equal('email');
    expect(token('sign-up/first', 'name')).to.equal('name');
    expect(token('sign-up/first', 'password')).to.equal('new-password');
    expect(token('second-factor/totp', 'code')).to.equal('one-time-code');
    expect(token('new-password/change', 'current_password')).to.equal('current-password');
    expect(token('new-password/change', 'password')).to.equal('new-password');
  });

  it('name a fault in a summary that takes focus, and at the field', () => {
    each(({ root }) => {
      const summary = root.querySelector('#summary');
      const wrong = root.querySelectorAll('[aria-invalid="true"]');
      expect(root.querySelectorAll('.field.wrong')).to.have.length(wrong.length);
      if (wrong.length > 0) expect(summary).to.not.equal(null);
      if (summary === null) return;
      expect(summary.getAttribute('role')).to.equal('alert');
      expect(summary.getAttribute('tabindex')).to.equal('-1');
      expect(summary.hasAttribute('autofocus')).to.equal(true);
      for (const link of summary.querySelectorAll('a')) {
        const target = root.querySelector(link.getAttribute('href') ?? '');
        expect(target?.getAttribute('aria-invalid')).to.equal('true');
      }
      for (const field of wrong) {
        const ids = (field.getAttribute('aria-describedby') ?? '').split(' ');
        expect(ids).to.include(`${field.id}-error`);
        for (const id of ids) expect(root.querySelector(`#${id}`), id).to.not.equal(null);
      }
    });
  });

  it('work without script: what needs one is hidden until the script shows it', () => {
    each(({ root }) => {
      for (const button of root.querySelectorAll('button[type="button"]')) {
        const hidden = button.hasAttribute('hidden') || button.closest('[hidden]') !== null;
        expect(hidden, button.outerHTML).to.equal(true);
      }
    });
  });

  it('offer the other language and name the host, to compare with the address bar', () => {
    each(({ root, locale }) => {
      const footer = root.querySelector('footer');
      expect(footer?.text).to.include('id.tideway.example');
      const button = footer?.querySelector('button[name="locale"]');
      expect(button?.getAttribute('value')).to.equal(locale === 'en' ? 'de' : 'en');
      expect(footer?.querySelector('input[name="return_to"]')?.getAttribute('value')).to.equal('/sample?a=b');
    });
  });

  it('never forbid pasting and never pre-tick trust in a device', () => {
    each(({ root, html }) => {
      expect(html).to.not.include('onpaste');
      for (const box of root.querySelectorAll('input[name="trust"]'))
        expect(box.hasAttribute('checked')).to.equal(false);
    });
  });

  it('stand refusal before consent, both equally wide', () => {
    const consent = pages.find(({ name }) => name === 'consent/full.en')?.root;
    const answers = consent?.querySelectorAll('.pair > button').map(button => button.getAttribute('value'));
    expect(answers).to.deep.equal(['deny', 'allow']);
    expect(
      consent?.querySelectorAll('input[name="scope"]').map(box => box.getAttribute('value')),
    ).to.deep.equal([
      'email',
      'https://api.tideway.example/field field:write',
      'https://api.tideway.example/field field:raw',
    ]);
  });
});
