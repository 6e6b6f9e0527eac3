// oidc-provider in memory: signs people in at once, remembers their consent, and issues access tokens that are JWTs
// signed with ES256, as Doorward's are. `--port PORT`.
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const port = Number(process.argv[process.argv.indexOf('--port') + 1]);
const issuer = `http://127.0.0.1:${port}`;
const RESOURCE = 'https://mcp.example.com/mcp';
const SCOPE = 'tools/read tools/write';

/** Everything in one map. The package's own storage in memory forgets what is more than a thousand entries. */
class Memory {
  static entries = new Map();
  static ofGrant = new Map();

  constructor(name) {
    this.name = name;
  }

  async upsert(id, payload) {
    const key = `${this.name}:${id}`;
    Memory.entries.set(key, payload);
    if (payload.uid) Memory.entries.set(`uid:${payload.uid}`, payload);
    if (payload.grantId && this.name !== 'Session') {
      const keys = Memory.ofGrant.get(payload.grantId) ?? [];
      keys.push(key);
      Memory.ofGrant.set(payload.grantId, keys);
    }
  }

  async find(id) {
    return Memory.entries.get(`${this.name}:${id}`);
  }

  async findByUid(uid) {
    return Memory.entries.get(`uid:${uid}`);
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    const payload = Memory.entries.get(`${this.name}:${id}`);
    if (payload) payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    Memory.entries.delete(`${this.name}:${id}`);
  }

  async revokeByGrantId(grantId) {
    for (const key of Memory.ofGrant.get(grantId) ?? []) Memory.entries.delete(key);
    Memory.ofGrant.delete(grantId);
  }
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const provider = new Provider(issuer, {
  adapter: Memory,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'bench' }] },
  cookies: { keys: ['a key of the cookies that protects nothing'] },
  clients: [
    {
      client_id: 'public',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1:7777/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      id_token_signed_response_alg: 'ES256',
    },
    {
      client_id: 'machine',
      client_secret: 'a-secret-of-the-machine-that-nobody-guesses',
      redirect_uris: [],
      grant_types: ['client_credentials'],
      response_types: [],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  scopes: ['openid', 'offline_access'],
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  // Consent is remembered.
  async loadExistingGrant(ctx) {
    const known = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId);
    if (known) return ctx.oidc.provider.Grant.find(known);
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid offline_access');
    grant.addResourceScope(RESOURCE, SCOPE);
    await grant.save();
    return grant;
  },
  issueRefreshToken: () => true,
  expiresWithSession: () => false,
  rotateRefreshToken: true,
  pkce: { required: () => true },
  ttl: { AccessToken: 300, ClientCredentials: 300, RefreshToken: 86400, Session: 86400, Grant: 86400, Interaction: 600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: SCOPE,
        audience: RESOURCE,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 300,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  interactions: { url: (_ctx, interaction) => `/sign-in/${interaction.uid}` },
});

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/sign-in/')) return next();
  await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: 'person' } });
  ctx.respond = false;
});
provider.listen(port, '127.0.0.1');
