// `openid-client` with keys of its own: tokens that are bound to them (RFC 9449), with and without nonces of the server.
import { readFileSync } from "node:fs";

import {
  BOUND_URL, CALLBACK, claimsOf, expect, GRANT, initialize, NONCE_REQUIRED, offering, refusal, register,
} from "./machine.mjs";
import { answers, authorize, configured, openid, registered } from "./openid.mjs";
import { checker } from "./steps.mjs";

const { version } = JSON.parse(readFileSync(new URL("node_modules/openid-client/package.json", import.meta.url)));
const label = `openid-client ${version}${NONCE_REQUIRED ? ", nonces" : ""}`;
const check = checker(label);
const ifOffered = offering(label, check);
const offered = { member: "dpop_signing_alg_values_supported" };

/** A fresh key, with everything that a request by it needs. */
async function keyed(config, algorithm = "ES256") {
  const pair = await openid.randomDPoPKeyPair(algorithm, { extractable: true });
  const { kty, crv, x, y, e, n } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  // RFC 7638 §3.2: the members that make the key, in their order.
  const members = { RSA: { e, kty, n }, EC: { crv, kty, x, y }, OKP: { crv, kty, x } }[kty];
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(members)));
  const thumbprint = Buffer.from(digest).toString("base64url");
  return { options: { DPoP: openid.getDPoPHandle(config, pair) }, thumbprint };
}

async function isBound(config, tokens, { options, thumbprint }) {
  expect(tokens.token_type === "dpop", `token_type ${tokens.token_type}`);
  const { cnf } = claimsOf(tokens.access_token);
  expect(cnf?.jkt === thumbprint, `cnf ${JSON.stringify(cnf)}, the key is ${thumbprint}`);
  const send = (url, { method, headers, body }) =>
    openid.fetchProtectedResource(config, tokens.access_token, new URL(url), method, body, new Headers(headers), options);
  const answer = await initialize(send, BOUND_URL);
  expect(answer.status === 200, `the guard answered ${answer.status}: ${await answer.text()}`);
}

/** Every first use of a key here meets the server's demand for a nonce. */
function challenges(since) {
  const asked = answers.slice(since).filter(({ body }) => body.includes('"use_dpop_nonce"'));
  expect(asked.every(({ status, nonce }) => status === 400 && nonce), JSON.stringify(asked));
  expect(asked.length > 0 === NONCE_REQUIRED, `${asked.length} demands for a nonce`);
  return `${asked.length} demands for a nonce`;
}

