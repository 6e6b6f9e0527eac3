// `openid-client`, a certified client library: every grant, every way to authenticate, introspection and revocation.
import { readFileSync } from "node:fs";

import { enterDeviceCode } from "./browser.mjs";
import {
  admin, CALLBACK, claimsOf, expect, GRANT, initialize, ISSUER, MCP_URL, offering, refusal, register, resourceOf,
} from "./machine.mjs";
import { answers, assertionKey, authorize, codeGrant, configured, openid, registered } from "./openid.mjs";
import { checker, notOffered } from "./steps.mjs";

const { version } = JSON.parse(readFileSync(new URL("node_modules/openid-client/package.json", import.meta.url)));
const label = `openid-client ${version}`;
const check = checker(label);
const ifOffered = offering(label, check);

/** The guard of the example server takes the token. */
async function taken(config, tokens) {
  const send = (url, { method, headers, body }) =>
    openid.fetchProtectedResource(config, tokens.access_token, new URL(url), method, body, new Headers(headers));
  const answer = await initialize(send);
  expect(answer.status === 200, `the guard answered ${answer.status}: ${await answer.text()}`);
}

/** The request is refused with this error, and a sentence that says what to change. */
async function isRefused(promise, code, status) {
  await refusal(promise);
  const { status: answered, body } = answers.at(-1);
  const { error, error_description: description } = JSON.parse(body);
  expect(error === code && answered === status, `${answered} ${body}`);
  expect(description, "the error does not say what to change");
  return description;
}

// ---- people -------------------------------------------------------------------------------------------------------

let person;
await check("code and PKCE, registered by itself", async () => {
  const wanted = { client_name: label, redirect_uris: [CALLBACK], grant_types: ["authorization_code", "refresh_token"], response_types: ["code"], token_endpoint_auth_method: "none" };
  const config = await registered(wanted);
  person = { config, tokens: await codeGrant(config) };
  expect(person.tokens.refresh_token, "no refresh token");
  await taken(config, person.tokens);
  return person.tokens.scope;
});
await check("refresh", async () => {
  const { config, tokens } = person;
  const renewed = await openid.refreshTokenGrant(config, tokens.refresh_token, { resource: MCP_URL });
  expect(renewed.access_token !== tokens.access_token, "the access token is still the old one");
  expect(renewed.refresh_token && renewed.refresh_token !== tokens.refresh_token, "the refresh token was not rotated");
  await taken(config, renewed);
  person.tokens = renewed;
});
await check("a code works once", async () => {
  const { config } = person;
  const { callback, checks } = await authorize(config);
  const tokens = await openid.authorizationCodeGrant(config, callback, checks);
  await isRefused(openid.authorizationCodeGrant(config, callback, checks), "invalid_grant", 400);
  return isRefused(openid.refreshTokenGrant(config, tokens.refresh_token), "invalid_grant", 400);
});
await check("revocation", async () => {
  const { config, tokens } = person;
  await openid.tokenRevocation(config, tokens.refresh_token, { token_type_hint: "refresh_token" });
  return isRefused(openid.refreshTokenGrant(config, tokens.refresh_token), "invalid_grant", 400);
});
await ifOffered("code by PAR", { member: "pushed_authorization_request_endpoint" }, async () => {
  const tokens = await codeGrant(person.config, { pushed: true });
  await taken(person.config, tokens);
});
await ifOffered("a confidential client's code by PAR", { member: "pushed_authorization_request_endpoint" }, async () => {
  const client = await register({ client_name: `${label} web`, redirect_uris: [CALLBACK], token_endpoint_auth_method: "client_secret_basic" });
  const config = await configured(client.client_id, openid.ClientSecretBasic(client.client_secret));
  await taken(config, await codeGrant(config, { pushed: true }));
  const stranger = await configured(client.client_id, openid.ClientSecretBasic("not the secret"));
  return isRefused(authorize(stranger, { pushed: true }), "invalid_client", 401);
});

// ---- programs -----------------------------------------------------------------------------------------------------

