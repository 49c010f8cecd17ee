// An authorization server (the npm package oidc-provider, with its FAPI 2.0 profile) and a small
// DPoP-protected API, each on a port of its own, both over TLS on loopback.
//
// Usage: node server.mjs CONFIG, a JSON file:
//   certificate, key   paths of PEM files
//   ready              path of the file that is written when both servers listen
//   clients            client metadata, as the provider takes it
//   rotating           ids of the clients whose refresh tokens are rotated
//   initialAccessToken what a client registers itself with (RFC 7591); each answer brings another token
//                      for what comes after (RFC 7592)
//
// The API has, beside what it protects, three routes for tests alone, under /test.

import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import https from 'node:https';

import * as jose from 'jose';
import { Provider } from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const tls = { cert: readFileSync(config.certificate), key: readFileSync(config.key) };
const ALGORITHMS = ['ES256', 'PS256', 'EdDSA'];
const SCOPES = ['accounts', 'payments'];

// The port has to be known before the issuer, and the issuer before the handler.
function listen() {
  const server = https.createServer(tls);
  return new Promise((done, failed) => {
    server.on('error', failed);
    server.listen(0, '127.0.0.1', () => done([server, `https://localhost:${server.address().port}`]));
  });
}

const [authorizationServer, issuer] = await listen();
const [apiServer, api] = await listen();

async function signingKey(alg) {
  const { privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  return { ...(await jose.exportJWK(privateKey)), kid: `server-${alg}`, alg, use: 'sig' };
}

const keys = await Promise.all(ALGORITHMS.map(signingKey));

const users = new Map([
  ['alice', { sub: 'alice', name: 'Alice Ng', email: 'alice@example.com', email_verified: true }],
  ['bob', { sub: 'bob', name: 'Bob Mc', email: 'bob@example.com', email_verified: true }],
]);

const provider = new Provider(issuer, {
  clients: config.clients,
  jwks: { keys },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: ['openid', 'offline_access', ...SCOPES],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], auth_time: null },
  findAccount: (ctx, id) => users.has(id) && { accountId: id, claims: () => users.get(id) },
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ALGORITHMS,
    dPoPSigningAlgValues: ALGORITHMS,
    idTokenSigningAlgValues: ALGORITHMS,
    userinfoSigningAlgValues: ALGORITHMS,
  },
  responseTypes: ['code'],
  // Without its guard against private addresses: the clients that it tells of logouts are on loopback.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  features: {
    fapi: { enabled: true, profile: '2.0' },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    clientCredentials: { enabled: true },
    claimsParameter: { enabled: true },
    jwtUserinfo: { enabled: true },
    revocation: { enabled: true },
    backchannelLogout: { enabled: true },
    registration: { enabled: true, initialAccessToken: config.initialAccessToken },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    introspection: { enabled: false },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (ctx, resource) => {
        if (resource !== `${api}/`) throw new Error(`no such resource: ${resource}`);
        return {
          audience: resource,
          scope: SCOPES.join(' '),
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'ES256' } },
        };
      },
    },
  },
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: (ctx) => config.rotating.includes(ctx.oidc.client.clientId),
  ttl: {
    AccessToken: 300,
    ClientCredentials: 300,
    Grant: 3600,
    IdToken: 300,
    Interaction: 600,
    RefreshToken: 3600,
    Session: 3600,
  },
});
provider.on('server_error', (ctx, error) => console.error('server error', ctx.path, error));
for (const event of ['pushed_authorization_request', 'authorization', 'grant', 'userinfo', 'revocation', 'backchannel']) {
  provider.on(`${event}.error`, (ctx, error) => console.log(event, error.message, error.error_description ?? ''));
}
authorizationServer.on('request', provider.callback());

// The API. Its nonces are its own: a client that sends it one of the authorization server's is told so.

let nonce = randomBytes(16).toString('base64url');
const seen = new Set();
const zero = { challenged: 0, refused: 0, served: 0, revoked: 0 };
const count = { ...zero };
provider.on('grant.revoked', () => { count.revoked += 1; });

class Refused extends Error {
  constructor(status, error, description) {
    super(description);
    Object.assign(this, { status, error });
  }
}

function demand(condition, error, description, status = 401) {
  if (!condition) throw new Refused(status, error, description);
}

const serverKeys = jose.createLocalJWKSet({
  keys: keys.map(({ d, p, q, dp, dq, qi, ...publicMembers }) => publicMembers),
});

