// An OpenID Connect provider on loopback, for test_sign_in.py: panva's oidc-provider, with people that tests invent.
// It prints its address, and ends when its standard input does. PUT /people/SUB sets what it knows of somebody.
import { createServer } from 'node:http';

import * as oidc from 'oidc-provider';

const people = new Map();
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const client = {
    application_type: 'native', // so that the service may listen at any port of loopback (RFC 8252, 7.3)
    redirect_uris: ['http://127.0.0.1/login/oidc/callback'],
    response_types: ['code'],
    grant_types: ['authorization_code'],
  };
  const Provider = oidc.Provider ?? oidc.default;
  const provider = new Provider(issuer, {
    clients: [
      { ...client, client_id: 'vcpbench', client_secret: 'a secret: with / signs' },
      { ...client, client_id: 'public', token_endpoint_auth_method: 'none' },
    ],
    pkce: { required: () => true },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    ttl: { IdToken: 3600 },
    findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...people.get(sub) }) }),
    cookies: { keys: ['no secret of anybody'] },
  });
  const answer = provider.callback();
  server.on('request', (request, response) => {
    const [, place, sub] = request.url.split('/');
    if (request.method !== 'PUT' || place !== 'people') {
      answer(request, response);
      return;
    }
    let body = '';
    request.on('data', (piece) => { body += piece; });
    request.on('end', () => {
      people.set(decodeURIComponent(sub), JSON.parse(body));
      response.writeHead(204).end();
    });
  });
  console.log(issuer);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit());
