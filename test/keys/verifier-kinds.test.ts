import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { allowInsecureRequests, discoveryRequest } from 'oauth4webapi';
import {
  kindOf,
  refusesNewKeyFor,
  refusingKeyPublishedFor,
  UNKNOWN_KIND,
  VERIFIER_KINDS,
  WIDELY_KNOWN_AFTER,
} from '../../src/keys/verifier-kinds.js';

const MINUTE = 60;
const DAY = 86_400;

describe('kinds of verifiers', () => {
  it('have distinct ids, sound times, and agents that no other kind claims', () => {
    const ids = VERIFIER_KINDS.map(({ id }) => id);
    expect(new Set(ids).size).to.equal(ids.length);
    for (const kind of [...VERIFIER_KINDS, UNKNOWN_KIND]) {
      expect(kind.cachesFor, kind.id).to.be.greaterThan(0);
      expect(kind.cooldownFor, kind.id).to.be.at.least(0);
      expect(kind.acceptsRemovedFor, kind.id).to.be.at.least(kind.cachesFor);
      expect(kind.userAgent?.global ?? false, `${kind.id}: test() would remember`).to.equal(false);
    }
  });

  it('are recognised by what the libraries really send', async () => {
    const agents: string[] = [];
    const server: Server = createServer((req, res) => {
      agents.push(req.headers['user-agent'] ?? '');
      res.setHeader('content-type', 'application/json').end('{"keys":[]}');
    });
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
    try {
      const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`);
      const unknown = 'eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.AAAA';
      await jwtVerify(unknown, createRemoteJWKSet(url)).catch(() => undefined);
      await discoveryRequest(url, { [allowInsecureRequests]: true });
      await fetch(url);
    } finally {
      server.close();
    }
    expect(agents.map(agent => kindOf(agent).id)).to.deep.equal(['jose', 'openid-client', 'node-fetch']);
  });

  it('recognise the agents that other runtimes document, and take a stranger for a slow one', () => {
    const known = {
      'jose/v4.15.9': 'jose',
      'openid-client/v6.9.1': 'openid-client',
      'Python-urllib/3.13': 'pyjwt',
      mod_auth_openidc: 'mod-auth-openidc',
      'Go-http-client/2.0': 'go',
      'Java/21.0.4': 'java',
      'Microsoft ASP.NET Core OpenIdConnect handler': 'dotnet',
      'lua-resty-http/0.17 (Lua) ngx_lua/10026': 'lua-resty-openidc',
      'Nextcloud-Server-Crawler/33.0.1': 'nextcloud',
      'Nextcloud Server Crawler': 'nextcloud',
    };
    for (const [agent, id] of Object.entries(known)) expect(kindOf(agent).id, agent).to.equal(id);
    for (const agent of ['', 'curl/8.5.0', 'jose', 'not jose/v6', 'node.example']) {
      expect(kindOf(agent), agent).to.equal(UNKNOWN_KIND);
    }
    expect(UNKNOWN_KIND.cachesFor).to.equal(DAY);
  });

  it('that look at an unknown kid again refuse a published key for their cooldown, others for their cache', () => {
    const refuses = (id: string) => {
      const kind = VERIFIER_KINDS.find(each => each.id === id);
      if (kind === undefined) throw new Error(id);
      return refusesNewKeyFor(kind);
    };
    expect(refuses('jose')).to.equal(30);
    expect(refuses('jwks-rsa')).to.equal(0);
    expect(refuses('go-oidc')).to.equal(0);
    expect(refuses('fastify-jwt-jwks')).to.equal(0);
    expect(refuses('istio')).to.equal(25 * MINUTE);
    expect(refuses('ruby')).to.equal(Number.POSITIVE_INFINITY);
    const ids = (publishedFor: number) => refusingKeyPublishedFor(publishedFor).map(({ id }) => id);
    expect(ids(0)).to.include.members(['jose', 'envoy', 'istio']);
    expect(ids(WIDELY_KNOWN_AFTER)).to.include('aws-api-gateway').and.not.include('istio');
  });
});
