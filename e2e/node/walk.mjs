// The road that both TypeScript clients take.
import { browserWalks, expect, ISSUER, MCP_URL, revoke, STEPS_UP, TOOLS, walker } from "./steps.mjs";
import { MemoryProvider } from "./provider.mjs";

/**
 * @param {string} label
 * @param {{ Client: Function, Transport: Function, UnauthorizedError: Function,
 *   finish: (transport: object, answer: URLSearchParams) => Promise<void>,
 *   stepUp?: (transport: object, provider: MemoryProvider, scope: string) => Promise<void> }} sdk
 *   `stepUp` is the application's own way to a wider scope, for a client that finds none by itself.
 * @param {MemoryProvider} provider
 */
export async function takeTheRoad(label, sdk, provider = new MemoryProvider(label)) {
  const step = walker(label);
  const session = new Session(sdk, provider);
  await step("connect", () => session.connect());
  await afterConnecting(step, provider, session);
  await stepUp(step, provider, session);
  await refresh(step, provider, session);
  await cutOff(step, provider, session);
  await step("disconnect", () => session.client.close());
}

class Session {
  constructor(sdk, provider) {
    Object.assign(this, { sdk, provider });
  }

  async connect() {
    const attempt = async () => {
      this.client = new this.sdk.Client({ name: "doorward-e2e", version: "1.0.0" });
      this.transport = new this.sdk.Transport(new URL(MCP_URL), { authProvider: this.provider });
      await this.client.connect(this.transport);
    };
    await this.asPerson(attempt);
  }

  /** What an application does: when the client needs the person, open the browser, finish, try again. */
  async asPerson(attempt) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof this.sdk.UnauthorizedError)) throw error;
      await this.sdk.finish(this.transport, await this.provider.visited());
      return attempt();
    }
  }

  async call(name, args) {
    const result = await this.asPerson(() => this.client.callTool({ name, arguments: args }));
    const text = result.content.map((part) => part.text ?? "").join("") + JSON.stringify(result.structuredContent ?? null);
    if (result.isError) throw new Error(text);
    return text;
  }
}

async function afterConnecting(step, provider, session) {
  await step("discovery", () => {
    const found = provider.discoveryState()?.authorizationServerUrl;
    expect(String(found).replace(/\/$/, "") === ISSUER.replace(/\/$/, ""), `authorization server ${found}, not ${ISSUER}`);
  });
  await step("registration", () => {
    expect(provider.clientInformation()?.client_id, "no client_id");
    return provider.clientInformation().client_id;
  });
  await step("login and consent", () => {
    const pages = JSON.stringify(browserWalks().map((walk) => walk.pages));
    expect(pages === '[["login","consent"]]', `the person saw ${pages}`);
    return pages;
  });
  await step("token", () => {
    const tokens = provider.tokens();
    expect(tokens.access_token && tokens.refresh_token, `tokens: ${Object.keys(tokens)}`);
    expect(tokens.scope.split(" ").includes("mcp:read"), `granted scope: ${tokens.scope}`);
    return tokens.scope;
  });
  await step("tools/list", async () => {
    const names = (await session.client.listTools()).tools.map((tool) => tool.name);
    expect(TOOLS.every((tool) => names.includes(tool)), `tools: ${names}`);
  });
  await step("echo", async () => {
    expect((await session.call("echo", { text: "through the door" })).includes("through the door"), "echo did not echo");
  });
  await step("whoami", async () => {
    const text = await session.call("whoami", {});
    expect(text.includes(provider.clientInformation().client_id), `whoami does not name the client: ${text}`);
    return text.slice(0, 300);
  });
}

async function stepUp(step, provider, session) {
  if (!STEPS_UP) {
    await step("write refused", () => refused(session));
    return;
  }
  const { stepUp: byApplication } = session.sdk;
  if (byApplication) await step("write forbidden", () => refused(session));
  await step("step-up", async () => {
    const before = browserWalks().length;
    if (byApplication) await byApplication(session.transport, provider, "mcp:read mcp:write");
    await session.call("write", { x: "ink" });
    expect(browserWalks().length === before + 1, "the person was not asked for the new scope");
    const { scope } = provider.tokens();
    expect(scope.includes("mcp:read") && scope.includes("mcp:write"), `granted scope: ${scope}`);
    return scope;
  });
}

async function refused(session) {
  let text;
  try {
    text = await session.call("write", { x: "ink" });
  } catch (refusal) {
    return refusal.message.slice(0, 200);
  }
  throw new Error(`write ran without mcp:write: ${text}`);
}

async function refresh(step, provider, session) {
  await step("refresh", async () => {
    const walks = browserWalks().length;
    provider.spoilAccessToken();
    expect((await session.call("echo", { text: "again" })).includes("again"), "echo did not echo");
    expect(provider.tokens().access_token !== "spoiled", "the access token was not renewed");
    expect(provider.tokens().refresh_token, "the refreshed answer has no refresh token");
    expect(browserWalks().length === walks, "the client opened the browser instead of refreshing");
  });
}

async function cutOff(step, provider, session) {
  await step("cut off", async () => {
    const walks = browserWalks().length;
    await revoke(provider.clientInformation().client_id, provider.tokens().refresh_token);
    provider.spoilAccessToken();
    expect((await session.call("echo", { text: "back" })).includes("back"), "echo did not echo");
    expect(browserWalks().length === walks + 1, "a revoked grant was refreshed without the person");
  });
}
