/**
 * The policy routes in a real kernel, by a real `ip`.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { DEFAULT_MARK_MASK, IP_FAMILIES, marksOf } from "../agent/model/mod.ts";
import { Namespace, namespacesUnavailable } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { ensurePolicyRoutes, removePolicyRoutes } from "./policy_routes.ts";
import { createIp, IpError } from "./run_ip.ts";

const OPTIONS = { marks: marksOf(DEFAULT_MARK_MASK), table: 1676, families: IP_FAMILIES };
const unavailable = [await namespacesUnavailable()];

/** Rules and routes of both families but the kernel's own, as people read them. */
async function listed(node: Namespace): Promise<string[]> {
  const script = "for f in -4 -6; do ip $f rule; ip $f route show table all; done";
  const lines = (await node.run(["sh", "-c", script])).trim().split("\n");
  return lines.map((line) => line.trim().replace(/\s+/g, " ")).filter((line) =>
    /^7[678]:|table 1676|proto 77/.test(line)
  );
}

testUnless("ensurePolicyRoutes() makes what lacks, and nothing twice", { unavailable }, async () => {
  await using node = await Namespace.create({ name: "node" });
  const ip = createIp({ argvPrefix: node.enter([]) });
  assertEquals(await ensurePolicyRoutes(ip, OPTIONS), 10);
  const rules = [
    "76: from all fwmark 0x1000/0x1040 iif lo goto 78",
    "77: from all fwmark 0x1000/0x1040 lookup 1676",
    "78: from all fwmark 0x1040/0x1040 lookup 1676",
  ];
  assertEquals(await listed(node), [
    ...rules,
    "local 0.0.0.0/1 dev lo table 1676 proto kernel scope host",
    "local 128.0.0.0/1 dev lo table 1676 proto kernel scope host",
    ...rules,
    "local ::/1 dev lo table 1676 proto kernel metric 1024 pref medium",
    "local 8000::/1 dev lo table 1676 proto kernel metric 1024 pref medium",
  ]);
  // Who looks for the node's default route finds none: it would have a length of 00, and not the flag RTF_REJECT.
  const table = await node.run(["cat", "/proc/net/ipv6_route"]);
  assertEquals(table.split("\n").filter((line) => /^0{32} 00 (?!.* 00200200 )/.test(line)), []);
  assertEquals(await ensurePolicyRoutes(ip, OPTIONS), 0);
  await node.ip(["rule del priority 77", "route del local 128.0.0.0/1 dev lo table 1676"]);
  assertEquals(await ensurePolicyRoutes(ip, OPTIONS), 2);
});

testUnless("what is ours and not wanted goes, nothing of others", { unavailable }, async () => {
  await using node = await Namespace.create({ name: "node" });
  const ip = createIp({ argvPrefix: node.enter([]) });
  await node.ip([
    "rule add priority 77 fwmark 0x1000/0x1000 lookup 1676 protocol 77",
    "route add local 192.0.2.0/24 dev lo table 1676 protocol 77",
  ]);
  const others = await listed(node);
  await ensurePolicyRoutes(ip, { ...OPTIONS, marks: marksOf(0x30) });
  await ensurePolicyRoutes(ip, { ...OPTIONS, table: 1677 });
  const stale = (await listed(node)).filter((line) =>
    /fwmark 0x.0\/|^local .* table 1676 proto kernel/.test(line)
  );
  assertEquals(stale, []);
  await removePolicyRoutes(ip, IP_FAMILIES);
  await removePolicyRoutes(ip, IP_FAMILIES);
  assertEquals(await listed(node), others);
});

testUnless("what cannot be done is said in a sentence", { unavailable }, async () => {
  await using node = await Namespace.create({ name: "node" });
  const weak = createIp({ argvPrefix: node.enter(["setpriv", "--bounding-set=-net_admin"]) });
  await assertRejects(() => ensurePolicyRoutes(weak, OPTIONS), IpError, "CAP_NET_ADMIN");
  const missing = createIp({ ipPath: "/nowhere/ip" });
  await assertRejects(() => ensurePolicyRoutes(missing, OPTIONS), IpError, "or name it with --ip-bin");
  const slow = createIp({ ipPath: "sh", argvPrefix: ["sleep", "10"], timeoutMs: 50 });
  await assertRejects(() => removePolicyRoutes(slow, ["IPv4"]), IpError);
});
