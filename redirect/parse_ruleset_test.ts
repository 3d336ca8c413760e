import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { diffPlans } from "./diff.ts";
import { createLayout, layoutFingerprint } from "./layout.ts";
import { RedirectError } from "./redirect_error.ts";
import { parseRuleset } from "./parse_ruleset.ts";
import { GOLDEN_PLAN } from "./testing/golden_plan.ts";

const LAYOUT = createLayout({ tcp: 1666, http: 1667 });

/** Recorded from nft, after it was given testdata/redirect/table.nft. */
async function recorded(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`../testdata/redirect/${name}.json`, import.meta.url));
}

for (const name of ["table_nft_1_0_6", "table_nft_1_0_6_without_etc_protocols"]) {
  Deno.test(`parseRuleset() finds in ${name} exactly what was written`, async () => {
    const kernel = parseRuleset(JSON.parse(await recorded(name)));
    assertEquals(kernel.layout, layoutFingerprint(LAYOUT));
    assertEquals(diffPlans(kernel.elements, GOLDEN_PLAN), { delete: [], add: [] });
    assertEquals(kernel.elements.length, GOLDEN_PLAN.length);
  });
}

Deno.test("any tampering with the layout shows in the fingerprint", async () => {
  const text = await recorded("table_nft_1_0_6");
  const wanted = layoutFingerprint(LAYOUT).join("\n");
  const tamperings: readonly (readonly [string, string])[] = [
    ['"prio": -110', '"prio": -100'],
    ['"hook": "input"', '"hook": "forward"'],
    ['"policy": "accept"', '"policy": "drop"'],
    ["VIPs #96eda2c9", "VIPs #00000000"],
    ['"comment": "VIPs #96eda2c9", ', ""],
    ['"type": "ipv6_addr"', '"type": "ipv4_addr"'],
    ['"name": "node-addresses-4"', '"name": "node-addresses-5"'],
    ['"name": "node-addresses-4"', '"flags": ["timeout"], "name": "node-addresses-4"'],
    ['["10.0.0.1", "192.168.0.2"]', '[{"prefix": {"addr": "10.0.0.0", "len": 8}}]'],
    ['{"concat": ["10.96.0.10", "tcp", 80]}', '{"concat": ["10.96.0.10", "tcp"]}'],
    ['{"chain": {', '{"chain": {"name": "extra"}}, {"chain": {'],
    ['{"chain": {', '{"counter": {"name": "extra"}}, {"chain": {'],
  ];
  for (const [from, to] of tamperings) {
    assert(text.includes(from), from);
    const { layout } = parseRuleset(JSON.parse(text.replace(from, to)));
    assert(layout.join("\n") !== wanted, `${from} -> ${to}`);
  }
});

Deno.test("other listener ports make another layout", () => {
  assert(
    layoutFingerprint(LAYOUT).join() !== layoutFingerprint(createLayout({ tcp: 1666, http: 1668 })).join(),
  );
});

Deno.test("parseRuleset() says so when it is given no listing", () => {
  for (const listing of [null, [], {}, { nftables: {} }, "text"]) {
    assertEquals(assertThrows(() => parseRuleset(listing), RedirectError).kind, "unreadable");
  }
});