let config;
const bound = {};
await ifOffered("a public client's code and refresh token are bound", offered, async () => {
  const since = answers.length;
  const wanted = { client_name: label, redirect_uris: [CALLBACK], grant_types: ["authorization_code", "refresh_token"], token_endpoint_auth_method: "none" };
  config = await registered(wanted);
  const key = await keyed(config);
  const { callback, checks } = await authorize(config, { more: { resource: BOUND_URL, dpop_jkt: key.thumbprint } });
  const tokens = await openid.authorizationCodeGrant(config, callback, checks, undefined, key.options);
  await isBound(config, tokens, key);

  const renewed = await openid.refreshTokenGrant(config, tokens.refresh_token, undefined, key.options);
  await isBound(config, renewed, key);
  const other = await keyed(config);
  const stolen = await refusal(openid.refreshTokenGrant(config, renewed.refresh_token, undefined, other.options));
  expect(["invalid_grant", "invalid_dpop_proof"].includes(stolen.error), `with another key: ${stolen.error}`);
  const bare = await refusal(openid.refreshTokenGrant(config, renewed.refresh_token));
  expect(["invalid_grant", "invalid_dpop_proof"].includes(bare.error), `without a key: ${bare.error}`);
  // Neither of them spent it.
  await isBound(config, await openid.refreshTokenGrant(config, renewed.refresh_token, undefined, key.options), key);
  Object.assign(bound, { tokens: renewed, key });
  return challenges(since);
});
// `dpop_jkt` has no member of its own; it came with requests that are sent in advance.
await ifOffered("a code that names a key wants that key", { member: "pushed_authorization_request_endpoint" }, async () => {
  const key = await keyed(config);
  const { callback, checks } = await authorize(config, { more: { resource: BOUND_URL, dpop_jkt: key.thumbprint } });
  const other = await keyed(config);
  const refused = await refusal(openid.authorizationCodeGrant(config, callback, checks, undefined, other.options));
  expect(["invalid_grant", "invalid_dpop_proof"].includes(refused.error), `with another key: ${refused.error}`);
  return refused.error_description;
});
await ifOffered("a bound token is no bearer token", offered, async () => {
  const refused = await refusal(
    initialize((url, options) => openid.fetchProtectedResource(config, bound.tokens.access_token, new URL(url), options.method, options.body, new Headers(options.headers)), BOUND_URL),
  );
  const challenge = JSON.stringify(refused.cause);
  expect(refused.status === 401 && challenge.includes("dpop"), `${refused.status}: ${challenge}`);
  return challenge.slice(0, 200);
});
for (const algorithm of ["ES256", "Ed25519", "PS256", "RS256"]) {
  await ifOffered(`client credentials, ${algorithm}`, offered, async () => {
    const since = answers.length;
    const client = await register({ client_name: `${label} ${algorithm}`, grant_types: ["client_credentials"], dpop_bound_access_tokens: true });
    const machine = await configured(client.client_id, openid.ClientSecretBasic(client.client_secret));
    const key = await keyed(machine, algorithm);
    const tokens = await openid.clientCredentialsGrant(machine, { scope: "mcp:read", resource: BOUND_URL }, key.options);
    await isBound(machine, tokens, key);
    const told = await openid.tokenIntrospection(machine, tokens.access_token);
    expect(told.active && told.token_type === "DPoP" && told.cnf?.jkt === key.thumbprint, JSON.stringify(told));
    await refusal(openid.clientCredentialsGrant(machine, { resource: BOUND_URL }));
    const { status, body } = answers.at(-1);
    expect(status === 400 && body.includes("invalid_dpop_proof"), `without a proof: ${status} ${body}`);
    return challenges(since);
  });
}
await ifOffered("token exchange of a bound token", { grant: GRANT.exchange }, async () => {
  const client = await register({ client_name: `${label} exchange`, grant_types: ["client_credentials", GRANT.exchange] });
  const machine = await configured(client.client_id, openid.ClientSecretBasic(client.client_secret));
  const key = await keyed(machine);
  const subject = await openid.clientCredentialsGrant(machine, { scope: "mcp:read mcp:write", resource: BOUND_URL }, key.options);
  const request = {
    subject_token: subject.access_token,
    subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
    scope: "mcp:read",
    resource: BOUND_URL,
  };
  await isBound(machine, await openid.genericGrantRequest(machine, GRANT.exchange, request, key.options), key);
  const stolen = await refusal(openid.genericGrantRequest(machine, GRANT.exchange, request));
  expect(["invalid_request", "invalid_dpop_proof"].includes(stolen.error), `without the key: ${stolen.error}`);
  return stolen.error_description;
});
await ifOffered("PAR with a proof", { member: "pushed_authorization_request_endpoint" }, async () => {
  const key = await keyed(config);
  const { callback, checks } = await authorize(config, { pushed: true, more: { resource: BOUND_URL }, options: key.options });
  const other = await keyed(config);
  const refused = await refusal(openid.authorizationCodeGrant(config, callback, checks, undefined, other.options));
  expect(["invalid_grant", "invalid_dpop_proof"].includes(refused.error), `with another key: ${refused.error}`);
  const second = await authorize(config, { pushed: true, more: { resource: BOUND_URL }, options: key.options });
  const tokens = await openid.authorizationCodeGrant(config, second.callback, second.checks, undefined, key.options);
  await isBound(config, tokens, key);
});

await check("no server error", () => {
  const broken = answers.filter(({ status }) => status >= 500);
  expect(broken.length === 0, JSON.stringify(broken).slice(0, 500));
  return `${answers.length} answers`;
});
