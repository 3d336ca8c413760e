/**
 * A kept nft against a real kernel: transactions are whole, what others do is noticed, and no fault loses a change.
 * @module
 */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { delay } from "@std/async/delay";
import { silentLogger } from "../agent/log.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { TABLE } from "./layout.ts";
import { RedirectError } from "./redirect_error.ts";
import { createNftSession, type NftSession, type NftSessionOptions } from "./nft_session.ts";
import { parseRuleset } from "./parse_ruleset.ts";
import { createNftablesBackend } from "./nftables_backend.ts";
import { createRedirector } from "./redirector.ts";
import { labUnavailable, NODE, NodeLab } from "./testing/node_lab.ts";
import { changes } from "./testing/random_ports.ts";

const BASE = `add table ${TABLE}
add map ${TABLE} m { type ipv4_addr . inet_proto . inet_service : verdict; }
add chain ${TABLE} a
add chain ${TABLE} b
`;

/** A lab's node with a kept nft, whose starts are noted. */
class Bench implements AsyncDisposable {
  readonly lab: NodeLab;
  readonly nft: NftSession;
  readonly #folder: string;

  private constructor(lab: NodeLab, folder: string, options: Partial<NftSessionOptions>) {
    this.lab = lab;
    this.#folder = folder;
    this.nft = createNftSession({
      nftPath: `${folder}/nft`,
      argvPrefix: lab.node.enter([]),
      logger: silentLogger,
      ...options,
    });
  }

  static async create(options: Partial<NftSessionOptions> = {}): Promise<Bench> {
    const lab = await NodeLab.create();
    const folder = await Deno.makeTempDir({ prefix: "lightpath-nft-" });
    // The shell becomes nft, so its id is nft's: that in the lab's namespace of processes.
    const script = `#!/bin/sh\necho "$$ $*" >>${folder}/starts\nexec ${lab.nftPath} "$@"\n`;
    await Deno.writeTextFile(`${folder}/nft`, script, { mode: 0o755 });
    return new Bench(lab, folder, options);
  }

  /** Sends a signal to the `nft -i` started last. */
  async signal(name: string): Promise<void> {
    const pid = (await this.starts()).findLast(({ args }) => args === "-i")?.pid;
    await this.lab.node.run(["sh", "-c", `kill -${name} ${pid}`]);
  }

  /** How many nft run. */
  async running(): Promise<number> {
    const names = await this.lab.node.run(["sh", "-c", "cat /proc/[0-9]*/comm"]);
    return names.split("\n").filter((name) => name === "nft").length;
  }

  /** Every `nft` started: process id in the lab, and arguments. */
  async starts(): Promise<{ readonly pid: number; readonly args: string }[]> {
    const lines = (await Deno.readTextFile(`${this.#folder}/starts`)).trim().split("\n");
    return lines.map((line) => ({ pid: parseInt(line), args: line.slice(line.indexOf(" ") + 1) }));
  }

