import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { createLogger } from "../agent/log.ts";
import type { ElementContainer } from "./containers.ts";
import type { PlanDelta } from "./diff.ts";
import { ElementRoute, type ElementWriter } from "./element_route.ts";
import { createLayout } from "./layout.ts";
import { renderDelta, renderReplacement } from "./nft_script.ts";
import type { PlanElement } from "./plan.ts";
import { readTable, reconcile } from "./reconcile.ts";
import { RedirectError, type RedirectErrorKind } from "./redirect_error.ts";
import { FakeNft } from "./testing/fake_nft.ts";

const LAYOUT = createLayout({ tcp: 1666, http: 1667 });

function adding(...hosts: readonly number[]): PlanDelta {
  const add = hosts.map((host): PlanElement => ({
    container: "service-ips-4",
    key: `10.96.0.${host} . tcp . 80`,
    value: "4c51:1",
  }));
  return { delete: [], add };
}

/** Writes into the same table as the fake nft, and fails as it is told. */
class Writer implements ElementWriter {
  readonly written: PlanDelta[] = [];
  /** The kinds of its next failures. */
  failures: RedirectErrorKind[] = [];
  /** What it does not take. */
  readonly refuses = new Set<ElementContainer>();
  readonly #nft: FakeNft;

  constructor(nft: FakeNft) {
    this.#nft = nft;
  }

  takes(container: ElementContainer): boolean {
    return !this.refuses.has(container);
  }

  async write(delta: PlanDelta): Promise<void> {
    const kind = this.failures.shift();
    if (kind !== undefined) throw new RedirectError(`${kind}, says the writer`, { kind });
    this.written.push(delta);
    await this.#nft.apply(renderDelta(delta));
  }
}

/** A route over a table that is empty. */
async function bench(): Promise<{ nft: FakeNft; writer: Writer; route: ElementRoute; lines: string[] }> {
  const nft = new FakeNft();
  await nft.apply(renderReplacement(LAYOUT, []));
  const writer = new Writer(nft);
  const lines: string[] = [];
  const logger = createLogger({ level: "warn", format: "text", write: (line) => lines.push(line) });
  return { nft, writer, route: new ElementRoute(nft, { writer, logger }), lines };
}

Deno.test("without a better writer nft writes all", async () => {
  const nft = new FakeNft();
  await nft.apply(renderReplacement(LAYOUT, []));
  const route = new ElementRoute(nft);
  await route.write(adding(1));
  assertEquals([await route.writeSomehow(adding(2)), route.prefers("envoy-ready")], [1, false]);
  assertEquals((await readTable(nft))?.elements.length, 2);
});

Deno.test("a change goes to the writer alone, and what that refuses is told", async () => {
  const { nft, writer, route } = await bench();
  await route.write(adding(1));
  assertEquals(writer.written, [adding(1)]);
  const kinds = ["not-found", "exists", "other", "busy", "permission", "unsupported", "unknown"] as const;
  for (const kind of kinds) {
    writer.failures = [kind];
    const error = await assertRejects(() => route.write(adding(2)), RedirectError);
    assertEquals(error.kind, kind);
  }
  assertEquals((await readTable(nft))?.elements.length, 1);
});

Deno.test("what is too large for the writer is nft's, in parts where need be", async () => {
  const { nft, writer, route, lines } = await bench();
  for (let time = 0; time < 5; time++) {
    writer.failures = ["too-large", "too-large"];
    await route.write(adding(time));
    await route.writeSomehow(adding(10 + time));
  }
  assertEquals([writer.written, (await readTable(nft))?.elements.length, lines], [[], 10, []]);
});

Deno.test("a change of which the writer does not take all is nft's as a whole", async () => {
  const { nft, writer, route } = await bench();
  writer.refuses.add("node-addresses-4");
  const address: PlanElement = { container: "node-addresses-4", key: "192.0.2.1", value: "" };
  await route.write({ delete: [], add: [address, ...adding(1).add] });
  await route.write({ delete: [address], add: adding(2).add });
  assertEquals(await route.writeSomehow({ delete: [], add: [address] }), 1);
  assertEquals([writer.written, (await readTable(nft))?.elements.length], [[], 3]);
});

