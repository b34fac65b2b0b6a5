import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { migrations } from '../../db/migrations/all.js';
import { secretKindOf } from '../../src/crypto/random-id.js';
import { forEachDatabase } from '../support/databases.js';
import { freshFolder, listOf, resultOf, run } from './captured-run.js';

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const ORDERS = 'https://api.example.test/orders';
const STOCK = 'https://api.example.test/stock';

describe('administration by the command line', () => {
  forEachDatabase((_name, fresh) => {
    const folder = freshFolder();
    let at: { cwd: string; env: Record<string, string> };
    let client: Record<string, unknown>;

    before(async () => {
      const { url } = await fresh();
      at = { cwd: folder.path, env: { CLAVIGER_DATABASE_URL: url } };
      expect(await resultOf(['migrate'], at)).to.deep.include({
        migrated: migrations.map(({ name }) => name),
      });
    });
    after(() => folder.remove());

    it('migrates once and then has nothing to do', async () => {
      expect(await resultOf(['migrate'], at)).to.deep.equal({ migrated: [] });
      expect(await resultOf(['migrate', '--status'], at)).to.deep.equal({
        applied: migrations.map(({ name }) => name),
        pending: [],
      });
    });

    it('creates resource servers and shows them by id and by identifier', async () => {
      const args = ['--scope', 'orders.read', '--scope', 'orders.write', '--ttl', '5m', '--alg', 'RS256'];
      const made = await resultOf(['resource', 'create', '--identifier', ORDERS, ...args], at);
      expect(made).to.include({
        identifier: ORDERS,
        alg: 'RS256',
        access_token_for: 300,
        access_token_format: 'jwt',
        revocation: 'none',
      });
      expect(made.scopes).to.deep.equal(['orders.read', 'orders.write']);
      expect(made.created_at).to.match(RFC3339);
      expect(await resultOf(['resource', 'show', ORDERS], at)).to.deep.equal(made);
      expect(await resultOf(['resource', 'show', String(made.id)], at)).to.deep.equal(made);
      await resultOf(['resource', 'create', '--identifier', STOCK, '--scope', 'stock.read stock.write'], at);
      expect((await listOf(['resource', 'list'], at)).map(each => each.identifier)).to.deep.equal([
        ORDERS,
        STOCK,
      ]);
      const again = await run(['resource', 'create', '--identifier', ORDERS], at);
      expect(again.exitCode).to.equal(1);
    });

    it('creates a client, shares its scopes out and shows its secret once', async () => {
      const args = ['--name', 'Order sync', '--grant', 'client_credentials', '--resource', ORDERS, STOCK];
      const more = ['--scope', 'orders.read', 'stock.read', '--default-resource', ORDERS];
      client = await resultOf(['client', 'create', ...args, ...more], at);
      expect(client.client_id).to.match(/^cl_/);
      expect(secretKindOf(String(client.client_secret))).to.equal('client_secret');
      expect(client.resources).to.deep.equal([
        { identifier: ORDERS, scopes: ['orders.read'], default_scopes: ['orders.read'], is_default: true },
        { identifier: STOCK, scopes: ['stock.read'], default_scopes: ['stock.read'], is_default: false },
      ]);
      const shown = await run(['client', 'show', String(client.client_id)], at);
      expect(shown.exitCode).to.equal(0);
      expect(shown.stdout).to.not.include(String(client.client_secret));
      const [listed] = await listOf(['client', 'list'], at);
      expect(listed).to.include({ client_id: client.client_id, disabled: false });
      expect(JSON.stringify(listed)).to.not.include('cvg_cs_').and.not.include('hash');
    });

    it('keeps the scopes that a request without scope gets, when others are added', async () => {
      const args = [
        '--resource',
        ORDERS,
        '--scope',
        'orders.read orders.write',
        '--default-scope',
        'orders.read',
      ];
      const made = await resultOf(['client', 'create', '--name', 'Narrow', ...args], at);
      const id = String(made.client_id);
      const [first] = made.resources as { default_scopes: string[] }[];
      expect(first?.default_scopes).to.deep.equal(['orders.read']);
      const more = ['--resource', ORDERS, STOCK, '--scope', 'orders.read', 'orders.write', 'stock.read'];
      const { resources } = await resultOf(['client', 'update', id, ...more], at);
      expect((resources as { default_scopes: string[] }[]).map(each => each.default_scopes)).to.deep.equal([
        ['orders.read'],
        ['stock.read'],
      ]);
      await resultOf(['client', 'delete', id, '--yes'], at);
    });

    it('names the resource server that lacks a scope', async () => {
      const args = ['client', 'create', '--name', 'x', '--resource', ORDERS, '--scope', 'orders.burn'];
      const { exitCode, stderr } = await run(args, at);
      expect(exitCode).to.equal(1);
      expect(stderr).to.include('orders.burn').and.include(ORDERS);
    });

    it('creates a public client that people use, without a secret, and changes what it registered', async () => {
      const cb = 'https://shop.example.test/cb';
      const args = ['client', 'create', '--name', 'Shop', '--public', '--redirect-uri', cb];
      const made = await resultOf(
        [...args, '--post-logout-redirect-uri', cb, '--allow-group', 'our staff'],
        at,
      );
      expect(made).to.not.have.any.keys('client_secret', 'client_secret_id');
      expect(made).to.deep.include({
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        redirect_uris: [cb],
        post_logout_redirect_uris: [cb],
        require_pkce: true,
        oidc_scopes: ['openid', 'profile', 'email', 'offline_access'],
        cors_origins: ['https://shop.example.test'],
        allowed_users: { groups: ['our staff'], user_ids: [] },
        backchannel_logout_uri: null,
        secrets: [],
      });
      const id = String(made.client_id);
      expect(await resultOf(['client', 'show', id], at)).to.deep.equal(made);
      const more = ['--first-party', '--require-par', '--pairwise', '--backchannel-logout-uri', `${cb}/out`];
      const tuned = [
        '--id-token-alg',
        'ES256',
        '--default-max-age',
        '1h',
        '--allow-user',
        `us_${'a'.repeat(22)}`,
      ];
      const updated = await resultOf(['client', 'update', id, ...more, ...tuned], at);
      expect(updated).to.deep.include({
        first_party: true,
        require_pushed_authorization_requests: true,
        subject_type: 'pairwise',
        sector_identifier: 'shop.example.test',
        backchannel_logout_uri: `${cb}/out`,
        id_token_signed_response_alg: 'ES256',
        default_max_age: 3600,
        allowed_users: { groups: ['our staff'], user_ids: [`us_${'a'.repeat(22)}`] },
        redirect_uris: [cb],
      });
      const less = ['--no-first-party', '--no-pairwise', '--backchannel-logout-uri', '', '--allow-all'];
      expect(await resultOf(['client', 'update', id, ...less], at)).to.deep.include({
        first_party: false,
        subject_type: 'public',
        sector_identifier: null,
        backchannel_logout_uri: null,
        allowed_users: 'all',
        require_pushed_authorization_requests: true,
      });
      await resultOf(['client', 'delete', id, '--yes'], at);
    });

    it('takes the public keys of a client from a file, and never a private one', async () => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const write = (name: string, key: KeyObject) =>
        writeFileSync(join(folder.path, name), JSON.stringify({ keys: [key.export({ format: 'jwk' })] }));
      write('public.json', publicKey);
      write('private.json', privateKey);
      const args = [
        'client',
        'create',
        '--name',
        'Signer',
        '--redirect-uri',
        'https://signer.example.test/cb',
      ];
      const signs = [...args, '--request-object-alg', 'ES256', '--no-pkce', '--jwks-file'];
      const made = await resultOf([...signs, 'public.json'], at);
      expect(made).to.deep.include({ request_object_signing_alg: 'ES256', require_pkce: false });
      expect(made.jwks).to.deep.equal({ keys: [publicKey.export({ format: 'jwk' })] });
      expect(secretKindOf(String(made.client_secret))).to.equal('client_secret');
      const refused = await run([...signs, 'private.json'], at);
      expect(refused.exitCode).to.equal(1);
      expect(refused.stderr)
        .to.include('jwks.keys[0]')
        .and.not.include(String(privateKey.export({ format: 'jwk' }).d));
      expect((await run([...signs, 'missing.json'], at)).exitCode).to.equal(2);
      await resultOf(['client', 'delete', String(made.client_id), '--yes'], at);
    });

    it('refuses redirect URIs that are dangerous or not protected (requirements 3 and 4)', async () => {
      for (const uri of [
        'http://shop.example.test/cb',
        'JavaScript:alert(1)',
        'https://shop.example.test/cb#x',
      ]) {
        const refused = await run(['client', 'create', '--name', 'x', '--redirect-uri', uri], at);
        expect(refused.exitCode, uri).to.equal(1);
        expect(refused.stderr).to.include('redirect_uris[0]');
      }
    });

    it('keeps what a scope allows in words, by language', async () => {
      const texts = [
        '--scope-text',
        'count=en:Count the stock',
        '--scope-text',
        'count=de:Den Bestand zählen',
      ];
      const identifier = 'https://api.example.test/count';
      const create = ['resource', 'create', '--identifier', identifier, '--scope', 'count'];
      const made = await resultOf([...create, ...texts], at);
      expect(made.scope_descriptions).to.deep.equal({
        count: { en: 'Count the stock', de: 'Den Bestand zählen' },
      });
      const changed = await resultOf(
        ['resource', 'update', identifier, '--scope-text', 'count=en:Count'],
        at,
      );
      expect(changed.scope_descriptions).to.deep.equal({ count: { en: 'Count' } });
      await resultOf(['resource', 'delete', identifier, '--yes'], at);
    });

    it('replaces the scopes of a client and keeps what was not named', async () => {
      const id = String(client.client_id);
      const updated = await resultOf(['client', 'update', id, '--scope', 'orders.write', 'stock.read'], at);
      expect(updated.name).to.equal('Order sync');
      expect(updated.resources).to.deep.include({
        identifier: ORDERS,
        scopes: ['orders.write'],
        default_scopes: ['orders.write'],
        is_default: true,
      });
    });

    it('adds a second secret, lets the first one end later, and revokes one only with --yes', async () => {
      const id = String(client.client_id);
      const args = ['--expires-in', '90d', '--retire-others-in', '24h', '--name', 'blue'];
      const planned = await resultOf(['client', 'secret', 'add', id, ...args, '--dry-run'], at);
      expect(planned.retired).to.have.length(1);
      const added = await resultOf(['client', 'secret', 'add', id, ...args], at);
      expect(secretKindOf(String(added.client_secret))).to.equal('client_secret');
      expect(added.expires_at).to.match(RFC3339);
      const secrets = await listOf(['client', 'secret', 'list', id], at);
      expect(secrets.map(each => each.state)).to.have.members(['live', 'expiring']);
      expect(secrets[0]).to.include.keys('created_at', 'expires_at', 'last_used_at');

      const revoke = ['client', 'secret', 'revoke', id, String(added.id)];
      expect((await run(revoke, at)).exitCode).to.equal(2);
      expect((await run([...revoke, '--dry-run'], at)).exitCode).to.equal(0);
      expect((await listOf(['client', 'secret', 'list', id], at)).map(each => each.state)).to.not.include(
        'revoked',
      );
      expect(await resultOf([...revoke, '--yes'], at)).to.include({ state: 'revoked' });
    });

    it('disables without asking and enables again', async () => {
      const id = String(client.client_id);
      expect((await resultOf(['client', 'disable', id, '--dry-run'], at)).disabled).to.equal(false);
      expect((await resultOf(['client', 'disable', id], at)).disabled).to.equal(true);
      expect((await resultOf(['client', 'enable', id], at)).disabled).to.equal(false);
    });

    it('asks before it takes a scope away from clients that hold it', async () => {
      const update = ['resource', 'update', ORDERS, '--scope', 'orders.read'];
      const refused = await run(update, at);
      expect(refused.exitCode).to.equal(2);
      expect(refused.stderr).to.include('orders.write').and.include('--yes');
      expect((await resultOf(['resource', 'show', ORDERS], at)).scopes).to.have.length(2);
      const updated = await resultOf([...update, '--yes'], at);
      expect(updated.scopes).to.deep.equal(['orders.read']);
    });

    it('deletes after a yes at the terminal, not after anything else', async () => {
      const remove = ['client', 'delete', String(client.client_id)];
      expect((await run(remove, at)).exitCode).to.equal(2);
      expect((await run(remove, { ...at, answer: '' })).exitCode).to.equal(1);
      expect((await run([...remove, '--dry-run'], at)).exitCode).to.equal(0);
      expect((await run(['client', 'show', String(client.client_id)], at)).exitCode).to.equal(0);
      expect((await run(remove, { ...at, answer: 'y' })).exitCode).to.equal(0);
      expect((await run(['client', 'show', String(client.client_id)], at)).exitCode).to.equal(1);
    });

    it('deletes a resource server that clients use only with --force', async () => {
      await resultOf(['client', 'create', '--name', 'x', '--resource', STOCK, '--scope', 'stock.read'], at);
      expect((await run(['resource', 'delete', STOCK, '--yes'], at)).exitCode).to.equal(1);
      expect(await resultOf(['resource', 'delete', STOCK, '--yes', '--force'], at)).to.include({
        deleted: true,
      });
    });

    it('leaves an audit event of each change, with the person who made it', async () => {
      const events = await listOf(['audit', 'list', '--event', 'client.deleted'], at);
      expect(events).to.have.length(4);
      expect(events[0]?.actor).to.match(/^os:.+@.+/);
      expect(events[0]).to.include({ outcome: 'success', client_id: client.client_id });
      expect(await listOf(['audit', 'list', '--limit', '2'], at)).to.have.length(2);
    });
  });
});