const machine = {};
for (const [method, authentication] of [["client_secret_basic", openid.ClientSecretBasic], ["client_secret_post", openid.ClientSecretPost]]) {
  await ifOffered(`client credentials, ${method}`, { grant: "client_credentials" }, async () => {
    const client = await register({ client_name: method, grant_types: ["client_credentials"], token_endpoint_auth_method: method });
    const config = await configured(client.client_id, authentication(client.client_secret));
    const tokens = await openid.clientCredentialsGrant(config, { scope: "mcp:read", resource: MCP_URL });
    expect(tokens.refresh_token === undefined, "a program got a refresh token");
    const { sub, client_id: id } = claimsOf(tokens.access_token);
    expect(sub === id && id === client.client_id, `sub ${sub} and client_id ${id}`);
    await taken(config, tokens);
    Object.assign(machine, { config, tokens });
    const stranger = await configured(client.client_id, authentication("not the secret"));
    return isRefused(openid.clientCredentialsGrant(stranger, { resource: MCP_URL }), "invalid_client", 401);
  });
}
await ifOffered("a secret comes by either transport, and nothing else does in its place", { grant: "client_credentials" }, async () => {
  const { key, kid, jwk } = await assertionKey("ES256", "other");
  const ask = async (client, authentication) =>
    openid.clientCredentialsGrant(await configured(client.client_id, authentication), { resource: MCP_URL });
  const secret = await register({ client_name: "secret", grant_types: ["client_credentials"], token_endpoint_auth_method: "client_secret_post" });
  await ask(secret, openid.ClientSecretBasic(secret.client_secret));
  await isRefused(ask(secret, openid.PrivateKeyJwt({ key, kid })), "invalid_client", 401);
  await isRefused(ask(secret, openid.None()), "invalid_client", 401);
  const keys = await register({ client_name: "keys", grant_types: ["client_credentials"], jwks: { keys: [jwk] } });
  expect(keys.token_endpoint_auth_method === "private_key_jwt", `registered for ${keys.token_endpoint_auth_method}`);
  return isRefused(ask(keys, openid.ClientSecretPost("a secret")), "invalid_client", 401);
});
await ifOffered("scopes above the ceiling", { grant: "client_credentials" }, async () => {
  const client = await register({ client_name: "reader", scope: "mcp:read", grant_types: ["client_credentials"] });
  const config = await configured(client.client_id, openid.ClientSecretBasic(client.client_secret));
  return isRefused(openid.clientCredentialsGrant(config, { scope: "mcp:write", resource: MCP_URL }), "invalid_scope", 400);
});
for (const algorithm of ["ES256", "Ed25519", "RS256", "PS256"]) {
  await ifOffered(`private_key_jwt, ${algorithm}`, { grant: "client_credentials" }, async () => {
    const { key, kid, jwk } = await assertionKey(algorithm, `key-${algorithm}`);
    const client = await register({ client_name: algorithm, grant_types: ["client_credentials"], token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [jwk] } });
    const config = await configured(client.client_id, openid.PrivateKeyJwt({ key, kid }));
    const tokens = await openid.clientCredentialsGrant(config, { scope: "mcp:read", resource: MCP_URL });
    await taken(config, tokens);
    const { key: foreign } = await assertionKey(algorithm, kid);
    const stranger = await configured(client.client_id, openid.PrivateKeyJwt({ key: foreign, kid }));
    return isRefused(openid.clientCredentialsGrant(stranger, { resource: MCP_URL }), "invalid_client", 401);
  });
}
await ifOffered("an assertion works once", { grant: "client_credentials" }, async () => {
  const { key, kid, jwk } = await assertionKey("ES256", "once");
  const client = await register({ client_name: "once", grant_types: ["client_credentials"], token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [jwk] } });
  const again = { [openid.modifyAssertion]: (_header, payload) => Object.assign(payload, { jti: "the same" }) };
  const config = await configured(client.client_id, openid.PrivateKeyJwt({ key, kid }, again));
  await openid.clientCredentialsGrant(config, { resource: MCP_URL });
  return isRefused(openid.clientCredentialsGrant(config, { resource: MCP_URL }), "invalid_client", 401);
});
await check("introspection", async () => {
  const { config, tokens } = machine;
  const told = await openid.tokenIntrospection(config, tokens.access_token);
  const { iss, sub, scope, exp } = claimsOf(tokens.access_token);
  expect(told.active && told.iss === iss && told.sub === sub && told.exp === exp && told.scope === scope, JSON.stringify(told));
  await openid.tokenRevocation(config, tokens.access_token);
  const after = await openid.tokenIntrospection(config, tokens.access_token);
  expect(JSON.stringify(after) === '{"active":false}', JSON.stringify(after));
  const foreign = await openid.tokenIntrospection(config, person.tokens.access_token);
  expect(JSON.stringify(foreign) === '{"active":false}', `another client's token: ${JSON.stringify(foreign)}`);
});

