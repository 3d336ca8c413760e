import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { Random } from "../../agent/model/testing/random.ts";
import { servicePort } from "../../agent/model/testing/service_ports.ts";
import { diffChanges, diffPlans } from "../diff.ts";
import { type PlanElement, planNode, planServicePort } from "../plan.ts";
import { SharedElements } from "../shared_elements.ts";
import { withEndpoints } from "../testing/endpoints.ts";
import { FakePrograms } from "../testing/fake_programs.ts";
import { RandomPorts } from "../testing/random_ports.ts";
import { createIptablesBackend } from "./iptables_backend.ts";
import type { RedirectBackend } from "../backend.ts";

const PORTS = { tcp: 1666, http: 1667 };
const NODE = planNode({ addresses: { IPv4: ["192.168.0.2"], IPv6: ["2001:db8::2"] }, envoyReady: true });
const DNS = servicePort({ name: "dns", protocol: "UDP", vips: ["10.96.0.53 53"], carrier: "kernel" });
const PUBLIC_DNS = servicePort({ name: "public", protocol: "UDP", nodePort: 30053, families: ["IPv4"] });

function backendOf(programs: FakePrograms, options = {}): RedirectBackend {
  return createIptablesBackend({ programs, families: ["4", "6"], ports: PORTS, ...options });
}

function planOf(endpoints: readonly string[]): PlanElement[] {
  return [...NODE, ...planServicePort(withEndpoints(DNS, endpoints))];
}

Deno.test("reconcile() makes everything, and a second time writes nothing", async () => {
  const programs = new FakePrograms();
  const first = await backendOf(programs).reconcile(() => planOf(["10.244.0.1 53"]));
  assert(first.layoutDifferences.length > 0);
  const written = programs.written.length;
  const second = await backendOf(programs).reconcile(() => planOf(["10.244.0.1 53"]));
  assertEquals(second, { delete: [], add: [], refused: [], transactions: 0, layoutDifferences: [] });
  assertEquals(programs.written.length, written);
});

Deno.test("an endpoint more is one step of one chain; Envoy's readiness is one of the sets, for all Services", async () => {
  const programs = new FakePrograms();
  const backend = backendOf(programs);
  const [one, two] = [planOf(["10.244.0.1 53"]), planOf(["10.244.0.1 53", "10.244.0.2 53"])];
  await backend.reconcile(() => one);
  const written = programs.written.length;
  await backend.apply(diffPlans(one, two));
  assertEquals(programs.written.slice(written).map((text) => text.replaceAll(/D-[0-9a-f]{16}/g, "D-HASH")), [
    `iptables-4 *nat
:LIGHTPATH-D-HASH - [0:0]
-A LIGHTPATH-D-HASH -p udp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.0.2:53
-A LIGHTPATH-D-HASH -p udp -j DNAT --to-destination 10.244.0.1:53
COMMIT
`,
  ]);
  const ready = NODE.filter(({ container }) => container === "envoy-ready");
  await backend.apply({ delete: ready, add: [] });
  await backend.apply({ delete: [], add: ready });
  assertEquals(programs.written.slice(-2), [
    `ipset del lightpath-ready-4 0.0.0.0/1
del lightpath-ready-4 128.0.0.0/1
del lightpath-ready-6 ::/1
del lightpath-ready-6 8000::/1
`,
    `ipset add lightpath-ready-4 0.0.0.0/1
add lightpath-ready-4 128.0.0.0/1
add lightpath-ready-6 ::/1
add lightpath-ready-6 8000::/1
flush lightpath-gone-4
flush lightpath-gone-6
`,
  ]);
});

Deno.test("what comes has its chains before the sets lead there, what goes after", async () => {
  const programs = new FakePrograms();
  const backend = backendOf(programs);
  await backend.reconcile(() => NODE);
  const dns = planServicePort(withEndpoints(DNS, ["10.244.0.1 53"]));
  const steps = async (delta: Parameters<typeof backend.apply>[0]): Promise<string[]> => {
    const written = programs.written.length;
    await backend.apply(delta);
    return programs.written.slice(written).map((text) => text.split(" ", 1)[0] ?? "");
  };
  assertEquals(await steps({ delete: [], add: dns }), ["iptables-4", "ipset"]);
  assertEquals(await steps({ delete: dns, add: [] }), ["ipset", "iptables-4"]);
});

Deno.test("whatever changed in between, what is in the kernel is what the last plan alone would have made", async () => {
  const random = new Random(11);
  for (let round = 0; round < 12; round++) {
    const programs = new FakePrograms();
    const backend = backendOf(programs);
    const ports = new RandomPorts(random);
    const shared = new SharedElements();
    await backend.reconcile(() => NODE);
    for (let step = 0; step < 25; step++) {
      await backend.apply(diffChanges(ports.step(), shared));
      const plan = [...NODE, ...[...ports.servicePorts()].flatMap(planServicePort)];
      const found = await backendOf(programs).reconcile(() => plan);
      const { transactions, add, delete: unexpected, layoutDifferences } = found;
      assertEquals(
        { transactions, add, unexpected, layoutDifferences },
        { transactions: 0, add: [], unexpected: [], layoutDifferences: [] },
        `round ${round}, step ${step}`,
      );
    }
  }
});