Deno.test("a comparison asks nft about what the writer refuses for no other reason than its value", async () => {
  const { nft, writer, route } = await bench();
  writer.failures = ["other"];
  assertEquals(await route.writeSomehow(adding(1)), 1);
  assertEquals((await readTable(nft))?.elements.length, 1);
  for (const kind of ["not-found", "exists", "busy", "permission", "unsupported", "unknown"] as const) {
    writer.failures = [kind];
    assertEquals((await assertRejects(() => route.writeSomehow(adding(2)), RedirectError)).kind, kind);
  }
});

Deno.test("a writer that refuses what nft takes, again and again, is given up, once and aloud", async () => {
  const { writer, route, lines } = await bench();
  for (let time = 0; time < 5; time++) {
    writer.failures = ["other"];
    await route.writeSomehow(adding(time));
  }
  assertEquals([route.prefers("envoy-ready"), writer.written, lines.length], [false, [], 1]);
  assertEquals(/nft writes all changes.*other, says the writer/.test(lines[0] ?? ""), true, lines[0]);
});

Deno.test("a writer that does not tell what became of changes is given up, unless it has proven itself in between", async () => {
  const { writer, route, lines } = await bench();
  const fail = async (): Promise<void> => {
    writer.failures = ["unknown"];
    await assertRejects(() => route.write(adding(255)), RedirectError);
  };
  await fail();
  await fail();
  for (let time = 0; time < 100; time++) await route.write(adding(time));
  await fail();
  await fail();
  assertEquals([route.prefers("envoy-ready"), lines], [true, []]);
  await fail();
  assertEquals([route.prefers("envoy-ready"), lines.length], [false, 1]);
  await route.write(adding(200));
  assertEquals(writer.written.length, 100);
});

Deno.test("what nft refuses as well is no fault of the writer's", async () => {
  const { nft, writer, route } = await bench();
  const bad: PlanElement = { container: "service-ips-4", key: "10.96.0.9 . tcp . 80", value: "nonsense" };
  for (let time = 0; time < 5; time++) {
    writer.failures = ["other"];
    const plan = (): PlanElement[] => [...adding(time).add, bad];
    const { refused } = await reconcile({ nft, layout: LAYOUT, elements: route, plan });
    assertEquals(refused.map(({ element }) => element), [bad]);
  }
  assertEquals([route.prefers("envoy-ready"), writer.written.length], [true, 5]);
});

Deno.test("reconcile() makes a table that is missing by nft, and fills it by the writer", async () => {
  const nft = new FakeNft();
  const writer = new Writer(nft);
  const lines: string[] = [];
  const logger = createLogger({ level: "warn", format: "text", write: (line) => lines.push(line) });
  const elements = new ElementRoute(nft, { writer, logger });
  // What the writer does not take is in the table from the beginning.
  const address: PlanElement = { container: "node-addresses-4", key: "192.0.2.1", value: "" };
  writer.refuses.add(address.container);
  const all = [address, ...adding(1, 2).add];
  const plan = (): readonly PlanElement[] => all;
  const first = await reconcile({ nft, layout: LAYOUT, elements, plan });
  assertEquals([first.transactions, first.add, first.delete], [2, all, []]);
  assertEquals([nft.applied[0], writer.written], [renderReplacement(LAYOUT, [address]), [adding(1, 2)]]);
  assertEquals((await reconcile({ nft, layout: LAYOUT, elements, plan })).transactions, 0);
  // A table of another layout is replaced as a whole, as without the writer.
  const layout = createLayout({ tcp: 1666, http: 1777 });
  assertEquals((await reconcile({ nft, layout, elements, plan })).transactions, 1);
  assertEquals([nft.applied.at(-1), writer.written.length], [renderReplacement(layout, all), 1]);
});
