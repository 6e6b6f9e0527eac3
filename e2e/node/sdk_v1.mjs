// The official TypeScript SDK, version 1.
import { auth, UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { MCP_URL } from "./steps.mjs";
import { takeTheRoad } from "./walk.mjs";

const finish = (transport, answer) => transport.finishAuth(answer.get("code"));

/** On a 403 this version refreshes, which cannot widen a scope, and gives up: the application starts over. */
async function stepUp(transport, provider, scope) {
  provider.invalidateCredentials("tokens");
  await auth(provider, { serverUrl: MCP_URL, scope });
  await finish(transport, await provider.visited());
}

const Transport = StreamableHTTPClientTransport;
await takeTheRoad("typescript sdk 1.32", { Client, Transport, UnauthorizedError, finish, stepUp });
