// The official TypeScript client, version 2, with a key of its own: every token is bound to it (RFC 9449).
import { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";

import { MemoryProvider } from "./provider.mjs";
import { claimsOf, NONCE_REQUIRED } from "./machine.mjs";
import { expect, ISSUER, walker } from "./steps.mjs";
import { takeTheRoad } from "./walk.mjs";

const label = `typescript client 2.4, DPoP${NONCE_REQUIRED ? ", nonces" : ""}`;

class KeyedProvider extends MemoryProvider {
  session;

  async dpop() {
    this.session ??= await DpopSession.create();
    return this.session;
  }
}

const provider = new KeyedProvider(label);
const sdk = {
  Client,
  Transport: StreamableHTTPClientTransport,
  UnauthorizedError,
  finish: (transport, answer) => transport.finishAuth(answer),
};
await takeTheRoad(label, sdk, provider);
await walker(label)("bound", () => {
  const { access_token: token, token_type: type } = provider.tokens();
  expect(type.toLowerCase() === "dpop", `token_type ${type}`);
  const { cnf } = claimsOf(token);
  expect(cnf?.jkt === provider.session.thumbprint, `cnf ${JSON.stringify(cnf)}`);
  const nonce = provider.session.nonceFor(ISSUER);
  expect((nonce !== undefined) === NONCE_REQUIRED, `the server's nonce: ${nonce}`);
  return provider.session.thumbprint;
});
