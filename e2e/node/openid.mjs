// `openid-client` as an application sets it up: one configuration for each way in which a client authenticates.
import * as openid from "openid-client";

import { CALLBACK, expect, ISSUER, MCP_URL } from "./machine.mjs";
import { walk } from "./browser.mjs";

export { openid };

/** Every answer of the server, so that checks can ask what happened under the library's hands. */
export const answers = [];

async function recorded(url, options) {
  const answer = await fetch(url, options);
  const body = await answer.clone().text();
  answers.push({ url: String(url), status: answer.status, body, nonce: answer.headers.get("dpop-nonce") });
  return answer;
}

const SETUP = { algorithm: "oauth2", execute: [openid.allowInsecureRequests], [openid.customFetch]: recorded };

export function configured(clientId, authentication, metadata = {}) {
  return openid.discovery(new URL(ISSUER), clientId, metadata, authentication, SETUP);
}

/** A client that registers itself (RFC 7591). */
export function registered(metadata, authentication = openid.None()) {
  return openid.dynamicClientRegistration(new URL(ISSUER), metadata, authentication, SETUP);
}

/** A key pair for assertions, and its public half as clients register it. */
export async function assertionKey(algorithm, kid) {
  const parameters = {
    ES256: { name: "ECDSA", namedCurve: "P-256" },
    Ed25519: { name: "Ed25519" },
    RS256: { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
    PS256: { name: "RSA-PSS", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
  }[algorithm];
  const pair = await crypto.subtle.generateKey(parameters, true, ["sign", "verify"]);
  const { kty, crv, x, y, n, e } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const jwk = JSON.parse(JSON.stringify({ kty, crv, x, y, n, e, kid, use: "sig" }));
  return { key: pair.privateKey, kid, jwk };
}

/** Where the person's visit ends, and what the grant needs to be redeemed. */
export async function authorize(config, { scope = "mcp:read offline_access", pushed = false, more = {}, options } = {}) {
  const pkceCodeVerifier = openid.randomPKCECodeVerifier();
  const expectedState = openid.randomState();
  const parameters = {
    redirect_uri: CALLBACK,
    scope,
    resource: MCP_URL,
    state: expectedState,
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    ...more,
  };
  const build = pushed ? openid.buildAuthorizationUrlWithPAR : openid.buildAuthorizationUrl;
  const url = await build(config, parameters, options);
  if (pushed) {
    const names = [...url.searchParams.keys()].sort().join();
    expect(names === "client_id,request_uri", `the address still carries ${names}`);
  }
  return { callback: await walk(url, CALLBACK), checks: { pkceCodeVerifier, expectedState } };
}

export async function codeGrant(config, request = {}) {
  const { callback, checks } = await authorize(config, request);
  return openid.authorizationCodeGrant(config, callback, checks, { resource: MCP_URL }, request.options);
}
