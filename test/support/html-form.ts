import type { IncomingHttpHeaders } from 'node:http';
import type { HTMLElement } from 'node-html-parser';

/** A string sets a field, a list sets it several times, undefined leaves it out. Checkboxes are set by their values. */
export type FieldValues = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Where the forms of a page may lead, if it says so. */
export function formActionOf(headers: IncomingHttpHeaders): readonly string[] | undefined {
  const policy = String(headers['content-security-policy'] ?? '');
  const directive = policy.split(';').find(one => one.trim().startsWith('form-action'));
  return directive?.trim().split(/\s+/).slice(1);
}

/** CSP 3 §6.7.2.8: the list also holds for the redirects after the form; paths do not count there. */
export function allows(sources: readonly string[], target: URL, issuer: URL): boolean {
  return sources.some(source => {
    if (source === "'self'") return target.origin === issuer.origin;
    if (/^[a-z][a-z0-9+.-]*:$/.test(source)) return source === target.protocol;
    if (!URL.canParse(source)) return false;
    const { protocol, host } = new URL(source);
    return protocol === target.protocol && host === target.host;
  });
}

/** HTML §4.10.22.4: what a form sends when `button` is pressed. */
export function entriesOf(
  root: HTMLElement,
  form: HTMLElement,
  fields: FieldValues,
  button: HTMLElement | undefined,
): URLSearchParams {
  const id = form.getAttribute('id');
  const controls = form.querySelectorAll('input,select,textarea');
  if (id !== undefined) controls.push(...root.querySelectorAll(`[form="${id}"]`));
  const names = new Set(controls.map(control => control.getAttribute('name')));
  for (const name of Object.keys(fields)) {
    if (!names.has(name)) throw new Error(`the form has no field ${name}, but ${[...names].join(', ')}`);
  }
  const sent = new URLSearchParams();
  const given = new Set<string>();
  for (const control of controls) {
    const name = control.getAttribute('name');
    const type = control.getAttribute('type') ?? 'text';
    if (name === undefined || control.hasAttribute('disabled') || control.tagName === 'BUTTON') continue;
    if (['submit', 'button', 'image', 'reset'].includes(type)) continue;
    if (Object.hasOwn(fields, name)) {
      if (given.has(name)) continue;
      given.add(name);
      const value = fields[name];
      for (const one of typeof value === 'string' ? [value] : (value ?? [])) sent.append(name, one);
    } else if (control.tagName === 'SELECT') {
      const option = control.querySelector('option[selected]') ?? control.querySelector('option');
      sent.append(name, option?.getAttribute('value') ?? option?.textContent ?? '');
    } else if (control.tagName === 'TEXTAREA') sent.append(name, control.textContent);
    else if (type === 'checkbox' || type === 'radio') {
      if (control.hasAttribute('checked')) sent.append(name, control.getAttribute('value') ?? 'on');
    } else sent.append(name, control.getAttribute('value') ?? '');
  }
  const pressed = button?.getAttribute('name');
  if (pressed !== undefined) sent.append(pressed, button?.getAttribute('value') ?? '');
  return sent;
}
