// The official TypeScript client, version 2.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";

import { takeTheRoad } from "./walk.mjs";

await takeTheRoad("typescript client 2.4", {
  Client,
  Transport: StreamableHTTPClientTransport,
  UnauthorizedError,
  // The whole callback, so that the client checks `iss` (RFC 9207).
  finish: (transport, answer) => transport.finishAuth(answer),
});
