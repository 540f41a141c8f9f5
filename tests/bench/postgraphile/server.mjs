// PostGraphile 5 as a team that wants speed would run it: production mode, nothing watched, no WebSockets, large caches.
// For each request the token is checked, and tenant and actor are set for its transaction, as row-level security wants.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { grafserv } from "postgraphile/grafserv/node";
import { makePgService } from "postgraphile/adaptors/pg";
import { postgraphile } from "postgraphile";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const { DATABASE_URL, SIGNING_KEY, PORT } = process.env;

function settingsOf(authorization) {
  const [head, body, signature] = (authorization ?? "").replace(/^Bearer /i, "").split(".");
  const made = createHmac("sha256", SIGNING_KEY).update(`${head}.${body}`).digest();
  const given = Buffer.from(signature ?? "", "base64url");
  if (given.length !== made.length || !timingSafeEqual(given, made)) return {};
  const claims = JSON.parse(Buffer.from(body, "base64url").toString());
  if (claims.exp * 1000 < Date.now()) return {};
  return { "app.tenant_id": claims.tid, "app.actor_id": claims.sub };
}

const preset = {
  extends: [PostGraphileAmberPreset],
  // It hides orders and relations without an index of exactly their columns; ours begin with the tenant.
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  pgServices: [
    makePgService({
      connectionString: DATABASE_URL,
      schemas: ["public", "bench"],
      pubsub: false,
      poolConfig: { max: 10 },
    }),
  ],
  schema: { pgForbidSetofFunctionsToReturnNull: true, exportSchemaSDLPath: process.env.SDL },
  grafast: {
    explain: false,
    context: (ctx) => ({ pgSettings: settingsOf(ctx.node?.req.headers.authorization) }),
  },
  grafserv: { graphiql: false, websockets: false, watch: false, maxRequestLength: 1_000_000 },
};

const instance = postgraphile(preset);
const serving = instance.createServ(grafserv);
const server = createServer();
await serving.addTo(server);
await instance.getSchema();
server.listen(Number(PORT), "127.0.0.1");
