// Hands out the files of this folder, the library, and what the page needs to know.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const {
  ISSUER = 'http://localhost:4400',
  RESOURCE = 'https://api.example.test/orders',
  API_URL = 'http://localhost:3001/orders',
  PORT = '3000',
  CLIENT_ID,
} = process.env;
const { resolve } = createRequire(import.meta.url);
const library = join(dirname(resolve('oidc-client-ts/package.json')), 'dist/browser/oidc-client-ts.min.js');
const settings = { issuer: ISSUER, client_id: CLIENT_ID, resource: RESOURCE, api_url: API_URL };

const files = {
  '/': ['text/html', () => readFile(join(import.meta.dirname, 'index.html'))],
  '/page.js': ['text/javascript', () => readFile(join(import.meta.dirname, 'page.js'))],
  '/oidc-client-ts.js': ['text/javascript', () => readFile(library)],
  '/settings.json': ['application/json', async () => JSON.stringify(settings)],
};
// Whoever gets a script into the page has its tokens: none from elsewhere, none inline.
const policy = `default-src 'none'; script-src 'self'; connect-src 'self' ${new URL(ISSUER).origin} ${new URL(API_URL).origin}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`;

createServer(async (req, res) => {
  const [type, read] = files[new URL(req.url, 'http://localhost').pathname] ?? [];
  if (read === undefined) return res.writeHead(404).end();
  res.writeHead(200, { 'Content-Type': `${type}; charset=utf-8`, 'Content-Security-Policy': policy });
  res.end(await read());
}).listen(Number(PORT), 'localhost', () => console.log(`order page at http://localhost:${PORT}`));