for (
  const [what, tamper] of [
    ["an entry is deleted", (programs: FakePrograms): void => {
      programs.sets.get("lightpath-kernel-4")?.entries.clear();
    }],
    ["half of everybody is deleted", (programs: FakePrograms): void => {
      programs.sets.get("lightpath-ready-6")?.entries.delete("8000::/1");
    }],
    ["everybody of a family is deleted", (programs: FakePrograms): void => {
      programs.sets.get("lightpath-ready-6")?.entries.clear();
    }],
    ["half of a NodePort is deleted", (programs: FakePrograms): void => {
      programs.sets.get("lightpath-np-kernel-4")?.entries.delete("128.0.0.0/1,udp:30053");
    }],
    ["a rule of a destination is deleted", (programs: FakePrograms): void => {
      for (const [name, rules] of programs.tables["4"].get("nat") ?? []) {
        if (name.startsWith("LIGHTPATH-D-")) rules.pop();
      }
    }],
    ["a rule of the constant part is deleted", (programs: FakePrograms): void => {
      programs.tables["4"].get("filter")?.get("LIGHTPATH-UNSERVED")?.shift();
    }],
    ["a rule of somebody else's is put into a chain", (programs: FakePrograms): void => {
      programs.tables["6"].get("nat")?.get("LIGHTPATH")?.unshift("-j RETURN");
    }],
    ["the way to our chains is deleted", (programs: FakePrograms): void => {
      programs.tables["4"].get("nat")?.get("PREROUTING")?.shift();
    }],
    ["the way to our chains is there twice", (programs: FakePrograms): void => {
      const rules = programs.tables["4"].get("nat")?.get("OUTPUT");
      rules?.push(...rules);
    }],
    ["a set is of another type", (programs: FakePrograms): void => {
      programs.sets.set("lightpath-node-4", { type: "hash:net family inet", entries: new Set() });
    }],
    ["a set and a chain are of another version", (programs: FakePrograms): void => {
      programs.sets.set("lightpath-old-4", { type: "hash:ip family inet", entries: new Set() });
      programs.tables["4"].get("nat")?.set("LIGHTPATH-OLD", [
        "-m set --match-set lightpath-old-4 dst -j RETURN",
      ]);
    }],
  ] as const
) {
  Deno.test(`a comparison mends it when ${what}`, async () => {
    const programs = new FakePrograms();
    const plan = [...planOf(["10.244.0.1 53", "10.244.0.2 53"]), ...planServicePort(PUBLIC_DNS)];
    await backendOf(programs).reconcile(() => plan);
    const whole = [await programs.saveTables("4"), await programs.saveTables("6")];
    tamper(programs);
    const found = await backendOf(programs).reconcile(() => plan);
    assert(found.transactions > 0);
    assertEquals(
      [await programs.saveTables("4"), await programs.saveTables("6")].map(sorted),
      whole.map(sorted),
    );
    assertEquals((await backendOf(programs).reconcile(() => plan)).transactions, 0);
    assertEquals(programs.sets.get("lightpath-ready-6")?.entries.size, 2);
  });
}

function sorted(text: string): string[] {
  return text.split("\n").sort();
}

Deno.test("cleanup() removes what is ours and nothing else, and is content when there is nothing", async () => {
  const programs = new FakePrograms();
  programs.tables["4"].get("nat")?.get("PREROUTING")?.push("-j KUBE-SERVICES");
  programs.sets.set("other", { type: "hash:ip family inet", entries: new Set(["10.0.0.1"]) });
  const before = [await programs.saveTables("4"), await programs.saveTables("6"), await programs.saveSets()];
  await backendOf(programs).reconcile(() => planOf(["10.244.0.1 53"]));
  await backendOf(programs).cleanup();
  const after = [await programs.saveTables("4"), await programs.saveTables("6"), await programs.saveSets()];
  assertEquals(after, before);
  const written = programs.written.length;
  await backendOf(programs).cleanup();
  assertEquals(programs.written.length, written);
});

Deno.test("of a family that is not served nothing is written", async () => {
  const programs = new FakePrograms();
  const backend = backendOf(programs, { families: ["4"] });
  await backend.reconcile(() => planOf(["10.244.0.1 53", "fd00::1 53"]));
  assertEquals(programs.written.filter((text) => text.startsWith("iptables-6") || /-6 /.test(text)), []);
});

Deno.test("who is a pod stands in constant rules: other ranges write them anew, ranges within others are left out", async () => {
  const programs = new FakePrograms();
  const reconcile = async (IPv4: readonly string[]): Promise<number> =>
    (await backendOf(programs, { clusterCIDRs: { IPv4, IPv6: [] } }).reconcile(() => NODE)).transactions;
  assert(await reconcile(["10.244.0.0/16", "10.244.7.0/24", "10.10.0.0/16"]) > 0);
  const rules = programs.tables["4"].get("nat")?.get("LIGHTPATH-CLUSTERIP") ?? [];
  assertEquals(rules.map((rule) => rule.replace(/-m comment --comment "[^"]*" /, "")), [
    "-s 10.244.0.0/16 -j RETURN",
    "-s 10.10.0.0/16 -j RETURN",
    "-j MARK --set-xmark 0x40/0x40",
  ]);
  assertEquals(programs.tables["6"].get("nat")?.has("LIGHTPATH-CLUSTERIP"), false);
  assertEquals(await reconcile(["10.244.0.0/16", "10.10.0.0/16"]), 0);
  assert(await reconcile([]) > 0);
  assertEquals(programs.tables["4"].get("nat")?.has("LIGHTPATH-CLUSTERIP"), false);
});
