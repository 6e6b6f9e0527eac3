// mcp-remote where there is no browser: with credentials of its own, and with a code that a person types elsewhere.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { enterDeviceCode } from "./browser.mjs";
import { claimsOf, expect, MCP_URL, offering, register } from "./machine.mjs";
import { browserWalks, checker } from "./steps.mjs";

const here = createRequire(import.meta.url);
const { version } = here("mcp-remote/package.json");
const proxy = join(dirname(here.resolve("mcp-remote/package.json")), "dist/proxy.js");
const label = `mcp-remote ${version}`;
const ifOffered = offering(label, checker(label));

/** Runs `body` with a client of the proxy, which has a folder of its own. `onDiary` sees what it writes to its log. */
async function withProxy(name, settings, body, environment = {}, onDiary = () => {}) {
  const home = join(process.env.MCP_REMOTE_CONFIG_DIR, name);
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [proxy, MCP_URL, new URL(process.env.MCP_OAUTH_CALLBACK_URL).port, "--allow-http", ...settings],
    env: { ...process.env, MCP_REMOTE_CONFIG_DIR: home, ...environment },
    stderr: "pipe",
  });
  let diary = "";
  transport.stderr.on("data", (chunk) => {
    diary += chunk;
    onDiary(diary);
  });
  const client = new Client({ name: "doorward-e2e", version: "1.0.0" });
  try {
    await client.connect(transport, { timeout: 45_000 });
    return await body(client, home);
  } catch (error) {
    error.message += `\n${diary.slice(-1500)}`;
    throw error;
  } finally {
    await client.close();
  }
}

async function echoes(client) {
  expect((await text(client, "echo", { text: "through the door" })).includes("through the door"), "echo did not echo");
}

function stored(home) {
  const file = existsSync(home) && readdirSync(home, { recursive: true }).find((name) => name.endsWith("_tokens.json"));
  return file ? JSON.parse(readFileSync(join(home, file), "utf8")) : undefined;
}

async function text(client, name, args) {
  const result = await client.callTool({ name, arguments: args });
  const said = result.content.map((part) => part.text ?? "").join("");
  if (result.isError) throw new Error(said);
  return said + JSON.stringify(result.structuredContent ?? null);
}

for (const method of ["client_secret_basic", "client_secret_post"]) {
  await ifOffered(`client credentials, registered for ${method}`, { grant: "client_credentials" }, async () => {
    const registered = await register({ client_name: label, grant_types: ["client_credentials"], token_endpoint_auth_method: method });
    const credentials = JSON.stringify({ client_id: registered.client_id, client_secret: "${E2E_CLIENT_SECRET}" });
    const settings = ["--client-credentials", "--static-oauth-client-info", credentials];
    const whoami = await withProxy(
      method,
      settings,
      async (client) => {
        await echoes(client);
        return text(client, "whoami", {});
      },
      { E2E_CLIENT_SECRET: registered.client_secret },
    );
    expect(whoami.includes(registered.client_id), "whoami does not name the client");
    expect(browserWalks().length === 0, "a program opened the browser");
  });
}
await ifOffered("device grant", { member: "device_authorization_endpoint" }, async () => {
  let typed;
  const onDiary = (diary) => {
    // The code is in the address where the server gives one with it (`verification_uri_complete`).
    const [, address] = /visit:[^]*?(http\S+)\n/.exec(diary) ?? [];
    if (address) typed ??= enterDeviceCode(address, new URL(address).searchParams.get("user_code"));
  };
  const walked = async (client, home) => {
    await typed;
    await echoes(client);
    return stored(home);
  };
  const tokens = await withProxy("device", ["--device-code"], walked, {}, onDiary);
  const pages = browserWalks().at(-1).pages.join();
  expect(pages === "device,login,consent", `the person saw ${pages}`);
  expect(tokens?.refresh_token, `stored: ${tokens && Object.keys(tokens)}`);
  return claimsOf(tokens.access_token).client_id;
});