// ---- token exchange -----------------------------------------------------------------------------------------------

const TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token";

/** A tool server that calls another one: the middle is the example server, the target is open to it alone. */
async function chain() {
  const middle = await register({ client_name: "middle", resource_server: (await resourceOf(MCP_URL)).slug, grant_types: [GRANT.exchange] });
  const uri = `https://downstream-${crypto.randomUUID().slice(0, 8)}.example/mcp`;
  const scopes = [{ name: "mcp:read" }, { name: "mcp:write" }];
  const policy = { exchange_clients: [middle.client_id] };
  await admin("POST", "resources", { slug: new URL(uri).hostname.split(".")[0], uri, scopes, policy });
  const config = await configured(middle.client_id, openid.ClientSecretBasic(middle.client_secret));
  const subject = await codeGrant(person.config, { scope: "mcp:read offline_access" });
  return { middle, uri, config, subject };
}

function exchange(config, subject, more) {
  return openid.genericGrantRequest(config, GRANT.exchange, { subject_token: subject.access_token, subject_token_type: TOKEN_TYPE, ...more });
}

await ifOffered("token exchange", { grant: GRANT.exchange }, async () => {
  const { middle, uri, config, subject } = await chain();
  const tokens = await exchange(config, subject, { resource: uri, scope: "mcp:read" });
  const before = claimsOf(subject.access_token);
  const after = claimsOf(tokens.access_token);
  expect(tokens.issued_token_type === TOKEN_TYPE, `issued_token_type ${tokens.issued_token_type}`);
  expect(after.sub === before.sub && after.aud === uri && after.exp <= before.exp, JSON.stringify(after));
  expect(after.act?.sub === middle.client_id, `act: ${JSON.stringify(after.act)}`);
  expect(tokens.refresh_token === undefined, "an exchange gave a refresh token");

  await isRefused(exchange(config, subject, { resource: uri, scope: "mcp:write" }), "invalid_scope", 400);
  await isRefused(exchange(config, subject, { resource: "https://nowhere.example/mcp" }), "invalid_target", 400);
  await isRefused(exchange(config, { access_token: "no.token" }, { resource: uri }), "invalid_request", 400);
  const told = await openid.tokenIntrospection(config, tokens.access_token);
  expect(told.active && told.act?.sub === middle.client_id, JSON.stringify(told));
  await openid.tokenRevocation(person.config, subject.refresh_token);
  const cut = await openid.tokenIntrospection(config, tokens.access_token);
  expect(!cut.active, "the exchanged token outlives its grant");
});
await ifOffered("self-exchange narrows", { grant: GRANT.exchange }, async () => {
  const client = await register({ client_name: "narrow", grant_types: ["client_credentials", GRANT.exchange] });
  const config = await configured(client.client_id, openid.ClientSecretBasic(client.client_secret));
  const subject = await openid.clientCredentialsGrant(config, { scope: "mcp:read mcp:write", resource: MCP_URL });
  const tokens = await exchange(config, subject, { scope: "mcp:read", resource: MCP_URL });
  expect(tokens.scope === "mcp:read", `scope ${tokens.scope}`);
  await taken(config, tokens);
  return isRefused(exchange(config, tokens, { scope: "mcp:write", resource: MCP_URL }), "invalid_scope", 400);
});

