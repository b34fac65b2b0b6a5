import { expect } from 'chai';
import { LOCALES } from '../../src/config/config.js';
import type { MailName, Mails } from '../../src/delivery/mails.js';
import { renderMail } from '../../src/http/mail-text.js';
import { Messages } from '../../src/http/messages.js';

const SENDER = { brandingName: 'Tideway', issuer: 'https://id.tideway.example', fallback: 'en' } as const;
const URL = 'https://id.tideway.example/reset-password?token=t0k3n';

const VALUES: { readonly [Name in MailName]: Mails[Name] } = {
  'verify-email': { url: URL, minutes: 15 },
  'reset-password': { url: URL, minutes: 1 },
  invitation: { url: URL, days: 7 },
  'change-email': { url: URL, minutes: 15 },
  'email-changed': { newEmail: 'new@tideway.example' },
  'password-changed': { passkeys: 1, providers: 0 },
  'factor-added': { factor: 'passkey' },
  'factor-removed': { factor: 'totp' },
  'identity-linked': { provider: 'Harbour Workspace' },
  'new-sign-in': { browser: 'Firefox on Linux', ip: '203.0.113.24' },
  'already-registered': { url: URL },
  'backchannel-request': { client: 'Harbour Bank', url: URL },
  'account-deleted': {},
  alert: {
    severity: 'critical',
    summary: 'A signing key was revoked',
    subject: 'kid-1',
    evidence: 'alg: ES256',
    command: 'claviger key status',
  },
};

describe('the text of mails', () => {
  const messages = new Messages();
  const mail = (name: MailName, locale: string) =>
    renderMail(messages, SENDER, { name, values: VALUES[name], locale, at: Date.UTC(2026, 10, 25, 9) });

  it('exists for every mail in every language, with the fact as subject', () => {
    for (const locale of LOCALES) {
      for (const name of Object.keys(VALUES) as MailName[]) {
        const { subject, text } = mail(name, locale);
        expect(subject, name)
          .to.match(/Tideway|Harbour/)
          .and.not.match(/[\r\n{}]/);
        expect(text, name)
          .to.include('id.tideway.example')
          .and.not.match(/[{}<>]|undefined/);
      }
    }
  });

  it('has no link in what tells of a change: a forged copy has nothing to lure with', () => {
    for (const name of [
      'email-changed',
      'password-changed',
      'factor-added',
      'factor-removed',
      'identity-linked',
      'new-sign-in',
      'account-deleted',
    ] as const) {
      expect(mail(name, 'en').text, name).to.not.include('://');
    }
  });

  it('says what, when, where and with what, and what to do', () => {
    const { subject, text } = mail('new-sign-in', 'en');
    expect(subject).to.equal('New sign-in to your Tideway account from 203.0.113.24');
    expect(text).to.include('25 November 2026 at 09:00 UTC');
    expect(text).to.include('Firefox on Linux').and.include('If this was you, there is nothing to do.');
    expect(mail('new-sign-in', 'de').text).to.include('Wenn Sie das waren, brauchen Sie nichts zu tun.');
  });

  it('falls back to the operator’s language', () => {
    expect(mail('password-changed', 'fr').subject).to.equal(
      'The password of your Tideway account was changed',
    );
  });

  it('lets no value end a header or turn a line around', () => {
    const { subject } = renderMail(messages, SENDER, {
      name: 'identity-linked',
      values: { provider: 'Evil\r\nBcc: victim@example.org\u202E' },
      locale: 'en',
      at: 0,
    });
    expect(subject).to.not.match(/[\r\n]|\p{Bidi_Control}/u);
  });
});
