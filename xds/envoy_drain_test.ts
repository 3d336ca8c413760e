import { assertEquals } from "@std/assert/equals";
import { countConnections } from "./envoy_drain.ts";

Deno.test("countConnections() sums over listeners, own ones and IPv6 too, without the admin interface", () => {
  const statistics = [
    "listener.0.0.0.0_1666.downstream_cx_active: 2",
    "listener.[__]_1667.downstream_cx_active: 3",
    "listener.10.96.0.5_6379.downstream_cx_active: 4",
    "listener.admin.downstream_cx_active: 1",
    "listener.0.0.0.0_1666.worker_0.downstream_cx_active: 2",
    "listener.0.0.0.0_1666.downstream_cx_total: 90",
  ].join("\n");
  assertEquals(countConnections(statistics), 9);
  assertEquals(countConnections(""), 0);
});
