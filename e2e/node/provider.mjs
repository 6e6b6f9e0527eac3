// The application's part of both official TypeScript SDKs: an `OAuthClientProvider` that keeps everything in memory
// and hands the authorization URL to the browser.
import { walk } from "./browser.mjs";

export class MemoryProvider {
  redirectUrl = "http://127.0.0.1:33555/callback";
  #client;
  #tokens;
  #verifier;
  #discovery;
  #authorizationUrl;
  #name;

  constructor(name) {
    this.#name = name;
  }

  get clientMetadata() {
    return {
      client_name: this.#name,
      redirect_uris: [this.redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    };
  }
  state = () => crypto.randomUUID();
  clientInformation = () => this.#client;
  saveClientInformation(client) {
    this.#client = client;
  }
  tokens = () => this.#tokens;
  saveTokens(tokens) {
    this.#tokens = tokens;
  }
  saveCodeVerifier(verifier) {
    this.#verifier = verifier;
  }
  codeVerifier = () => this.#verifier;
  discoveryState = () => this.#discovery;
  saveDiscoveryState(discovery) {
    this.#discovery = discovery;
  }
  redirectToAuthorization(url) {
    this.#authorizationUrl = url;
  }
  invalidateCredentials(scope) {
    if (scope === "all" || scope === "tokens") this.#tokens = undefined;
    if (scope === "all" || scope === "client") this.#client = undefined;
    if (scope === "all" || scope === "discovery") this.#discovery = undefined;
  }

  /** What the person's visit ended in. */
  async visited() {
    const callback = await walk(this.#authorizationUrl);
    const error = callback.searchParams.get("error");
    if (error) throw new Error(`authorization ended with ${error}: ${callback.searchParams.get("error_description")}`);
    return callback.searchParams;
  }

  /** The resource server stops taking the access token, as when it expires; the refresh token stays. */
  spoilAccessToken() {
    this.#tokens = { ...this.#tokens, access_token: "spoiled" };
  }
}
