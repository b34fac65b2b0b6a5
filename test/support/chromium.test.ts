import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { addAuthenticator, axe, type OpenedPage, openPage, overflow } from './chromium.js';

const PAGE = `<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>
  <p style="color:#aaa;background:#bbb">Faint</p><input></main></html>`;

describe('Chromium', function () {
  this.timeout(60_000);
  let server: Server;
  let opened: OpenedPage;

  before(async () => {
    server = createServer((_request, response) => {
      response.writeHead(200, {
        'content-type': 'text/html',
        'content-security-policy': "script-src 'none'",
      });
      response.end(PAGE);
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    opened = await openPage({ width: 320 });
    await opened.page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
  });

  after(async () => {
    await opened?.close();
    server.close();
  });

  it('makes a passkey and signs with it', async () => {
    const authenticator = await addAuthenticator(opened);
    const id = await opened.page.evaluate(async () => {
      const challenge = new Uint8Array(32);
      const created = (await navigator.credentials.create({
        publicKey: {
          challenge,
          rp: { name: 'test' },
          user: { id: new Uint8Array(16), name: 'a', displayName: 'a' },
          pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
          authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        },
      })) as PublicKeyCredential;
      const got = (await navigator.credentials.get({ publicKey: { challenge } })) as PublicKeyCredential;
      return created.id === got.id ? got.id : '';
    });
    expect(id).to.not.equal('');
    expect(await authenticator.credentialIds()).to.have.length(1);
    await authenticator.remove();
  });

  it('finds what axe-core finds, under a policy that lets no script in', async () => {
    const found = await axe(opened.page);
    expect(found.map(line => line.split(':')[0])).to.have.members(['color-contrast', 'label']);
    expect(await axe(opened.page, ['label'])).to.have.length(1);
    expect(await overflow(opened.page)).to.equal(0);
  });
});
