/**
 * Netlink against a real kernel: what is written is what nft reads, transactions are whole, and refusals say what was refused.
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { silentLogger } from "../agent/log.ts";
import { Random } from "../agent/model/testing/random.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { CONTAINERS, type ElementContainer } from "./containers.ts";
import { compareElements, diffPlans, isEmptyDelta, type PlanDelta } from "./diff.ts";
import { ElementRoute } from "./element_route.ts";
import { createLayout, TABLE } from "./layout.ts";
import type { Netlink } from "./netlink/open_netlink.ts";
import { renderReplacement } from "./nft_script.ts";
import { type NodeState, type PlanElement, planNode, planServicePort } from "./plan.ts";
import { readTable } from "./reconcile.ts";
import { RedirectError } from "./redirect_error.ts";
import { GOLDEN_PLAN } from "./testing/golden_plan.ts";
import { type NetlinkBuffers, openNetlinkIn } from "./testing/netlink_in_namespace.ts";
import { labUnavailable, NodeLab } from "./testing/node_lab.ts";
import { withEndpoints } from "./testing/endpoints.ts";
import { RandomPorts } from "./testing/random_ports.ts";

const LAYOUT = renderReplacement(createLayout({ tcp: 1666, http: 1667 }), []);

/** A lab's node with an empty table, and netlink. */
class Bench implements AsyncDisposable {
  readonly lab: NodeLab;
  readonly netlink: Netlink;
  /** The same, with nft for what is left to it. */
  readonly route: ElementRoute;

  private constructor(lab: NodeLab, netlink: Netlink) {
    this.lab = lab;
    this.netlink = netlink;
    this.route = new ElementRoute(lab.nft, { writer: netlink.elements, logger: silentLogger });
  }

  static async create(buffers?: NetlinkBuffers): Promise<Bench> {
    const lab = await NodeLab.createWith("nft started");
    await lab.nft.apply(LAYOUT);
    return new Bench(lab, await openNetlinkIn(lab.node, buffers));
  }

  /** The elements as nft reads them. */
  async elements(): Promise<readonly PlanElement[]> {
    return (await readTable(this.lab.nft))?.elements.toSorted(compareElements) ?? [];
  }

  /** Writes what is refused; returns the error's kind, and its line. */
  async refused(delta: Partial<PlanDelta>): Promise<[kind: string, line: string | undefined]> {
    const error = await assertRejects(
      () => this.netlink.elements.write({ delete: [], add: [], ...delta }),
      RedirectError,
    );
    return [error.kind, error.line];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.netlink[Symbol.dispose]();
    await this.lab[Symbol.asyncDispose]();
  }
}

function testInLab(name: string, fn: () => Promise<void>): void {
  testUnless(`kernel, netlink: ${name}`, { unavailable: labUnavailable }, fn);
}

function service(host: number, value = "4c51:1"): PlanElement {
  return { container: "service-ips-4", key: `10.9.${host >> 8}.${host & 255} . tcp . 80`, value };
}

/** What only Envoy understands has no endpoint for the inside either, where there is none for the outside: rare at random. */
const ELSEWHERE = withEndpoints(
  servicePort({
    name: "elsewhere",
    appProtocol: "redis",
    nodePort: 30083,
    families: ["IPv4", "IPv6"],
    externalTrafficPolicy: "Local",
  }),
  ["10.244.0.5 8080", "fd00:244::5 8080"],
);

function randomNode(random: Random): NodeState {
  const some = (...of: readonly string[]): string[] =>
    random.shuffled(of).slice(0, random.integer(0, of.length));
  const held = [
    { address: "10.96.0.1", family: "IPv4", port: 80 },
    { address: "10.96.0.2", family: "IPv4", port: 81 },
    { address: "fd00::1", family: "IPv6", port: 80 },
  ] as const;
  return {
    addresses: { IPv4: some("192.0.2.1", "192.0.2.2"), IPv6: some("2001:db8::1", "2001:db8::2") },
    envoyReady: random.chance(0.5),
    serviceCIDRs: { IPv4: some("10.96.0.0/16", "10.97.0.0/16"), IPv6: some("fd00:96::/108") },
    envoyAloneWith: random.chance(0.5) ? undefined : held.filter(() => random.chance(0.5)),
  };
}

testInLab("whatever changes, nft reads the plan; each container is written", async () => {
  await using bench = await Bench.create();
  const filled = new Set<ElementContainer>();
  for (let seed = 1; seed <= 12; seed++) {
    const random = new Random(seed);
    const ports = new RandomPorts(random);
    let written = await bench.elements();
    for (let step = 0; step < 6; step++) {
      ports.step();
      const all = [...ports.servicePorts(), ...random.chance(0.5) ? [ELSEWHERE] : []];
      const plan = [...planNode(randomNode(random)), ...all.flatMap(planServicePort)];
      const wanted = diffPlans([], plan).add;
      const delta = diffPlans(written, wanted);
      if (!isEmptyDelta(delta)) await bench.route.write(delta);
      written = await bench.elements();
      assertEquals(written, wanted, `seed ${seed}, step ${step}`);
      for (const { container } of written) filled.add(container);
    }
  }
  const ofAPlan = CONTAINERS.filter(({ dynamicSize }) => dynamicSize === undefined).map(({ name }) => name);
  assertEquals(ofAPlan.filter((name) => !filled.has(name)), []);
  // All of it without nft, unless a change has elements that are left to it.
  const left = ofAPlan.filter((name) => !bench.netlink.elements.takes(name));
  if (left.length === 0) assertEquals(bench.lab.nft.applied, 1);
});

