import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { expect } from 'chai';
import { forEachDatabase } from '../support/databases.js';
import { freshFolder, listOf, resultOf, run } from './captured-run.js';

const PASSWORD = 'ferret lamp under bridge';

describe('accounts by the command line', () => {
  forEachDatabase((_name, fresh) => {
    const folder = freshFolder();
    let at: { cwd: string; env: Record<string, string> };

    before(async () => {
      const { url } = await fresh();
      at = { cwd: folder.path, env: { CLAVIGER_DATABASE_URL: url } };
      await resultOf(['migrate'], at);
    });
    after(() => folder.remove());

    const file = (name: string, text: string): string => {
      writeFileSync(join(folder.path, name), text);
      return name;
    };

    it('creates one with the password from a file or from standard input, never from an argument', async () => {
      const password = ['--password-file', file('password', `${PASSWORD}\n`)];
      const args = [
        '--email',
        'Ada@cli.example',
        '--name',
        'Ada Lovelace',
        '--group',
        'staff',
        '--group',
        'a b',
      ];
      const made = await resultOf(['user', 'create', ...args, '--email-verified', ...password], at);
      expect(made).to.include({
        email: 'Ada@cli.example',
        email_verified: true,
        has_password: true,
        locked: false,
      });
      expect(made.id).to.match(/^us_[0-9A-Za-z]{22}$/);
      expect(made.groups).to.deep.equal(['a b', 'staff']);
      expect(JSON.stringify(made)).to.not.include('argon2').and.not.include(PASSWORD);

      const piped = await resultOf(['user', 'create', '--email', 'pipe@cli.example'], {
        ...at,
        stdin: `${PASSWORD}\n`,
      });
      expect(piped.has_password).to.equal(true);
      const none = await run(['user', 'create', '--email', 'none@cli.example'], at);
      expect(none.exitCode).to.equal(0);
      expect(none.stderr).to.include('--send-link');
      const typed = await run(['user', 'create', '--email', 'x@cli.example', '--password', PASSWORD], at);
      expect(typed.exitCode).to.equal(2);
      expect(typed.stderr).to.not.include(PASSWORD);
    });

    it('refuses a weak password and an address that is taken, with the faults as JSON', async () => {
      const weak = await run(['user', 'create', '--email', 'weak@cli.example', '--json'], {
        ...at,
        stdin: 'short',
      });
      expect(weak.exitCode).to.equal(1);
      expect(JSON.parse(weak.stderr).faults[0].at).to.equal('password');
      const taken = await run(['user', 'create', '--email', 'ADA@cli.example', '--json'], at);
      expect(JSON.parse(taken.stderr).error).to.equal('already_exists');
    });

    it('lists, searches and shows by id and by address', async () => {
      const all = await listOf(['user', 'list'], at);
      expect(all.map(({ email }) => email)).to.deep.equal([
        'Ada@cli.example',
        'none@cli.example',
        'pipe@cli.example',
      ]);
      expect(await listOf(['user', 'list', '--limit', '2'], at)).to.have.length(2);
      expect(await listOf(['user', 'list', '--search', 'ADA'], at)).to.have.length(1);
      const shown = await resultOf(['user', 'show', 'ada@cli.example'], at);
      expect(await resultOf(['user', 'show', String(shown.id)], at)).to.deep.equal(shown);
      expect((await run(['user', 'show', 'ada@cli.example'], at)).stdout).to.match(
        /^email +Ada@cli\.example$/m,
      );
      expect((await run(['user', 'show', 'nobody@cli.example'], at)).exitCode).to.equal(1);
    });

    it('updates what is named and keeps the rest', async () => {
      const claims = ['--claims', '{"employee_number":42}'];
      const updated = await resultOf(['user', 'update', 'ada@cli.example', '--locale', 'de', ...claims], at);
      expect(updated.profile).to.deep.equal({ name: 'Ada Lovelace', locale: 'de' });
      expect(updated.groups).to.deep.equal(['a b', 'staff']);
      expect(updated.custom_claims).to.deep.equal({ employee_number: 42 });
      const without = await resultOf(
        ['user', 'update', 'ada@cli.example', '--locale', '', '--group', ''],
        at,
      );
      expect(without.profile).to.deep.equal({ name: 'Ada Lovelace' });
      expect(without.groups).to.deep.equal([]);
      expect((await run(['user', 'update', 'ada@cli.example', '--claims', '{'], at)).exitCode).to.equal(2);
    });

    for (const [verb, back, field] of [
      ['disable', 'enable', 'disabled'],
      ['lock', 'unlock', 'locked'],
    ] as const) {
      it(`${verb}: asks nobody, shows without doing it, can be undone by ${back}`, async () => {
        await resultOf(['user', verb, 'ada@cli.example', '--dry-run'], at);
        expect((await resultOf(['user', 'show', 'ada@cli.example'], at))[field]).to.equal(false);
        expect((await resultOf(['user', verb, 'ada@cli.example'], at))[field]).to.equal(true);
        expect((await resultOf(['user', back, 'ada@cli.example'], at))[field]).to.equal(false);
      });
    }

    it('resets a password, or mails a link with which its owner does', async () => {
      const reset = ['user', 'reset-password', 'none@cli.example'];
      expect((await run(reset, at)).exitCode).to.equal(2);
      expect((await run([...reset, '--dry-run'], at)).exitCode).to.equal(0);
      expect((await resultOf([...reset, '--send-link'], at)).has_password).to.equal(false);
      const events = await listOf(['audit', 'list', '--event', 'user.password_reset_requested'], at);
      expect(events[0]).to.include({ outcome: 'success' });
      const set = await resultOf(reset, { ...at, stdin: `${PASSWORD}\r\n` });
      expect(set).to.include({ has_password: true });
      expect(set.password_changed_at).to.be.a('string');
    });

    it('invites, and makes no account before the invitation is accepted', async () => {
      const args = ['--email', 'guest@cli.example', '--group', 'guests'];
      expect(await resultOf(['user', 'invite', ...args], at)).to.include({
        email: 'guest@cli.example',
        invited: true,
      });
      expect(await resultOf(['user', 'create', ...args, '--invite'], at)).to.include({ invited: true });
      expect((await run(['user', 'show', 'guest@cli.example'], at)).exitCode).to.equal(1);
      const both = ['user', 'create', ...args, '--invite', '--email-verified'];
      expect((await run(both, at)).exitCode).to.equal(2);
    });

    it('imports and exports', async () => {
      const password_hash = await bcrypt(PASSWORD, 5);
      const text = `${JSON.stringify({ email: 'in@cli.example', password_hash, name: 'In' })}\n`;
      const path = file('users.jsonl', `${text}${JSON.stringify({ email: 'ada@cli.example' })}\n`);
      expect(await resultOf(['user', 'import', path, '--dry-run'], at)).to.include({
        imported: 1,
        existing: 1,
      });
      expect(await resultOf(['user', 'import', path], at)).to.include({
        imported: 1,
        existing: 1,
        dry_run: false,
      });
      expect((await run(['user', 'import', file('bad.jsonl', 'x')], at)).exitCode).to.equal(1);

      const one = await resultOf(['user', 'export', 'in@cli.example'], at);
      expect(one.account)
        .to.include({ email: 'in@cli.example', name: 'In' })
        .and.not.have.property('password_hash');
      const all = await run(['user', 'export', '--all', '--with-password-hash'], at);
      const rows = all.stdout
        .trim()
        .split('\n')
        .map(line => JSON.parse(line));
      expect(rows.find(({ email }) => email === 'in@cli.example')).to.include({ password_hash });
      expect(all.stderr).to.include('Delete it after use');
      expect((await run(['user', 'export'], at)).exitCode).to.equal(2);
    });

    it('deletes after a yes and leaves an audit event that names the operator', async () => {
      const remove = ['user', 'delete', 'in@cli.example'];
      expect((await run(remove, at)).exitCode).to.equal(2);
      expect((await run([...remove, '--dry-run'], at)).exitCode).to.equal(0);
      expect((await run(remove, { ...at, answer: 'n' })).exitCode).to.equal(1);
      expect(await resultOf([...remove, '--yes'], at)).to.include({ deleted: true });
      expect((await run(['user', 'show', 'in@cli.example'], at)).exitCode).to.equal(1);
      const [event] = await listOf(['audit', 'list', '--event', 'user.deleted'], at);
      expect(event?.actor).to.match(/^os:.+@.+/);
      expect(event).to.have.property('user_id').that.matches(/^us_/);
    });
  });
});
