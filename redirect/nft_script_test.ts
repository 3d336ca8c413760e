import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { diffPlans } from "./diff.ts";
import { createLayout } from "./layout.ts";
import { halveScript, renderCleanup, renderDelta, renderReplacement } from "./nft_script.ts";
import { planNodeAddresses, planServicePort } from "./plan.ts";

/** The plan behind testdata/redirect/. */
const PLAN = [
  ...planNodeAddresses({ IPv4: ["192.168.0.2", "10.0.0.1"], IPv6: ["2001:db8::2"] }),
  ...planServicePort(servicePort({
    vips: ["10.96.0.10 80", "fd00::10 80", "::a00:1 80"],
    nodePort: 30080,
    families: ["IPv4", "IPv6"],
    endpoints: ["IPv4"],
  })),
];

Deno.test("renderReplacement() renders the whole table, exactly", async () => {
  const golden = await Deno.readTextFile(new URL("../testdata/redirect/table.nft", import.meta.url));
  const elements = diffPlans([], PLAN).add;
  assertEquals(renderReplacement(createLayout({ tcp: 1666, http: 1667 }), elements), golden);
});

Deno.test("renderDelta() renders deletions by key, then additions, one statement per container", () => {
  const script = renderDelta(diffPlans([
    { container: "envoy-tcp-ips-4", key: "10.96.0.10 . tcp . 80", value: "" },
    { container: "envoy-tcp-ips-4", key: "10.96.0.11 . tcp . 80", value: "" },
    { container: "envoy-address-4", key: "tcp", value: "192.0.2.1" },
    { container: "node-addresses-4", key: "10.0.0.1", value: "" },
  ], [
    { container: "envoy-http-ips-4", key: "10.96.0.10 . tcp . 80", value: "" },
    { container: "no-endpoint-ips-4", key: "10.96.0.11 . tcp . 80", value: "" },
    { container: "envoy-address-4", key: "tcp", value: "192.0.2.2" },
    { container: "node-addresses-4", key: "10.0.0.2", value: "" },
  ]));
  assertEquals(
    script,
    `delete element inet lightpath envoy-address-4 { tcp }
delete element inet lightpath node-addresses-4 { 10.0.0.1 }
delete element inet lightpath envoy-tcp-ips-4 { 10.96.0.10 . tcp . 80, 10.96.0.11 . tcp . 80 }
add element inet lightpath envoy-address-4 { tcp : 192.0.2.2 }
add element inet lightpath node-addresses-4 { 10.0.0.2 }
add element inet lightpath envoy-http-ips-4 { 10.96.0.10 . tcp . 80 }
add element inet lightpath no-endpoint-ips-4 { 10.96.0.11 . tcp . 80 }
`,
  );
});

Deno.test("renderDelta() renders nothing for nothing", () => {
  assertEquals(renderDelta({ delete: [], add: [] }), "");
});

Deno.test("renderDelta() bounds the length of a line and loses no element", () => {
  const add = Array.from({ length: 1_000 }, (_, index) => ({
    container: "envoy-http-ips-6" as const,
    key: `fd00:1234:5678:9abc:def0:1234:5678:${index.toString(16)} . tcp . 80`,
    value: "",
  }));
  const lines = renderDelta({ delete: [], add }).split("\n");
  assert(lines.every((line) => line.length < 4_200));
  assertEquals(lines.join(" ").match(/fd00:/g)?.length, 1_000);
});

Deno.test("halveScript() cuts between lines, down to single ones", () => {
  assertEquals(halveScript("a\nb\nc\nd\n"), ["a\nb\nc\n", "d\n"]);
  assertEquals(halveScript("a\nlonger\n"), ["a\n", "longer\n"]);
  assertEquals(halveScript("longer\na\n"), ["longer\n", "a\n"]);
  assertEquals(halveScript("single\n"), undefined);
});

Deno.test("renderCleanup() names our table and nothing else", () => {
  assertEquals(renderCleanup(), "add table inet lightpath\ndelete table inet lightpath\n");
});

Deno.test("createLayout() refuses what is no port", () => {
  for (const tcp of [0, 65536, 1.5, NaN]) {
    assertThrows(() => createLayout({ tcp, http: 1667 }), RangeError, "want an integer of 1-65535");
  }
});
