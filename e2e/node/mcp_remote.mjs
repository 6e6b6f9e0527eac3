// mcp-remote as a desktop application runs it: a stdio server that opens the browser by itself.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { browserWalks, expect, MCP_URL, revoke, STEPS_UP, TOOLS, walker } from "./steps.mjs";

const here = createRequire(import.meta.url);
const { version } = here("mcp-remote/package.json");
const proxy = join(dirname(here.resolve("mcp-remote/package.json")), "dist/proxy.js");
const step = walker(`mcp-remote ${version}`);
const diary = [];

async function start() {
  const transport = new StdioClientTransport({
    command: process.execPath,
    // The port that it would choose by itself is one that a connection of somebody else may have.
    args: [proxy, MCP_URL, new URL(process.env.MCP_OAUTH_CALLBACK_URL).port, "--allow-http"],
    env: { ...process.env },
    stderr: "pipe",
  });
  transport.stderr.on("data", (chunk) => diary.push(String(chunk)));
  const client = new Client({ name: "doorward-e2e", version: "1.0.0" });
  try {
    await client.connect(transport, { timeout: 45_000 });
  } catch (error) {
    error.message += `\n${diary.join("").slice(-1500)}`;
    throw error;
  }
  return client;
}

/** The file mcp-remote keeps its tokens in, below its configuration directory. */
function tokenFile() {
  const found = readdirSync(process.env.MCP_REMOTE_CONFIG_DIR, { recursive: true }).find((name) => name.endsWith("_tokens.json"));
  expect(found, "mcp-remote stored no tokens");
  return join(process.env.MCP_REMOTE_CONFIG_DIR, found);
}

const stored = (suffix) => JSON.parse(readFileSync(tokenFile().replace("_tokens.json", suffix), "utf8"));

async function text(client, name, args) {
  const result = await client.callTool({ name, arguments: args });
  const said = result.content.map((part) => part.text ?? "").join("");
  if (result.isError) throw new Error(said);
  return said + JSON.stringify(result.structuredContent ?? null);
}

let client;
await step("connect", async () => {
  client = await start();
});
await step("login and consent", () => {
  const pages = JSON.stringify(browserWalks().map((walk) => walk.pages));
  expect(pages === '[["login","consent"]]', `the person saw ${pages}`);
  return pages;
});
await step("registration", () => {
  const { client_id: id } = stored("_client_info.json");
  expect(id, "no client_id");
  return id;
});
await step("token", () => {
  const tokens = stored("_tokens.json");
  expect(tokens.access_token && tokens.refresh_token, `tokens: ${Object.keys(tokens)}`);
  return tokens.scope;
});
await step("tools/list", async () => {
  const names = (await client.listTools()).tools.map((tool) => tool.name);
  expect(TOOLS.every((tool) => names.includes(tool)), `tools: ${names}`);
});
await step("echo", async () => {
  expect((await text(client, "echo", { text: "through the door" })).includes("through the door"), "echo did not echo");
});
await step("whoami", async () => {
  const said = await text(client, "whoami", {});
  expect(said.includes(stored("_client_info.json").client_id), `whoami does not name the client: ${said}`);
  return said.slice(0, 300);
});
await (STEPS_UP ? step("step-up", stepUp) : step("write refused", refused));
await step("refresh", async () => {
  const walks = browserWalks().length;
  await client.close();
  spoilAccessToken();
  client = await start();
  expect((await text(client, "echo", { text: "again" })).includes("again"), "echo did not echo");
  expect(stored("_tokens.json").access_token !== "spoiled", "the access token was not renewed");
  expect(browserWalks().length === walks, "the client opened the browser instead of refreshing");
});
await step("cut off", async () => {
  const walks = browserWalks().length;
  await client.close();
  await revoke(stored("_client_info.json").client_id, stored("_tokens.json").refresh_token);
  spoilAccessToken();
  client = await start();
  expect((await text(client, "echo", { text: "back" })).includes("back"), "echo did not echo");
  expect(browserWalks().length === walks + 1, "a revoked grant was refreshed without the person");
});
await step("disconnect", () => client.close());
process.exit(0);

async function stepUp() {
  const before = browserWalks().length;
  await text(client, "write", { x: "ink" });
  expect(browserWalks().length === before + 1, "the person was not asked for the new scope");
  const { scope } = stored("_tokens.json");
  expect(scope.includes("mcp:read") && scope.includes("mcp:write"), `granted scope: ${scope}`);
  return scope;
}

async function refused() {
  let said;
  try {
    said = await text(client, "write", { x: "ink" });
  } catch (refusal) {
    return refusal.message.slice(0, 200);
  }
  throw new Error(`write ran without mcp:write: ${said}`);
}

/** The resource server stops taking the stored access token, as when it expires; the refresh token stays. */
function spoilAccessToken() {
  writeFileSync(tokenFile(), JSON.stringify({ ...stored("_tokens.json"), access_token: "spoiled" }));
}
