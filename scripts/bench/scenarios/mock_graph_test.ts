/**
 * The mock services as they are: bodies, calls, errors, places, limits, the end; in namespaces of their own.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { Lab, type Pod } from "../../lab/mod.ts";
import { testUnless } from "../../lab/testing.ts";
import { benchUnavailable, toolsUnavailable } from "../testing/run_bench.ts";
import { progress } from "../../tool_path.ts";
import { ensureTool } from "../../tools/mod.ts";
import { MockGraph, networkFile } from "./mock_graph.ts";

const { path: program = "" } = await ensureTool("mock-graph", { onProgress: progress });
const unavailable = [...benchUnavailable, ...await toolsUnavailable("mock-graph")];

const GRAPH = `
requestBytes: 100
responseBytes: 5000
services:
  front: { calls: [[left, right], [left]] }
  left: {}
  right: {}
  broken: { errorRate: 1 }
  caller: { calls: [[left, broken]] }
  narrow: { work: { latency: 100ms, concurrency: 1 } }
  limited: { work: { latency: 10ms, cpuLimit: 0.05 } }
`;

/** A lab in which each service of the graph has one replica. */
class Graph implements AsyncDisposable {
  readonly control: MockGraph;
  readonly #lab: Lab;
  readonly #client: Pod;
  readonly #networks: ReadonlyMap<string, string>;
  readonly #hosts: Readonly<Record<string, string>>;
  readonly #dir: string;

  private constructor(parts: {
    readonly control: MockGraph;
    readonly lab: Lab;
    readonly client: Pod;
    readonly networks: ReadonlyMap<string, string>;
    readonly hosts: Readonly<Record<string, string>>;
    readonly dir: string;
  }) {
    this.control = parts.control;
    this.#lab = parts.lab;
    this.#client = parts.client;
    this.#networks = parts.networks;
    this.#hosts = parts.hosts;
    this.#dir = parts.dir;
  }

  static async create(services: readonly string[]): Promise<Graph> {
    const dir = await Deno.makeTempDir({ prefix: "lightpath-mock-" });
    const lab = await Lab.create();
    const client = await lab.addPod({ name: "client", host: 100 });
    const hosts: Record<string, string> = {};
    const networks = new Map<string, string>();
    for (const [index, name] of services.entries()) {
      const { namespace, ipv4 } = await lab.addPod({ name, host: 10 + index });
      hosts[name] = ipv4;
      networks.set(name, await networkFile(namespace, name));
    }
    const control = await MockGraph.start(lab.node, { program, dir });
    return new Graph({ control, lab, client, networks, hosts, dir });
  }

  async begin(service: string, environment: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.control.begin({
      name: service,
      network: this.#networks.get(service)!,
      hosts: this.#hosts,
      environment: { MOCK_GRAPH: GRAPH, MOCK_SERVICE: service, ...environment },
    });
  }

  /** @returns the status and the size of the body, or how the client failed, in Python's words */
  async ask(service: string): Promise<string> {
    const script = `import sys, urllib.request, urllib.error
try:
    with urllib.request.urlopen(sys.argv[1], data=b"x" * 100, timeout=10) as answer: print(answer.status, len(answer.read()))
except urllib.error.HTTPError as error: print(error.code)
except urllib.error.URLError as error: print(type(error.reason).__name__)`;
    const url = `http://${this.#hosts[service]}:8080/`;
    return (await this.#client.namespace.run(["python3", "-c", script, url])).trim();
  }

  /** @returns how long it took until all were answered, in milliseconds */
  async askAtOnce(service: string, requests: number): Promise<number> {
    const script = `import sys, threading, time, urllib.request
ask = lambda: urllib.request.urlopen(sys.argv[1], timeout=10).read()
threads = [threading.Thread(target=ask) for _ in range(int(sys.argv[2]))]
start = time.monotonic()
for thread in threads: thread.start()
for thread in threads: thread.join()
print(1000 * (time.monotonic() - start))`;
    const url = `http://${this.#hosts[service]}:8080/`;
    return Number(await this.#client.namespace.run(["python3", "-c", script, url, String(requests)]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.control[Symbol.dispose]();
    await this.#lab[Symbol.asyncDispose]();
    await Deno.remove(this.#dir, { recursive: true });
  }
}

testUnless("mock-graph answers with a body when all that it calls does, and fails when one fails", {
  unavailable,
}, async () => {
  await using graph = await Graph.create(["front", "left", "right", "broken", "caller"]);
  for (const service of ["front", "left", "broken", "caller"]) await graph.begin(service);
  assertEquals(await graph.ask("left"), "200 5000");
  assertEquals(await graph.ask("broken"), "500");
  assertEquals(await graph.ask("caller"), "500");
  assertEquals(await graph.ask("front"), "500", "right is not there yet");
  await graph.begin("right");
  assertEquals(await graph.ask("front"), "200 5000");
  await graph.control.end("left");
  assertEquals(await graph.ask("left"), "ConnectionRefusedError");
  assertEquals(await graph.ask("front"), "500");
});

testUnless(
  "mock-graph works on as many requests at a time as it has places",
  { unavailable },
  async () => {
    await using graph = await Graph.create(["narrow"]);
    await graph.begin("narrow", { MOCK_SLOWDOWN: "5" });
    // Each takes 250 ms at least, one after the other: a bound that no slow machine breaks.
    assert(await graph.askAtOnce("narrow", 3) >= 750);
  },
);

testUnless("mock-graph stalls until the next period when its share of a processor is used up", {
  unavailable,
}, async () => {
  await using graph = await Graph.create(["limited"]);
  await graph.begin("limited");
  // Each takes 5 ms at least, and a period of 100 ms has 5: they are in four periods at least.
  assert(await graph.askAtOnce("limited", 4) >= 300);
});

testUnless("mock-graph says what it cannot play", { unavailable }, async () => {
  await using graph = await Graph.create(["left"]);
  const refused: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{ MOCK_SERVICE: "nobody" }, 'MOCK_SERVICE: the graph has no service "nobody"'],
    [{ MOCK_SLOWDOWN: "-1" }, 'MOCK_SLOWDOWN is "-1": wanted a number above 0'],
    [
      { MOCK_GRAPH: "services: { left: { calls: [[x]] } }" },
      'service left calls "x", which the graph does not have',
    ],
    [{ MOCK_GRAPH: "service: {}" }, "field service not found"],
  ];
  for (const [environment, words] of refused) {
    await assertRejects(() => graph.begin("left", environment), Error, words);
  }
  await assertRejects(() => graph.control.end("left"), Error, 'no replica "left"');
});
