// What the Node walks share: settings from the environment and one JSON line a step.
import { existsSync, readFileSync } from "node:fs";

export const ISSUER = process.env.DOORWARD_ISSUER;
export const MCP_URL = process.env.MCP_URL;
/** Whether the MCP server answers a missing tool scope with HTTP 403 (a guard) or inside HTTP 200 (FastMCP). */
export const STEPS_UP = (process.env.E2E_STEP_UP ?? "1") === "1";
/** FastMCP hides a tool from callers without its scopes. */
export const TOOLS = ["echo", "add", "whoami", ...(STEPS_UP ? ["write"] : [])];

/** Runs the steps of one client. The first failing step ends the walk with exit code 1. */
export function walker(client) {
  const check = checker(client);
  return async function step(name, body) {
    if (await check(name, body)) return;
    await new Promise((resolve) => process.stdout.write("", resolve));
    process.exit(1);
  };
}

/** Runs checks that do not build on one another: a failing one is told, and the others run. */
export function checker(client) {
  return async function check(name, body) {
    const started = performance.now();
    const report = (ok, detail) => {
      const ms = Math.round(performance.now() - started);
      process.stdout.write(`${JSON.stringify({ client, step: name, ok, ms, detail })}\n`);
    };
    try {
      report(true, (await body()) ?? "");
      return true;
    } catch (error) {
      const cause = error.cause ? ` (${reason(error.cause)})` : "";
      report(false, `${error.name}: ${error.message}${cause}${browserTrouble()}`.slice(0, 2000));
      process.exitCode = 1;
      return false;
    }
  };
}

/** Says that a check was not run, because the server's metadata does not offer what it needs. */
export function notOffered(client, name, needed) {
  process.stdout.write(`${JSON.stringify({ client, step: name, offered: false, detail: needed })}\n`);
}

function reason(cause) {
  return cause.message ?? (typeof cause === "object" ? JSON.stringify(cause) : cause);
}

export function expect(condition, otherwise) {
  if (!condition) throw new Error(otherwise);
}

export function browserWalks() {
  const path = process.env.E2E_BROWSER_LOG;
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

function browserTrouble() {
  const failed = browserWalks().filter((walk) => !walk.ok);
  return failed.length > 0 ? ` (browser: ${failed.at(-1).detail})` : "";
}

export function wellKnown() {
  const { origin, pathname } = new URL(ISSUER);
  return `${origin}/.well-known/oauth-authorization-server${pathname === "/" ? "" : pathname}`;
}

/** Ends the grant as a person or an operator would: RFC 7009, refresh token. */
export async function revoke(clientId, refreshToken) {
  const metadata = await (await fetch(wellKnown())).json();
  const form = { token: refreshToken, token_type_hint: "refresh_token", client_id: clientId };
  const answer = await fetch(metadata.revocation_endpoint, { method: "POST", body: new URLSearchParams(form) });
  expect(answer.status === 200, `revocation answered ${answer.status}`);
}
