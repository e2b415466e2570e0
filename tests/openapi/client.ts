// Registers a pool with the client generated from openapi.json.
import createClient from "openapi-fetch";
import type { paths } from "./generated/schema.js";

declare const process: { env: Record<string, string | undefined>; exitCode: number };

const baseUrl = process.env["PORTCULLIS_URL"] ?? "";
const token = process.env["INTERNAL_API_TOKEN"] ?? "";
const client = createClient<paths>({ baseUrl, headers: { "x-internal-token": token } });

const registered = await client.POST("/api/internal/pools/register", { body: { poolId: "pool-ts", podIp: "127.0.0.1" } });
const unknown = await client.GET("/api/internal/pools/{poolId}/config/latest", { params: { path: { poolId: "nobody" } } });
if (registered.data?.poolId !== "pool-ts" || unknown.error?.code !== "not_found") {
  console.error(registered, unknown);
  process.exitCode = 1;
}