testInLab("a plan of any size is one transaction, and as quickly gone", async () => {
  await using bench = await Bench.create();
  const golden = diffPlans([], GOLDEN_PLAN).add.filter(({ container }) =>
    bench.netlink.elements.takes(container)
  );
  const many = Array.from({ length: 20_000 }, (_, index): PlanElement => ({
    container: "endpoints-ips-4",
    key: `10.9.${index >> 8}.${index & 255} . tcp . 80 . 4c54:1`,
    value: "10.244.0.5 . 8080",
  }));
  const all = [...golden, ...many].sort(compareElements);
  await bench.netlink.elements.write({ delete: [], add: all });
  assertEquals((await bench.elements()).length, all.length);
  // The last of so many is refused: nothing is changed.
  const [last] = all.slice(-1);
  assertEquals(
    (await bench.refused({ delete: [...all, ...(last === undefined ? [] : [last])] }))[0],
    "not-found",
  );
  assertEquals((await bench.elements()).length, all.length);
  await bench.netlink.elements.write({ delete: all, add: golden });
  assertEquals(await bench.elements(), golden);
});

testInLab("where one element is refused, none is written, and it is named", async () => {
  await using bench = await Bench.create();
  await bench.netlink.elements.write({ delete: [], add: [service(1)] });
  const line = (verb: string, { container, key, value }: PlanElement): string =>
    `${verb} element ${TABLE} ${container} { ${key}${verb === "add" && value !== "" ? ` : ${value}` : ""} }`;
  const source = (range: string): PlanElement => ({
    container: "allowed-sources-4",
    key: `10.9.0.1 . tcp . 80 . ${range}`,
    value: "",
  });
  const node: PlanElement = { container: "node-addresses-4", key: "192.0.2.1", value: "" };
  for (
    const [kind, verb, bad] of [
      ["exists", "add", service(1, "4c52:1")],
      ["not-found", "delete", service(9)],
      ["exists", "add", source("10.0.0.0/9")],
      ["other", "add", service(9, "nonsense")],
    ] as const
  ) {
    const good = verb === "add" ? [node, service(2)] : [service(1)];
    const beside = bad.container === "allowed-sources-4" ? [source("10.0.0.0/8")] : [];
    const elements = [...good, ...beside, bad];
    const refused = await bench.refused(verb === "add" ? { add: elements } : { delete: elements });
    assertEquals(refused, [kind, kind === "other" ? `${bad.key} : ${bad.value}` : line(verb, bad)]);
    assertEquals(await bench.elements(), [service(1)], line(verb, bad));
  }
  // What is there already as it is to be is no fault, as with nft.
  await bench.netlink.elements.write({ delete: [], add: [service(1), service(2)] });
  assertEquals(await bench.elements(), [service(1), service(2)]);
});

testInLab("it notices at once what others do to the table", async () => {
  await using bench = await Bench.create();
  const { netlink, lab } = bench;
  await lab.nftByHand("delete", "table", ...TABLE.split(" "));
  assertEquals(await bench.refused({ add: [service(1)] }), ["not-found", undefined]);
  await lab.nft.apply(LAYOUT);
  await netlink.elements.write({ delete: [], add: [service(1)] });
  await lab.nftByHand("flush", "map", ...TABLE.split(" "), "service-ips-4");
  assertEquals((await bench.refused({ delete: [service(1)] }))[0], "not-found");
  // The same name, another type of key.
  await lab.nftByHand(
    `delete table ${TABLE}; add table ${TABLE}; add map ${TABLE} service-ips-4 { type ipv4_addr : classid; }`,
  );
  assertEquals((await bench.refused({ add: [service(1)] }))[0], "other");
  await lab.nftByHand("delete", "table", ...TABLE.split(" "));
  await lab.nft.apply(LAYOUT);
  await netlink.elements.write({ delete: [], add: [service(1)] });
  assertEquals(await bench.elements(), [service(1)]);
});

testInLab("who says that Envoy is ready empties what packets have filled", async () => {
  await using bench = await Bench.create();
  const ready: PlanElement = { container: "envoy-ready", key: "tcp", value: "" };
  const gone = (): Promise<string> => bench.lab.nftByHand("list", "set", ...TABLE.split(" "), "envoy-gone");
  await bench.lab.nftByHand(`add element ${TABLE} envoy-gone { tcp timeout 60s }`);
  await bench.netlink.elements.write({ delete: [], add: [service(1)] });
  assertEquals(/elements/.test(await gone()), true);
  await bench.netlink.elements.write({ delete: [], add: [ready] });
  assertEquals(/elements/.test(await gone()), false);
});

testInLab("what is larger than the socket takes is told before it is sent", async () => {
  await using bench = await Bench.create({ send: 4_096 });
  for (const length of [400, 4_000]) {
    const add = Array.from({ length }, (_, host) => service(host));
    assertEquals((await bench.refused({ add }))[0], "too-large");
  }
  const add = Array.from({ length: 100 }, (_, host) => service(host));
  await bench.netlink.elements.write({ delete: [], add });
  assertEquals((await bench.elements()).length, 100);
});

testInLab("more refusals than there is room for are a refusal, and the next change is answered", async () => {
  await using bench = await Bench.create({ receive: 1 });
  // 40 messages, and room for two or three answers.
  const missing = Array.from({ length: 20_000 }, (_, host) => service(host));
  assertEquals((await bench.refused({ delete: missing }))[0], "not-found");
  await bench.netlink.elements.write({ delete: [], add: [service(1)] });
  assertEquals(await bench.elements(), [service(1)]);
});