  /** The elements of map `m`, shortened. */
  async elements(): Promise<string[]> {
    const text = await this.lab.nftByHand("list", "map", ...TABLE.split(" "), "m");
    return [...text.matchAll(/10\.9\.0\.(\d+) \. tcp \. 80 : goto (\w)/g)].map(([, host, to]) =>
      `${host}${to}`
    )
      .sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nft[Symbol.asyncDispose]();
    await this.lab[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function key(host: number): string {
  return `10.9.0.${host} . tcp . 80`;
}

function add(host: number, to = "a"): string {
  return `add element ${TABLE} m { ${key(host)} : goto ${to} }\n`;
}

function remove(host: number): string {
  return `delete element ${TABLE} m { ${key(host)} }\n`;
}

function testInLab(name: string, fn: () => Promise<void>): void {
  testUnless(`kernel, nft kept: ${name}`, { unavailable: labUnavailable }, fn);
}

testInLab("one nft performs all changes, each as one transaction", async () => {
  await using bench = await Bench.create();
  await bench.nft.apply(BASE);
  await bench.nft.apply(add(1) + add(2));
  await bench.nft.apply(remove(1) + add(1, "b") + add(3));
  assertEquals(await bench.elements(), ["1b", "2a", "3a"]);
  assertEquals((await bench.starts()).map(({ args }) => args), ["-i"]);
});

testInLab("where one statement is refused, by whomever, none happens", async () => {
  await using bench = await Bench.create();
  await bench.nft.apply(BASE + add(1));
  for (
    const [bad, kind] of [
      [remove(9), "not-found"],
      [add(1, "b"), "exists"],
      [add(9, "nowhere"), "not-found"],
      [`add element ${TABLE} nowhere { ${key(9)} : goto a }\n`, "not-found"],
      [`add element ${TABLE} m { 10.9.0.9 . tcp . 70000 : goto a }\n`, "other"],
      [`add element ${TABLE} m { 10.9.0.9 . tcp }\n`, "other"],
      [`add element ${TABLE} m 10.9.0.9 }\n`, "other"],
      [`add chain ${TABLE} c { type nat hook nowhere priority 0; }\n`, "other"],
      [`delete table ${TABLE}x\n`, "not-found"],
    ] as const
  ) {
    for (const script of [bad + add(2), add(2) + bad, add(2) + bad + remove(1)]) {
      const error = await assertRejects(() => bench.nft.apply(script), RedirectError);
      assertEquals([error.kind, `${error.line}\n`], [kind, bad], `${script}${error.stderr}`);
      assert(!error.stderr.includes("element"), error.stderr);
      assertEquals(await bench.elements(), ["1a"], script);
    }
  }
  await bench.nft.apply(add(2));
  assertEquals(await bench.elements(), ["1a", "2a"]);
});

testInLab("it notices at once what others do to the table", async () => {
  await using bench = await Bench.create();
  const { nft, lab } = bench;
  await nft.apply(BASE + add(1));
  await lab.nftByHand("delete", "table", ...TABLE.split(" "));
  assertEquals((await assertRejects(() => nft.apply(add(2)), RedirectError)).kind, "not-found");
  await nft.apply(BASE + add(1));
  await nft.apply(add(2));
  await lab.nftByHand(remove(2));
  assertEquals((await assertRejects(() => nft.apply(remove(2)), RedirectError)).kind, "not-found");
  await nft.apply(add(2));
  await lab.nftByHand(add(3, "b"));
  assertEquals((await assertRejects(() => nft.apply(add(3)), RedirectError)).kind, "exists");
  await nft.apply(add(4));
  // The same name, another type of key: what was known of the map must not be used.
  await lab.nftByHand(
    `delete table ${TABLE}; ${BASE.replace("ipv4_addr . inet_proto . inet_service", "ipv4_addr")}`,
  );
  await assertRejects(() => nft.apply(add(5)), RedirectError);
  await nft.apply(`add element ${TABLE} m { 10.9.0.5 : goto a }\n`);
});

testInLab(
  "a table that is replaced by others between two changes takes the next without a new nft",
  async () => {
    await using bench = await Bench.create();
    await bench.nft.apply(BASE);
    for (let time = 0; time < 5; time++) {
      await bench.lab.nftByHand(`delete table ${TABLE}; ${BASE}`);
      await bench.nft.apply(add(time));
      assertEquals(await bench.elements(), [`${time}a`]);
    }
    assertEquals((await bench.starts()).length, 1);
  },
);

testInLab("a long refusal does not stop it", async () => {
  await using bench = await Bench.create();
  await bench.nft.apply(BASE);
  // nft repeats the whole script for each of these.
  const many = Array.from({ length: 130 }, (_, index) => remove(index)).join("");
  const error = await assertRejects(() => bench.nft.apply(many), RedirectError);
  assertEquals(error.kind, "not-found");
  assert(error.line !== undefined && error.line.length < 250);
  await bench.nft.apply(add(1));
  assertEquals((await bench.starts()).map(({ args }) => args), ["-i", "-i"]);
});

testInLab("3,000 changes do not make it grow", async () => {
  await using bench = await Bench.create({ renewAfterBytes: 100_000 });
  await bench.nft.apply(BASE);
  for (let time = 0; time < 1_500; time++) {
    await bench.nft.apply(add(time % 250));
    await bench.nft.apply(remove(time % 250));
  }
  const starts = await bench.starts();
  assert(starts.length > 2 && starts.length < 6, `${starts.length} starts`);
  // The one before may be about to end.
  while (await bench.running() > 1) await delay(20);
});

testInLab("whatever happens to it, no change is lost", async () => {
  await using bench = await Bench.create({ timeoutMs: 1_000 });
  const kinds: string[] = [];
  let ports = [servicePort({ vips: ["10.96.0.1 80"] })];
  const redirector = createRedirector({
    backend: createNftablesBackend({ nft: bench.nft, ports: { tcp: 1666, http: 1667 } }),
    logger: silentLogger,
    observer: { onError: (_kind, error) => kinds.push(error.kind) },
  });
  const end = new AbortController();
  const running = redirector.run(end.signal);
  redirector.start({ servicePorts: () => ports }, NODE);
  async function change(vip: string): Promise<void> {
    const added = servicePort({ name: vip, vips: [`${vip} 80`] });
    ports = [...ports, added];
    redirector.update(changes([undefined, added]));
    await redirector.flushed();
    const listed = parseRuleset(await bench.nft.list()).elements.map(({ key }) => key);
    for (const { vips } of ports) {
      assert(listed.some((text) => text.startsWith(`${vips[0]?.address} `)), `${vip}: ${listed}`);
    }
  }
  await redirector.flushed();
  await change("10.96.0.2");
  await bench.signal("STOP");
  await change("10.96.0.3");
  assertEquals(kinds, ["timeout"]);
  await change("10.96.0.4");
  await bench.signal("KILL");
  await change("10.96.0.5");
  await change("10.96.0.6");
  await bench.signal("TERM");
  await delay(50);
  await change("10.96.0.7");
  await bench.lab.nftByHand("delete", "table", ...TABLE.split(" "));
  await change("10.96.0.8");
  assert(kinds.slice(1).every((kind) => kind === "unknown" || kind === "not-found"), kinds.join());
  end.abort();
  await running;
});
