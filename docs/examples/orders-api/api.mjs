// A resource server: lets in who brings an access token of this issuer, meant for it, with the scope it asks for.
import { createServer } from 'node:http';
import { createVerifier } from 'claviger/verifier';
import { requireAccessToken } from 'claviger/verifier/express';

const {
  ISSUER = 'http://localhost:4400',
  RESOURCE = 'https://api.example.test/orders',
  SPA_ORIGIN = 'http://localhost:3000',
  PORT = '3001',
} = process.env;

const mayRead = requireAccessToken(createVerifier({ issuer: ISSUER, audience: RESOURCE }), { scopes: ['orders.read'] });

createServer((req, res) => {
  // Only for a page that calls from a browser; what lets it in is the token, never a cookie.
  res.setHeader('Access-Control-Allow-Origin', SPA_ORIGIN);
  res.setHeader('Vary', 'Origin');
  if (req.method === 'OPTIONS') {
    res.writeHead(204, { 'Access-Control-Allow-Headers': 'Authorization' }).end();
    return;
  }
  mayRead(req, res, error => {
    if (error !== undefined) {
      console.error(error);
      res.writeHead(500).end();
      return;
    }
    const { sub, client_id } = req.accessToken;
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify({ orders: [{ order: 1, of: sub }], asked_by: client_id }));
  });
}).listen(Number(PORT), 'localhost', () => console.log(`orders at http://localhost:${PORT}/orders`));
