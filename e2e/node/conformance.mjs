// The conformance suite's authorization-server scenarios; its browser step is played by the stand-in.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { walk } from "./browser.mjs";
import { expect, ISSUER, MCP_URL, walker, wellKnown } from "./steps.mjs";

const { port: PORT } = new URL(process.env.MCP_OAUTH_CALLBACK_URL);
const CHECKS = ["authorization-server-metadata", "authorization-server-metadata-cimd", "authorization-code-grant"];
const manifest = createRequire(import.meta.url).resolve("@modelcontextprotocol/conformance/package.json");
const suite = join(dirname(manifest), "dist/index.js");
const results = join(process.env.HOME, "conformance");
const step = walker(`conformance ${JSON.parse(readFileSync(manifest, "utf8")).version}`);

/** The suite prints the URL and listens for the answer in its own time. */
async function deliver(callback) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await fetch(callback);
    } catch (error) {
      if (error.cause?.code !== "ECONNREFUSED" || tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function register() {
  const metadata = await (await fetch(wellKnown())).json();
  const answer = await fetch(metadata.registration_endpoint, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      client_name: "Conformance suite",
      redirect_uris: [`http://127.0.0.1:${PORT}/callback`],
      token_endpoint_auth_method: "none",
    }),
  });
  expect(answer.status === 201, `registration answered ${answer.status}: ${await answer.clone().text()}`);
  return (await answer.json()).client_id;
}

/** Runs the suite, walks each authorization URL it prints, and returns its exit code and what it said. */
function runSuite(clientId) {
  const words = ["authorization", "--url", ISSUER, "--client-id", clientId, "--resource", MCP_URL, "-p", String(PORT)];
  const version = ["--spec-version", "2026-07-28", "--output-dir", results];
  const child = spawn(process.execPath, [suite, ...words, ...version], { stdio: ["ignore", "pipe", "pipe"] });
  const seen = new Set();
  let said = "";
  const visits = [];
  const hear = (chunk) => {
    said += chunk;
    for (const [url] of said.matchAll(/^https?:\/\/\S+[?&]code_challenge=\S+(?=\n)/gm)) {
      if (!seen.has(url)) visits.push(seen.add(url) && walk(url).then(deliver));
    }
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  return new Promise((resolve, reject) => {
    child.on("close", (code) => Promise.all(visits).then(() => resolve({ code, said })).catch(reject));
    setTimeout(() => Promise.all(visits).catch((error) => child.kill() && reject(error)), 20_000).unref();
  });
}

function checks() {
  const files = readdirSync(results, { recursive: true }).filter((name) => name.endsWith("checks.json"));
  return files.flatMap((name) => JSON.parse(readFileSync(join(results, name), "utf8")));
}

let clientId;
await step("registration", async () => (clientId = await register()));
let outcome;
await step("suite", async () => {
  outcome = await runSuite(clientId);
  expect(outcome.code === 0, `exit code ${outcome.code}: ${outcome.said.slice(-1500)}`);
});
// The suite ends well with skipped checks too, so that each one is asked for by name.
for (const id of CHECKS) {
  await step(id, () => {
    const check = checks().find((candidate) => candidate.id === id);
    expect(check?.status === "SUCCESS", `${check?.status ?? "did not run"}: ${check?.errorMessage ?? outcome.said.slice(-600)}`);
  });
}
await step("nothing else failed", () => {
  const others = checks().filter((check) => check.status !== "SUCCESS");
  expect(others.length === 0, JSON.stringify(others.map(({ id, status, errorMessage }) => ({ id, status, errorMessage }))));
});
