/**
 * What others do to our table, or to our chains, against a real kernel: seen by a look, mended by a comparison, and nothing else is.
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import type { RedirectBackend } from "./backend.ts";
import { compareElements, diffPlans } from "./diff.ts";
import { type PlanElement, planNode, planServicePort } from "./plan.ts";
import { NODE, NodeLab, testOverBackends } from "./testing/node_lab.ts";

function planOf(...vips: readonly string[]): PlanElement[] {
  return [
    ...planNode({ addresses: NODE, envoyReady: true }),
    ...planServicePort(servicePort({ vips })),
  ].sort(compareElements);
}

const PLAN = planOf("10.96.0.10 80");
const OTHER_PLAN = planOf("10.96.0.10 80", "10.96.0.11 80");

/** Makes the table, and looks at it twice: what is seen first may be taken for granted, and what is known already is not read. */
async function compared(lab: NodeLab): Promise<RedirectBackend> {
  const backend = lab.backend();
  await backend.reconcile(() => PLAN);
  assertEquals([await backend.look(), await backend.look()], [undefined, undefined]);
  return backend;
}

/** Looks until something is seen, as often as it takes at most where transactions follow one another. */
async function seen(backend: RedirectBackend): Promise<string | undefined> {
  for (let looks = 0; looks < 8; looks++) {
    const what = await backend.look();
    if (what !== undefined) return what;
  }
  return undefined;
}

/** What strangers do, and what is said of it. */
const STRANGERS: readonly (readonly [what: string, script: string, words: RegExp])[] = [
  ["flush the ruleset", "flush ruleset", /^the table is gone$/],
  ["delete the table", "delete table inet lightpath", /^the table is gone$/],
  ["flush the table", "flush table inet lightpath", /^missing: rule /],
  ["flush a chain", "flush chain inet lightpath nat-prerouting", /^missing: rule nat-prerouting /],
  ["insert a rule", "insert rule inet lightpath services accept", /^missing: rule services 0 /],
  ["add a rule", "add rule inet lightpath services accept", /^unexpected: rule services /],
];

for (const [what, script, words] of STRANGERS) {
  testOverBackends(`others ${what}: seen, and mended`, async (create) => {
    await using lab = await create();
    const backend = await compared(lab);
    await lab.nftByHand(script);
    assertMatch(await seen(backend) ?? "", words);
    // As long as nobody has mended it.
    assertMatch(await seen(backend) ?? "", words);
    const { layoutDifferences } = await backend.reconcile(() => PLAN);
    assertEquals(layoutDifferences.length > 0, true);
    assertEquals(await seen(backend), undefined);
  }, ["netlink"]);
}

testOverBackends("others load a table that they saved: known by its number", async (create) => {
  await using lab = await create();
  const backend = await compared(lab);
  const saved = await lab.nftByHand("list", "table", "inet", "lightpath");
  await backend.apply(diffPlans(PLAN, OTHER_PLAN));
  assertEquals(await seen(backend), undefined);
  await lab.nftByHand(`delete table inet lightpath\n${saved}`);
  assertEquals(await seen(backend), "the table is another one");
  const { layoutDifferences, add } = await backend.reconcile(() => OTHER_PLAN);
  assertEquals([layoutDifferences, add.length > 0], [[], true]);
  assertEquals(await seen(backend), undefined);
}, ["netlink"]);

testOverBackends(
  "between the first reading and the comparison others flush the table: seen by the first look",
  async (create) => {
    await using lab = await create();
    await compared(lab);
    const next = lab.backend();
    await next.readAhead();
    await lab.nftByHand("flush table inet lightpath");
    await next.reconcile(() => PLAN);
    assertMatch(await next.look() ?? "", /^missing: rule /);
  },
  ["netlink"],
);

testOverBackends("own changes, and others' tables, are nobody's meddling", async (create) => {
  await using lab = await create();
  const backend = await compared(lab);
  await backend.apply(diffPlans(PLAN, OTHER_PLAN));
  assertEquals(await seen(backend), undefined);
  await lab.nftByHand("add table inet strange; add chain inet strange c; add rule inet strange c accept");
  assertEquals(await seen(backend), undefined);
  await lab.nftByHand("delete table inet strange");
  assertEquals(await seen(backend), undefined);
});

for (const [table, variant] of [["nat", "iptables-nft"], ["filter", "iptables-legacy"]] as const) {
  testOverBackends(`others flush table ${table} of iptables: seen, and mended`, async (create) => {
    await using lab = await create();
    const backend = await compared(lab);
    await lab.node.run([lab.programOptions(variant).iptablesPath, "-t", table, "-F"]);
    assertMatch(await backend.look() ?? "", new RegExp(`^missing: IPv4 ${table} `));
    const { layoutDifferences } = await backend.reconcile(() => PLAN);
    assertEquals(layoutDifferences.length > 0, true);
    assertEquals(await seen(backend), undefined);
  }, [variant]);
}
