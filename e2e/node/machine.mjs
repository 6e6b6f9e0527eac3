// What the checks of grants for programs share: the admin API, what the server offers, and a call of the guarded server.
import { expect, ISSUER, MCP_URL, notOffered, wellKnown } from "./steps.mjs";

/** An MCP server that takes bound tokens alone (RFC 9449). */
export const BOUND_URL = process.env.E2E_BOUND_URL;
/** Whether the authorization server wants its own nonce in every proof. */
export const NONCE_REQUIRED = process.env.E2E_NONCE === "1";
export const CALLBACK = "http://127.0.0.1:33556/callback";

export const GRANT = {
  device: "urn:ietf:params:oauth:grant-type:device_code",
  exchange: "urn:ietf:params:oauth:grant-type:token-exchange",
  jwtBearer: "urn:ietf:params:oauth:grant-type:jwt-bearer",
};

const answer = await fetch(wellKnown());
/** The server's metadata (RFC 8414). */
export const metadata = await answer.json();

/** Runs a check when the metadata offers what it needs, and says so when not. */
export function offering(client, check) {
  return async function ifOffered(name, needed, body) {
    const offered = needed.grant
      ? metadata.grant_types_supported.includes(needed.grant)
      : metadata[needed.member] !== undefined && metadata[needed.member] !== false;
    if (offered) return check(name, body);
    return notOffered(client, name, needed.grant ?? needed.member);
  };
}

/** A request to the admin API. */
export async function admin(method, path, body) {
  const answer = await fetch(`${process.env.DOORWARD_ADMIN_URL}/admin/${path}`, {
    method,
    headers: { authorization: `Bearer ${process.env.DOORWARD_ADMIN_KEY}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  expect(answer.ok, `${method} /admin/${path} answered ${answer.status}: ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** Registers a client as an operator does; what it is gets the scopes of the example servers. */
export function register(client) {
  return admin("POST", "clients", { scope: "mcp:read mcp:write", ...client });
}

/** The resource whose URI this is. */
export async function resourceOf(uri) {
  const { items } = await admin("GET", "resources");
  return items.find((resource) => resource.uri === uri);
}

/** The first message of MCP, sent by any `fetch`: the server behind the guard lets it in, or not. */
export function initialize(send, url = MCP_URL) {
  const message = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "doorward-e2e", version: "1.0.0" } },
  };
  const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
  return send(url, { method: "POST", headers, body: JSON.stringify(message) });
}

/** The claims of a token of ours, unverified: the guard verifies it. */
export function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
}

/** Waits until the promise is refused, and returns how. */
export async function refusal(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`it was not refused: ${JSON.stringify(value)}`);
}

export { expect, ISSUER, MCP_URL };