await ifOffered("an ID-JAG for another server", { member: "identity_chaining_requested_token_types_supported" }, async () => {
  const type = "urn:ietf:params:oauth:token-type:id-jag";
  const wanted = { client_name: `${label} desktop`, redirect_uris: [CALLBACK], grant_types: ["authorization_code", "refresh_token", GRANT.exchange], token_endpoint_auth_method: "client_secret_basic" };
  const client = await register(wanted);
  const config = await configured(client.client_id, openid.ClientSecretBasic(client.client_secret));
  const slug = `other-${crypto.randomUUID().slice(0, 8)}`;
  const [audience, resource] = [`https://${slug}.example`, `https://${slug}.example/mcp`];
  const rule = { name: "desktop", client_ids: [client.client_id], resource, scope: "chat.read" };
  await admin("POST", "assertion-audiences", { slug, issuer: audience, client_names: { [client.client_id]: "desktop" }, rules: [rule] });

  const subject = await codeGrant(config, { scope: "mcp:read offline_access" });
  const ask = (more) => exchange(config, subject, { requested_token_type: type, audience, resource, ...more });
  const tokens = await ask({ scope: "chat.read chat.write" });
  const said = claimsOf(tokens.access_token);
  expect(tokens.issued_token_type === type && tokens.token_type === "n_a", JSON.stringify(tokens));
  expect(tokens.scope === "chat.read" && tokens.refresh_token === undefined, JSON.stringify(tokens));
  expect(said.sub === claimsOf(subject.access_token).sub && said.aud === audience, `sub ${said.sub}, aud ${said.aud}`);
  expect(said.client_id === "desktop" && said.resource === resource && said.exp - said.iat <= 300, JSON.stringify(said));
  await ask({ subject_token: subject.refresh_token, subject_token_type: "urn:ietf:params:oauth:token-type:refresh_token" });
  await isRefused(ask({ audience: "https://nobody.example" }), "invalid_target", 400);
  await isRefused(ask({ resource: "https://elsewhere.example/mcp" }), "invalid_target", 400);
  await openid.tokenRevocation(config, subject.refresh_token);
  return isRefused(ask({}), "invalid_request", 400);
});

// ---- devices and registrations ------------------------------------------------------------------------------------

await ifOffered("device grant", { member: "device_authorization_endpoint" }, async () => {
  const wanted = { client_name: `${label} device`, grant_types: [GRANT.device, "refresh_token"], token_endpoint_auth_method: "none" };
  const config = await registered(wanted);
  const device = await openid.initiateDeviceAuthorization(config, { scope: "mcp:read offline_access", resource: MCP_URL });
  const polled = openid.pollDeviceAuthorizationGrant(config, device, { resource: MCP_URL });
  const said = await enterDeviceCode(device.verification_uri, device.user_code);
  const tokens = await polled;
  await taken(config, tokens);
  await openid.refreshTokenGrant(config, tokens.refresh_token);
  const again = openid.genericGrantRequest(config, GRANT.device, { device_code: device.device_code });
  await isRefused(again, "invalid_grant", 400);
  return said.slice(0, 200);
});
// The library registers and has nothing for what comes after: these are requests as the standard words them.
// A public client's registration is the same for everybody who sends it, so that nobody may change it.
const wanted = { client_name: `${label} managed`, redirect_uris: [CALLBACK], token_endpoint_auth_method: "client_secret_basic" };
const managed = await registered(wanted, openid.ClientSecretBasic());
let registration = managed.clientMetadata();

async function manage(method, body, token = registration.registration_access_token) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(registration.registration_client_uri, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (answer.ok && text) registration = { ...registration, ...JSON.parse(text) };
  return answer.status;
}

const managing = "a registration is read, changed and removed (RFC 7592)";
if (registration.registration_client_uri === undefined) notOffered(label, managing, "registration_client_uri of a registration");
else {
  await check(managing, async () => {
    expect((await manage("GET")) === 200, "it cannot be read");
    expect((await manage("PUT", { ...wanted, client_id: registration.client_id, client_name: "renamed" })) === 200, "it cannot be changed");
    expect(registration.client_name === "renamed", `its name is ${registration.client_name}`);
    expect((await manage("GET", undefined, "not the token")) === 401, "anybody can read it");
    expect((await manage("DELETE")) === 204, "it cannot be removed");
    expect((await manage("GET")) === 401, "it is still there");
  });
}

await check("no server error", () => {
  const broken = answers.filter(({ status }) => status >= 500);
  expect(broken.length === 0, JSON.stringify(broken).slice(0, 500));
  return `${answers.length} answers`;
});
