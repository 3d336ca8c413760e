import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { diffPlans } from "./diff.ts";
import { createLayout } from "./layout.ts";
import { halveScript, renderCleanup, renderDelta, renderReplacement } from "./nft_script.ts";
import { GOLDEN_PLAN } from "./testing/golden_plan.ts";

Deno.test("renderReplacement() renders the whole table, exactly", async () => {
  const golden = await Deno.readTextFile(new URL("../testdata/redirect/table.nft", import.meta.url));
  const elements = diffPlans([], GOLDEN_PLAN).add;
  assertEquals(renderReplacement(createLayout({ tcp: 1666, http: 1667 }), elements), golden);
});

Deno.test("renderDelta() renders deletions by key, then additions, one statement per container", () => {
  const script = renderDelta(diffPlans([
    { container: "service-ips-4", key: "10.96.0.10 . tcp . 80", value: "4c52:1" },
    { container: "service-ips-4", key: "10.96.0.11 . tcp . 80", value: "4c52:1" },
    { container: "endpoints-ips-4", key: "10.96.0.10 . tcp . 80 . 4c54:1", value: "10.0.0.1 . 80" },
    { container: "envoy-address-4", key: "tcp", value: "192.0.2.1" },
    { container: "node-addresses-4", key: "10.0.0.1", value: "" },
  ], [
    { container: "service-ips-4", key: "10.96.0.10 . tcp . 80", value: "4c51:1" },
    { container: "endpoints-ips-4", key: "10.96.0.10 . tcp . 80 . 4c54:1", value: "10.0.0.2 . 80" },
    { container: "no-endpoint-ips-4", key: "10.96.0.11 . tcp . 80", value: "" },
    { container: "envoy-address-4", key: "tcp", value: "192.0.2.2" },
    { container: "node-addresses-4", key: "10.0.0.2", value: "" },
  ]));
  assertEquals(
    script,
    `delete element inet lightpath envoy-address-4 { tcp }
delete element inet lightpath node-addresses-4 { 10.0.0.1 }
delete element inet lightpath service-ips-4 { 10.96.0.10 . tcp . 80, 10.96.0.11 . tcp . 80 }
delete element inet lightpath endpoints-ips-4 { 10.96.0.10 . tcp . 80 . 4c54:1 }
add element inet lightpath envoy-address-4 { tcp : 192.0.2.2 }
add element inet lightpath node-addresses-4 { 10.0.0.2 }
add element inet lightpath service-ips-4 { 10.96.0.10 . tcp . 80 : 4c51:1 }
add element inet lightpath endpoints-ips-4 { 10.96.0.10 . tcp . 80 . 4c54:1 : 10.0.0.2 . 80 }
add element inet lightpath no-endpoint-ips-4 { 10.96.0.11 . tcp . 80 }
`,
  );
});

Deno.test("renderDelta() renders nothing for nothing", () => {
  assertEquals(renderDelta({ delete: [], add: [] }), "");
});

Deno.test("renderDelta() bounds the length of a line and loses no element", () => {
  const add = Array.from({ length: 1_000 }, (_, index) => ({
    container: "no-endpoint-ips-6" as const,
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