async function accessToken(value) {
  if (value.split('.').length === 3) {
    const { payload } = await jose
      .jwtVerify(value, serverKeys, { issuer, audience: `${api}/`, typ: 'at+jwt', algorithms: ['ES256'] })
      .catch((cause) => demand(false, 'invalid_token', cause.message));
    return { subject: payload.sub, client: payload.client_id, scope: payload.scope, jkt: payload.cnf?.jkt };
  }
  const found = (await provider.AccessToken.find(value)) ?? (await provider.ClientCredentials.find(value));
  demand(found && !found.isExpired, 'invalid_token', 'unknown or expired');
  return { subject: found.accountId, client: found.clientId, scope: found.scope, jkt: found.jkt };
}

async function authorize(request, url) {
  const [scheme, value, ...rest] = (request.headers.authorization ?? '').split(' ');
  demand(scheme.toLowerCase() === 'dpop' && value && !rest.length, undefined, 'a DPoP token is needed');

  const proof = request.headers.dpop;
  demand(proof && !proof.includes(','), 'invalid_dpop_proof', 'one proof is needed');
  const { payload, protectedHeader } = await jose
    .jwtVerify(proof, jose.EmbeddedJWK, { typ: 'dpop+jwt', algorithms: ALGORITHMS })
    .catch((cause) => demand(false, 'invalid_dpop_proof', cause.message));
  demand(payload.htm === request.method, 'invalid_dpop_proof', 'htm');
  demand(payload.htu === `${api}${url.pathname}`, 'invalid_dpop_proof', `htu ${payload.htu}`);
  const hash = createHash('sha256').update(value).digest('base64url');
  demand(payload.ath === hash, 'invalid_dpop_proof', 'ath');
  demand(Math.abs(Date.now() / 1000 - payload.iat) < 60, 'invalid_dpop_proof', 'iat');
  demand(typeof payload.jti === 'string' && !seen.has(payload.jti), 'invalid_dpop_proof', 'jti');
  seen.add(payload.jti);
  if (payload.nonce !== nonce) {
    count.challenged += 1;
    demand(false, 'use_dpop_nonce', 'a nonce of this API is needed');
  }

  const token = await accessToken(value);
  const thumbprint = await jose.calculateJwkThumbprint(protectedHeader.jwk);
  demand(token.jkt && token.jkt === thumbprint, 'invalid_token', 'bound to another key');
  return token;
}

async function body(request) {
  let text = '';
  for await (const piece of request) text += piece;
  return text;
}

async function answer(request, url) {
  const route = `${request.method} ${url.pathname}`;
  switch (route) {
    // For tests: every nonce handed out so far is refused from now on.
    case 'POST /test/expire-nonces':
      nonce = randomBytes(16).toString('base64url');
      return { hidden: true, json: {} };
    case 'GET /test/count':
      return { hidden: true, json: count };
    case 'POST /test/reset':
      Object.assign(count, zero);
      return { hidden: true, json: {} };
    default:
  }
  const token = await authorize(request, url);
  const scope = new Set((token.scope ?? '').split(' '));
  switch (route) {
    case 'GET /accounts':
      demand(scope.has('accounts'), 'insufficient_scope', 'accounts', 403);
      return { json: { subject: token.subject, client: token.client, accounts: ['DE-1', 'DE-2'] } };
    case 'POST /payments':
      demand(scope.has('payments'), 'insufficient_scope', 'payments', 403);
      return {
        status: 201,
        json: { subject: token.subject, client: token.client, received: JSON.parse(await body(request)) },
      };
    default:
      return { status: 404, json: { error: 'not_found' } };
  }
}

apiServer.on('request', async (request, response) => {
  const url = new URL(request.url, api);
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  const interaction = request.headers['x-fapi-interaction-id'];
  if (interaction) headers['x-fapi-interaction-id'] = interaction;
  let status = 200;
  let json;
  try {
    const result = await answer(request, url);
    status = result.status ?? 200;
    json = result.json;
    if (!result.hidden) {
      count.served += 1;
      headers['dpop-nonce'] = nonce;
    }
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    count.refused += 1;
    status = error.status ?? 500;
    json = { error: error.error, error_description: error.message };
    headers['dpop-nonce'] = nonce;
    if (status === 401 || status === 403) {
      headers['www-authenticate'] = [
        `DPoP algs="${ALGORITHMS.join(' ')}"`,
        error.error && `error="${error.error}"`,
        error.error && `error_description="${error.message.replaceAll(/["\\]/g, '')}"`,
      ].filter(Boolean).join(', ');
    }
  }
  response.writeHead(status, headers).end(JSON.stringify(json));
});

writeFileSync(`${config.ready}.part`, JSON.stringify({ issuer, api }));
renameSync(`${config.ready}.part`, config.ready);
