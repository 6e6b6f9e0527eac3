// The applications that send a person to the authorization server, registered dynamically: one with a loopback callback, and one
// in the web that opens a popup.
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";

import { expect, ISSUER, MCP_URL, wellKnown } from "./steps.mjs";

export class Application {
  clientName = "Browser journey";
  applicationType = "native";
  resource = MCP_URL;
  #waiting = [];

  static async register() {
    const application = new this();
    await application.listen();
    application.metadata = await (await fetch(wellKnown())).json();
    const answer = await fetch(application.metadata.registration_endpoint, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        client_name: application.clientName,
        redirect_uris: [application.redirectUri],
        token_endpoint_auth_method: "none",
        application_type: application.applicationType,
      }),
    });
    expect(answer.status === 201, `registration answered ${answer.status}: ${await answer.clone().text()}`);
    application.clientId = (await answer.json()).client_id;
    return application;
  }

  listen() {
    this.server = createServer((request, response) => {
      response.setHeader("content-type", "text/html").end("<!doctype html><title>Back</title><p>Back in the application.");
      const { pathname, searchParams } = new URL(request.url, "http://127.0.0.1");
      if (pathname === "/callback") this.#waiting.shift()?.(searchParams);
    });
    return new Promise((resolve) => {
      this.server.listen(0, "127.0.0.1", () => {
        this.redirectUri = `http://127.0.0.1:${this.server.address().port}/callback`;
        resolve();
      });
    });
  }

  authorizationUrl(changes = {}) {
    this.verifier = randomBytes(32).toString("base64url");
    this.state = randomBytes(16).toString("base64url");
    const url = new URL(this.metadata.authorization_endpoint);
    const asked = {
      response_type: "code",
      client_id: this.clientId,
      redirect_uri: this.redirectUri,
      scope: "mcp:read mcp:write",
      state: this.state,
      code_challenge: createHash("sha256").update(this.verifier).digest("base64url"),
      code_challenge_method: "S256",
      resource: this.resource,
      // Every journey wants to see the page, also after another one has consented.
      prompt: "consent",
      ...changes,
    };
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
    return String(url);
  }

  nextCallback() {
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      setTimeout(() => reject(new Error("nothing arrived at the callback within 30 s")), 30_000).unref();
    });
  }

  checkOrigin(answer) {
    expect(answer.get("state") === this.state, `state ${answer.get("state")}, not ${this.state}`);
    expect(answer.get("iss") === ISSUER, `iss ${answer.get("iss")}, not ${ISSUER}`);
  }

  async redeem(answer) {
    expect(answer.get("code"), `no code: ${answer}`);
    const form = {
      grant_type: "authorization_code",
      code: answer.get("code"),
      client_id: this.clientId,
      redirect_uri: this.redirectUri,
      code_verifier: this.verifier,
      resource: this.resource,
    };
    const response = await fetch(this.metadata.token_endpoint, { method: "POST", body: new URLSearchParams(form) });
    expect(response.status === 200, `the token endpoint answered ${response.status}: ${await response.clone().text()}`);
    return response.json();
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

const PAGES = {
  "/": `<!doctype html><title>Application</title><script>
    addEventListener("message", (message) => { if (message.origin === location.origin) globalThis.answer = message.data; });
    </script><p>The application.`,
  "/callback": `<!doctype html><title>Back</title><script>
    globalThis.hadOpener = opener !== null;
    opener?.postMessage(location.search, location.origin);
    </script><p>Back in the application.`,
};

/** An application on a site of its own, whose pages the browser is given without a server. */
export class WebApplication extends Application {
  applicationType = "web";
  origin = "https://client.example";
  redirectUri = `${this.origin}/callback`;

  listen() {}

  serve(context) {
    return context.route(`${this.origin}/**`, (route) => {
      const body = PAGES[new URL(route.request().url()).pathname];
      return route.fulfill(body ? { contentType: "text/html", body } : { status: 404 });
    });
  }

  close() {}
}
