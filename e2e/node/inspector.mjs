// The MCP Inspector's command line: every call is a process of its own, on tokens from its store.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

import { browserWalks, expect, MCP_URL, revoke, TOOLS, walker } from "./steps.mjs";

const manifest = createRequire(import.meta.url).resolve("@modelcontextprotocol/inspector/package.json");
const launcher = join(dirname(manifest), "clients/launcher/build/index.js");
const step = walker(`inspector ${JSON.parse(readFileSync(manifest, "utf8")).version}`);
const secretsFile = join(homedir(), ".mcp-inspector/secrets.json");

/** Runs one command and returns its result; throws what it printed when it fails. */
async function inspect(...words) {
  const common = ["--cli", "--server-url", MCP_URL, "--transport", "http", "--format", "json"];
  const child = spawn(process.execPath, [launcher, ...common, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, MCP_AUTO_OPEN_ENABLED: "true", MCP_INSPECTOR_SECRET_STORE: "file" },
  });
  let [said, complained] = ["", ""];
  child.stdout.on("data", (chunk) => (said += chunk));
  child.stderr.on("data", (chunk) => (complained += chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`exit code ${code}: ${complained.replace(/^\[mcp-inspector\].*\n/gm, "").slice(-600)}`);
  return JSON.parse(said).result;
}

async function call(tool, ...args) {
  const given = args.length > 0 ? ["--tool-arg", ...args] : [];
  const result = await inspect("--method", "tools/call", "--tool-name", tool, ...given);
  const text = result.content.map((part) => part.text ?? "").join("");
  if (result.isError) throw new Error(text);
  return text;
}

/** The stored tokens, and the way to put changed ones back. */
function stored() {
  const file = JSON.parse(readFileSync(secretsFile, "utf8"));
  const shelf = Object.values(file).find((value) => typeof value === "object" && Object.keys(value).some(isTokens)) ?? file;
  const name = Object.keys(shelf).find(isTokens);
  const tokens = JSON.parse(shelf[name]);
  const put = (changed) => {
    shelf[name] = JSON.stringify(changed);
    writeFileSync(secretsFile, JSON.stringify(file));
  };
  return { tokens, put };
}

function isTokens(name) {
  return name.includes(":tokens:");
}

function spoilAccessToken() {
  const { tokens, put } = stored();
  put({ ...tokens, access_token: "spoiled" });
}

let clientId;
await step("tools/list", async () => {
  const names = (await inspect("--method", "tools/list")).tools.map((tool) => tool.name);
  expect(TOOLS.every((tool) => names.includes(tool)), `tools: ${names}`);
});
await step("login and consent", () => {
  const pages = JSON.stringify(browserWalks().map((walk) => walk.pages));
  expect(pages === '[["login","consent"]]', `the person saw ${pages}`);
  return pages;
});
await step("token", () => {
  const { tokens } = stored();
  expect(tokens.access_token && tokens.refresh_token, `tokens: ${Object.keys(tokens)}`);
  return tokens.scope;
});
await step("echo", async () => {
  expect((await call("echo", "text=through")).includes("through"), "echo did not echo");
});
await step("whoami", async () => {
  const text = await call("whoami");
  clientId = JSON.parse(text).client_id;
  expect(clientId, `whoami does not name the client: ${text}`);
  return text.slice(0, 300);
});
// This version meets the 403 with a refresh, which cannot widen a scope, and stops there.
await step("write refused", async () => {
  let text;
  try {
    text = await call("write", "x=ink");
  } catch (refusal) {
    return refusal.message.slice(0, 300);
  }
  throw new Error(`write ran without mcp:write: ${text}`);
});
await step("refresh", async () => {
  const walks = browserWalks().length;
  spoilAccessToken();
  expect((await call("echo", "text=again")).includes("again"), "echo did not echo");
  expect(stored().tokens.access_token !== "spoiled", "the access token was not renewed");
  expect(browserWalks().length === walks, "the client opened the browser instead of refreshing");
});
await step("cut off", async () => {
  const walks = browserWalks().length;
  await revoke(clientId, stored().tokens.refresh_token);
  spoilAccessToken();
  expect((await call("echo", "text=back")).includes("back"), "echo did not echo");
  expect(browserWalks().length === walks + 1, "a revoked grant was refreshed without the person");
});
