import { assertEquals } from "@std/assert/equals";
import { servicePort } from "../../agent/model/testing/service_ports.ts";
import { diffPlans } from "../diff.ts";
import { type PlanElement, planServicePort } from "../plan.ts";
import { withEndpoints, withKind } from "../testing/endpoints.ts";
import { ChainPlan } from "./chain_plan.ts";
import { destinationChainName } from "./chains.ts";
import { heldPlan } from "./elements.ts";

const NAME = destinationChainName("10.96.0.10 . udp . 53", "outside");

function planOf(endpoints: readonly string[], affinityTimeoutSeconds = 0): PlanElement[] {
  const dns = servicePort({ protocol: "UDP", vips: ["10.96.0.10 53"], affinityTimeoutSeconds });
  return heldPlan(planServicePort(withEndpoints(dns, endpoints)));
}

function change(
  plan: ChainPlan,
  before: PlanElement[],
  after: PlanElement[],
): ReturnType<ChainPlan["apply"]> {
  return plan.apply(diffPlans(before, after));
}

Deno.test("a destination that comes has its chain, and branches that lead there; what is changed is its chain alone", () => {
  const plan = new ChainPlan("4");
  const one = planOf(["10.244.0.1 53"]);
  assertEquals(Object.fromEntries(change(plan, [], one).write), {
    "LIGHTPATH-V": ["-d 0.0.0.10/0.0.0.31 -g LIGHTPATH-V-10"],
    "LIGHTPATH-V-10": ["-d 0.0.0.0/0.0.3.224 -g LIGHTPATH-V-10-0"],
    "LIGHTPATH-V-10-0": [`-d 10.96.0.10/32 -p udp -m udp --dport 53 -g ${NAME}`],
    [NAME]: ["-p udp -j DNAT --to-destination 10.244.0.1:53"],
  });
  const three = planOf(["10.244.0.1 53", "10.244.0.2 53", "10.244.0.3 53"]);
  assertEquals([...change(plan, one, three).write], [[NAME, [
    "-p udp -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination 10.244.0.3:53",
    "-p udp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.0.2:53",
    "-p udp -j DNAT --to-destination 10.244.0.1:53",
  ]]]);
});

Deno.test("a destination that goes keeps its chains until the sets no longer lead there", () => {
  const plan = new ChainPlan("4");
  const before = planOf(["10.244.0.1 53"]);
  change(plan, [], before);
  assertEquals(change(plan, before, []).write.size, 0);
  const { write, remove } = plan.removeGone();
  assertEquals(Object.fromEntries(write), { "LIGHTPATH-V": [] });
  assertEquals(remove, [NAME, "LIGHTPATH-V-10-0", "LIGHTPATH-V-10"]);
});

Deno.test("clients that keep their endpoint are looked for in each endpoint's list, and put on one", () => {
  const plan = new ChainPlan("4");
  const rules = change(plan, [], planOf(["10.244.0.1 53", "10.244.0.2 53"], 10_800)).write.get(NAME) ?? [];
  assertEquals(
    rules.map((rule) => rule.replaceAll(/--name \S+ --mask 255.255.255.255 --rsource/g, "LIST")),
    [
      "-p udp -m recent --update --seconds 10800 --reap LIST -j DNAT --to-destination 10.244.0.2:53",
      "-p udp -m recent --update --seconds 10800 --reap LIST -j DNAT --to-destination 10.244.0.1:53",
      "-p udp -m statistic --mode random --probability 0.50000000000 -m recent --set LIST " +
      "-j DNAT --to-destination 10.244.0.2:53",
      "-p udp -m recent --set LIST -j DNAT --to-destination 10.244.0.1:53",
    ],
  );
});

Deno.test("a VIP that is somebody's endpoint is known as long as it is both", () => {
  const plan = new ChainPlan("4");
  const elements = (name: string, vip: string, endpoint: string): PlanElement[] =>
    heldPlan(
      planServicePort(withEndpoints(servicePort({ name, vips: [vip] }), [endpoint])),
    );
  const outer = elements("outer", "10.96.0.1 80", "10.96.0.2 80");
  const inner = elements("inner", "10.96.0.2 80", "10.244.0.1 8080");
  assertEquals(plan.apply({ delete: [], add: outer }).vipEndpoints, { come: [], gone: [] });
  assertEquals(plan.apply({ delete: [], add: inner }).vipEndpoints.come, ["10.96.0.2 . tcp . 80"]);
  assertEquals(plan.apply({ delete: outer, add: [] }).vipEndpoints.gone, ["10.96.0.2 . tcp . 80"]);
});

Deno.test("what is served otherwise to the inside has a chain and a tree of its own; clients keep their endpoint in both", () => {
  const plan = new ChainPlan("4");
  const local = withKind(
    servicePort({
      protocol: "UDP",
      vips: ["10.96.0.10 53"],
      externalTrafficPolicy: "Local",
      affinityTimeoutSeconds: 60,
    }),
    "ExternalIP",
  );
  const elements = heldPlan(
    planServicePort(withEndpoints(local, ["10.244.0.1 53", "10.244.0.2 53"], ["10.244.0.1 53"])),
  );
  const { write } = change(plan, [], elements);
  const inside = destinationChainName("10.96.0.10 . udp . 53", "inside");
  assertEquals(write.get("LIGHTPATH-IV-10-0"), [`-d 10.96.0.10/32 -p udp -m udp --dport 53 -g ${inside}`]);
  assertEquals([write.get(NAME)?.length, write.get(inside)?.length], [2, 4]);
  const lists = (chain: string): string[] =>
    (write.get(chain) ?? []).flatMap((rule) => /--update .*--name (\S+)/.exec(rule)?.[1] ?? []);
  // A client's endpoint is the same from either side.
  assertEquals(lists(inside).filter((list) => lists(NAME).includes(list)).length, 1);
  // Without one for the outside its chain goes, and the other stays.
  const elsewhere = heldPlan(
    planServicePort(withEndpoints(local, ["10.244.0.1 53", "10.244.0.2 53"], [])),
  );
  change(plan, elements, elsewhere);
  assertEquals(plan.removeGone().remove, [NAME, "LIGHTPATH-V-10-0", "LIGHTPATH-V-10"]);
  assertEquals(new Map(plan.chains()).get(inside)?.length, 4);
});
