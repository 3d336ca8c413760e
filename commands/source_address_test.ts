import { assertEquals } from "@std/assert/equals";
import type { Logger } from "../agent/log.ts";
import { ABSENT, type SourceAddress } from "../xds/mod.ts";
import { SourceAddressChoice } from "./source_address.ts";

const PRESERVE: SourceAddress = { kind: "preserve", mark: 0x40 };

interface Chosen {
  readonly choice: SourceAddressChoice;
  readonly node: {
    kernel: string | undefined;
    routes: string | undefined;
    envoy: string | undefined | typeof ABSENT;
    asked: number;
  };
  readonly said: readonly string[];
  readonly decided: readonly string[];
}

/** A choice with what it said and did; its surroundings can be altered. */
function choose(wanted: SourceAddress): Chosen {
  const said: string[] = [];
  const decided: string[] = [];
  const node: Chosen["node"] = { kernel: undefined, routes: undefined, envoy: undefined, asked: 0 };
  function note(level: string): Logger["info"] {
    return (_message, fields = {}) => void said.push([level, ...Object.values(fields).slice(0, 1)].join(" "));
  }
  const logger = { info: note("info"), warn: note("warn") } as unknown as Logger;
  const choice = new SourceAddressChoice({
    wanted,
    whyNotKernel: () => node.kernel,
    ensureRoutes: () => {
      node.asked++;
      return node.routes === undefined ? Promise.resolve() : Promise.reject(new Error(node.routes));
    },
    whyNotEnvoy: () => node.envoy,
    onChange: ({ kind }, because) => decided.push(because === undefined ? kind : `${kind} ${because}`),
    logger,
    intervalMs: 1_000,
  });
  return { choice, node, said, decided };
}

Deno.test("SourceAddressChoice: what is wanted, where nothing lacks; and that is nothing to speak of", async () => {
  const { choice, said, decided } = choose(PRESERVE);
  await choice.look();
  await choice.look();
  assertEquals([decided, said, choice.lacking], [["preserve"], [], undefined]);
});

Deno.test("SourceAddressChoice: the node's where something lacks, said once for each reason", async () => {
  const { choice, node, said, decided } = choose(PRESERVE);
  node.envoy = "no capability";
  await choice.look();
  await choice.look();
  node.routes = "no ip";
  await choice.look();
  assertEquals(choice.lacking, "no ip");
  node.kernel = "an old kernel";
  await choice.look();
  node.kernel = node.envoy = node.routes = undefined;
  await choice.look();
  assertEquals(decided, ["node no capability", "node no ip", "node an old kernel", "preserve"]);
  assertEquals(said, ["warn no capability", "warn no ip", "warn an old kernel", "info"]);
});

Deno.test("SourceAddressChoice: before there is an Envoy nothing is decided; the last look holds", async () => {
  const { choice, node, said, decided } = choose(PRESERVE);
  node.envoy = ABSENT;
  await choice.look();
  assertEquals([decided, said], [[], []]);
  const first = choice.look();
  node.envoy = "no capability";
  await Promise.all([first, choice.look()]);
  assertEquals(decided.at(-1), "node no capability");
});

Deno.test("SourceAddressChoice: the node's where that is wanted; the kernel is not asked", async () => {
  const { choice, node, said, decided } = choose({ kind: "node" });
  node.routes = "no ip";
  await choice.look();
  await choice.run(new AbortController().signal);
  assertEquals([decided, said, node.asked], [["node"], [], 0]);
});
