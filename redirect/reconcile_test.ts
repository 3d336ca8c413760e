import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertStringIncludes } from "@std/assert/string-includes";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import type { Reconciliation } from "./backend.ts";
import { createLayout } from "./layout.ts";
import { RedirectError } from "./redirect_error.ts";
import { type PlanElement, planNode, planServicePort } from "./plan.ts";
import { cleanup, reconcile } from "./reconcile.ts";
import { FakeNft } from "./testing/fake_nft.ts";

const LAYOUT = createLayout({ tcp: 1666, http: 1667 });
const PLAN = [
  ...planNode({ addresses: { IPv4: ["192.168.0.2"], IPv6: [] }, envoyReady: true }),
  ...planServicePort(servicePort({ vips: ["10.96.0.1 80", "10.96.0.2 80", "fd00::1 80"], nodePort: 30080 })),
];

function bring(nft: FakeNft, plan: readonly PlanElement[] = PLAN): Promise<Reconciliation> {
  return reconcile({ nft, layout: LAYOUT, plan: () => plan });
}

Deno.test("reconcile() makes the table in one transaction, and a second time writes nothing", async () => {
  const nft = new FakeNft();
  const first = await bring(nft);
  assertEquals(first.layoutDifferences, ["missing: the table"]);
  assertEquals([nft.applied.length, first.add.length], [1, PLAN.length]);
  const second = await bring(nft);
  assertEquals(second, { delete: [], add: [], refused: [], transactions: 0, layoutDifferences: [] });
  assertEquals(nft.applied.length, 1);
});

Deno.test("reconcile() removes stale elements and adds missing ones without touching the rest", async () => {
  const nft = new FakeNft();
  await bring(nft);
  nft.table?.containers.get("service-ips-4")?.elements.delete("10.96.0.1 . tcp . 80");
  nft.table?.containers.get("endpoints-ips-4")?.elements.set(
    "10.96.0.2 . tcp . 80 . 4c54:2",
    "10.0.0.9 . 80",
  );
  nft.table?.containers.get("envoy-address-4")?.elements.set("tcp", "192.0.2.99");
  nft.table?.containers.get("service-nodeports-6")?.elements.set("tcp . 31000", "4c53:1");
  await bring(nft);
  assertEquals(
    nft.applied.at(-1),
    `delete element inet lightpath envoy-address-4 { tcp }
delete element inet lightpath endpoints-ips-4 { 10.96.0.2 . tcp . 80 . 4c54:2 }
delete element inet lightpath service-nodeports-6 { tcp . 31000 }
add element inet lightpath envoy-address-4 { tcp : 192.168.0.2 }
add element inet lightpath service-ips-4 { 10.96.0.1 . tcp . 80 : 4c51:1 }
`,
  );
});

Deno.test("reconcile() replaces a table of another layout as a whole, in one transaction", async () => {
  const nft = new FakeNft();
  await reconcile({ nft, layout: createLayout({ tcp: 1666, http: 1999 }), plan: () => PLAN });
  const outcome = await bring(nft);
  assertEquals(nft.applied.length, 2);
  assertStringIncludes(outcome.layoutDifferences.join("\n"), "missing: rule envoy-http 8 to Envoy");
  assert(
    nft.applied[1]?.startsWith(
      "add table inet lightpath\ndelete table inet lightpath\nadd table inet lightpath\n",
    ),
  );
  assertEquals((await bring(nft)).transactions, 0);
});

Deno.test("an element the kernel refuses does not keep out the others, in a new table or in an old one", async () => {
  for (const [start, applied] of [[[], 1], [PLAN.slice(0, 5), 1]] as const) {
    const nft = new FakeNft();
    if (start.length > 0) await bring(nft, start);
    const before = nft.applied.length;
    nft.refusedTexts.add("10.96.0.2 . tcp . 80 : 4c51:1");
    nft.refusedTexts.add("fd00::1 . tcp . 80 : 4c51:1");
    const outcome = await bring(nft);
    assertEquals(outcome.refused.map(({ element }) => element.key), [
      "10.96.0.2 . tcp . 80",
      "fd00::1 . tcp . 80",
    ]);
    assertEquals(nft.applied.length, before + applied);
    assertEquals(nft.elements().length, PLAN.length - 2);
    const again = await bring(nft);
    assertEquals([again.refused.length, again.transactions], [2, 0]);
  }
});

Deno.test("a kernel that takes only small messages gets the plan in parts, refused elements left out", async () => {
  const many = Array.from(
    { length: 8_000 },
    (_, index) => servicePort({ name: `s${index}`, vips: [`10.97.${index >> 8}.${index & 255} 80`] }),
  ).flatMap(planServicePort);
  const nft = new FakeNft();
  nft.longestScript = 100_000;
  nft.refusedTexts.add("10.97.3.7 . tcp . 80 : 4c51:1");
  const [first, second] = [await bring(nft, many), await bring(nft, many)];
  assertEquals(first.refused.map(({ element }) => element.key), ["10.97.3.7 . tcp . 80"]);
  assert(first.transactions > 4);
  assertEquals([nft.elements().length, second.add.length, second.transactions], [23_999, 0, 0]);
  await bring(nft, []);
  assertEquals(nft.elements(), []);
});

Deno.test("reconcile() passes on a fault that no element is to blame for", async () => {
  const nft = new FakeNft();
  const fault = new RedirectError("no", { kind: "other" });
  nft.beforeApply = () => Promise.reject(fault);
  assertEquals(await assertRejects(() => bring(nft)), fault);
  nft.beforeApply = () => Promise.reject(new RedirectError("no", { kind: "permission" }));
  assertEquals((await assertRejects(() => bring(nft), RedirectError)).kind, "permission");
});

Deno.test("where the table itself is refused no element is searched for", async () => {
  const nft = new FakeNft();
  const fault = new RedirectError("no", { kind: "other" });
  let checks = 0;
  nft.beforeApply = () => Promise.reject(fault);
  nft.check = () => {
    checks++;
    return Promise.reject(fault);
  };
  assertEquals(await assertRejects(() => bring(nft)), fault);
  assertEquals(checks, 1);
});

Deno.test("cleanup() removes the table, and is content when there is none", async () => {
  const nft = new FakeNft();
  await cleanup(nft);
  await bring(nft);
  await cleanup(nft);
  assertEquals(nft.table, undefined);
});
