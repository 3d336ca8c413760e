/**
 * Stale UDP flows in a real kernel: clients that keep their port, endpoints that come and go, and what must not be touched.
 *
 * An endpoint that is gone from the ServicePort goes on answering here. So a flow that is not deleted is seen: it is answered by
 * the wrong one.
 * @module
 */

import { assertEquals } from "@std/assert/equals";
import { silentLogger } from "../agent/log.ts";
import type { ModelView, ServicePort } from "../agent/model/mod.ts";
import { servicePort, type ServicePortSketch } from "../agent/model/testing/service_ports.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { ensureTool } from "../scripts/tools/mod.ts";
import { FlowCleaner } from "./flow_cleaner.ts";
import { createConntrack } from "./run_conntrack.ts";
import { endpointAt, withEndpoints } from "./testing/endpoints.ts";
import { type LabAgent, labUnavailable, NODE, NodeLab } from "./testing/node_lab.ts";
import { changes } from "./testing/random_ports.ts";
import { UdpTalk } from "./testing/udp_talk.ts";

const conntrackTool = await ensureTool("conntrack", {
  onProgress: (line) => Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`)),
});
const conntrackPath = conntrackTool.path ?? "conntrack";

function testInLab(name: string, fn: () => Promise<void>): void {
  const unavailable = [...labUnavailable, conntrackTool.unavailable];
  testUnless(`stale UDP flows: ${name}`, { unavailable }, fn);
}

const [A, B, C] = ["10.244.0.100", "10.244.0.101", "10.244.0.102"];
const [A6, B6] = ["fd00:244::100", "fd00:244::101"];
const ENDPOINTS = [A, B, C, A6, B6];
const VIPS = ["10.96.0.40 80", "fd00:96::40 80", "192.0.2.40 80"];

function port(endpoints: readonly string[], sketch: ServicePortSketch = {}): ServicePort {
  const udp = { protocol: "UDP", vips: VIPS, nodePort: 30040, families: ["IPv4", "IPv6"] } as const;
  return withEndpoints(servicePort({ ...udp, ...sketch }), endpoints);
}

async function createLab(): Promise<NodeLab> {
  const lab = await NodeLab.create();
  await lab.pod.ip(
    ENDPOINTS.map((address) => `addr add ${address} dev node${address.includes(":") ? " nodad" : ""}`),
  );
  await lab.serve(lab.pod, { protocol: "udp", port: 8080, addresses: ENDPOINTS });
  return lab;
}

/** A redirector with a cleaner beside it, over ServicePorts that the test sets. */
class CleanedNode implements AsyncDisposable {
  deleted = 0;
  #passed = Promise.withResolvers<void>();
  #ports: readonly ServicePort[];
  readonly #agent: LabAgent;
  readonly #cleaner: FlowCleaner;
  readonly #end = new AbortController();
  readonly #running: Promise<void>;

  private constructor(lab: NodeLab, agent: LabAgent, ports: readonly ServicePort[]) {
    this.#agent = agent;
    this.#ports = ports;
    const view: Pick<ModelView, "servicePorts" | "vipOwner" | "nodePortOwner"> = {
      servicePorts: () => this.#ports,
      vipOwner: (address, number, protocol) =>
        this.#ports.find(({ name, vips }) =>
          name.protocol === protocol && vips.some((vip) => vip.address === address && vip.port === number)
        ),
      nodePortOwner: (_, number, protocol) =>
        this.#ports.find(({ name, nodePort }) => name.protocol === protocol && nodePort === number),
    };
    this.#cleaner = new FlowCleaner({
      conntrack: createConntrack({ conntrackPath, argvPrefix: lab.node.enter([]) }),
      view,
      families: ["IPv4", "IPv6"],
      flushed: () => agent.redirector.flushed(),
      logger: silentLogger,
      observer: {
        onCleaned: ({ family, deleted }) => {
          this.deleted += deleted;
          if (family === "IPv6") this.#passed.resolve();
        },
        onFailed: (error) => this.#passed.reject(error),
      },
    });
    this.#cleaner.start(NODE);
    this.#running = this.#cleaner.run(this.#end.signal);
  }

  /** Starts both and waits for the pass of the start. */
  static async start(lab: NodeLab, ...ports: readonly ServicePort[]): Promise<CleanedNode> {
    const node = new CleanedNode(lab, await lab.agent(ports), ports);
    if (ports.length > 0) await node.passed();
    return node;
  }

  /** Replaces the ports. */
  async set(...ports: readonly ServicePort[]): Promise<void> {
    const keys = new Set([...this.#ports, ...ports].map(({ key }) => key));
    const before = this.#ports;
    this.#ports = ports;
    const changed = changes(
      ...[...keys].map((key) =>
        [before.find((one) => one.key === key), ports.find((one) => one.key === key)] as const
      ),
    );
    const written = this.#agent.update(ports, changed);
    this.#cleaner.update(changed);
    await written;
  }

  /** Waits until a pass has ended that nobody has waited for yet. */
  async passed(): Promise<void> {
    await this.#passed.promise;
    this.#passed = Promise.withResolvers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
    await this.#agent[Symbol.asyncDispose]();
  }
}

/** The ids of the entries that the kernel has for a destination, in order: an entry that is made anew has another. */
async function entries(lab: NodeLab, protocol: "udp" | "tcp", destination: string): Promise<string[]> {
  const args = ["-L", "-p", protocol, "-o", "id", "--orig-dst", destination];
  const { stdout } = await lab.node.exec([conntrackPath, ...args]);
  return stdout.split("\n").flatMap((line) => /sport=(\d+) .* id=\d+/.exec(line)?.[0] ?? []).sort();
}

testInLab("a client that keeps its port is answered by another endpoint when its own goes", async () => {
  await using lab = await createLab();
  await using node = await CleanedNode.start(lab, port([A, A6]));
  const talks: readonly (readonly [string, UdpTalk, string, string])[] = [
    ["ClusterIP", UdpTalk.start(lab.barePod, "10.96.0.40", 80), A, B],
    ["ClusterIP, IPv6", UdpTalk.start(lab.barePod, "fd00:96::40", 80), A6, B6],
    ["from the node", UdpTalk.start(lab.node, "10.96.0.40", 80), A, B],
    ["external IP", UdpTalk.start(lab.barePod, "192.0.2.40", 80), A, B],
    ["NodePort", UdpTalk.start(lab.outside, "192.168.77.2", 30040), A, B],
    ["NodePort at another address", UdpTalk.start(lab.barePod, "10.244.0.1", 30040), A, B],
    ["NodePort, IPv6", UdpTalk.start(lab.outside, "2001:db8:77::2", 30040), A6, B6],
  ];
  for (const [, talk, first] of talks) assertEquals(await talk.nextAnswer(), first);
  await node.set(port([B, B6]));
  for (const [what, talk, , second] of talks) {
    assertEquals(await talk.nextAnswer(), second, what);
  }
  await node.passed();
  assertEquals(node.deleted, talks.length);
});

testInLab("flows to endpoints that stay, and all of TCP, are not touched", async () => {
  await using lab = await createLab();
  await lab.listen(lab.pod, [8080]);
  const tcp = (...endpoints: readonly string[]): ServicePort =>
    port(endpoints, { protocol: "TCP", carrier: "kernel", nodePort: 0 });
  await using node = await CleanedNode.start(lab, port([A]), tcp(A));
  const staying = UdpTalk.start(lab.barePod, "10.96.0.40", 80);
  const direct = UdpTalk.start(lab.barePod, C, 8080);
  const connection = lab.talk(lab.barePod, "10.96.0.40", 80);
  assertEquals(await staying.nextAnswer(), A);
  assertEquals(await direct.nextAnswer(), C);
  await connection.goesOn();
  const all = async (): Promise<string[][]> => [
    await entries(lab, "udp", "10.96.0.40"),
    await entries(lab, "udp", C),
    await entries(lab, "tcp", "10.96.0.40"),
  ];
  const before = await all();
  assertEquals(before.map(({ length }) => length), [1, 1, 1]);
  // The endpoint of the connection goes, and so does one that no flow goes to.
  await node.set(port([A, B]), tcp(A));
  await node.set(port([A]), tcp(B));
  await node.passed();
  await connection.goesOn();
  assertEquals(await all(), before);
  assertEquals(node.deleted, 0);
});

testInLab(
  "with no endpoint left a client is refused at once, and answered when there is one again",
  async () => {
    await using lab = await createLab();
    await using node = await CleanedNode.start(lab, port([A]));
    const talk = UdpTalk.start(lab.barePod, "10.96.0.40", 80);
    assertEquals(await talk.nextAnswer(), A);
    await node.set(port([]));
    assertEquals(await talk.nextAnswer(), "refused");
    await node.set(port([B]));
    assertEquals(await talk.nextAnswer(), B);
  },
);

testInLab(
  "a client that asked before there was a Service is answered when it comes, not when it has gone",
  async () => {
    await using lab = await createLab();
    // Where the address leads without a Service.
    const elsewhere = "10.96.0.40";
    await lab.outside.ip([`addr add ${elsewhere}/32 dev lo`]);
    await lab.serve(lab.outside, { protocol: "udp", port: 80, addresses: [elsewhere] });
    await using node = await CleanedNode.start(lab);
    const talk = UdpTalk.start(lab.barePod, "10.96.0.40", 80);
    assertEquals(await talk.nextAnswer(), elsewhere);
    await node.set(port([A]));
    assertEquals(await talk.nextAnswer(), A);
    await node.set();
    assertEquals(await talk.nextAnswer(), elsewhere);
  },
);

testInLab("a flow that an answer on its way has made anew, the wrong way round, is no way out", async () => {
  await using lab = await createLab();
  const elsewhere = "10.96.0.40";
  await lab.outside.ip([`addr add ${elsewhere}/32 dev lo`]);
  await using node = await CleanedNode.start(lab);
  // The port from which the client will ask.
  const script = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("${elsewhere}", 80))
s.sendto(b"an answer", ("10.244.1.5", 5555))`;
  await lab.outside.run(["python3", "-c", script]);
  await lab.barePod.sysctl({ "net/ipv4/ip_local_port_range": "5555 5555" });
  await lab.serve(lab.outside, { protocol: "udp", port: 80, addresses: [elsewhere] });
  const talk = UdpTalk.start(lab.barePod, elsewhere, 80);
  assertEquals(await talk.nextAnswer(), elsewhere);
  assertEquals(await entries(lab, "udp", elsewhere), [], "the client is who answers");
  await node.set(port([A]));
  assertEquals(await talk.nextAnswer(), A);
});

testInLab("an endpoint that terminates keeps its clients until it serves no more", async () => {
  await using lab = await createLab();
  await using node = await CleanedNode.start(lab, port([A]));
  const talk = UdpTalk.start(lab.barePod, "10.96.0.40", 80);
  assertEquals(await talk.nextAnswer(), A);
  const before = await entries(lab, "udp", "10.96.0.40");
  const terminatingEndpoints = { IPv4: [endpointAt(`${A} 8080`)], IPv6: [] };
  await node.set({ ...port([B]), terminatingEndpoints });
  // Something else is cleaned up meanwhile.
  await node.set({ ...port([B, A6]), terminatingEndpoints });
  await node.set({ ...port([B, B6]), terminatingEndpoints });
  await node.passed();
  assertEquals([talk.changes, await entries(lab, "udp", "10.96.0.40")], [0, before]);
  await node.set(port([B, B6]));
  assertEquals(await talk.nextAnswer(), B);
});

testInLab("a restart deletes what has become stale meanwhile, and nothing else", async () => {
  await using lab = await createLab();
  const other = port([C], { name: "other", vips: ["10.96.0.41 80"], nodePort: 0 });
  const first = await CleanedNode.start(lab, port([A]), other);
  const [stale, healthy] = [
    UdpTalk.start(lab.barePod, "10.96.0.40", 80),
    UdpTalk.start(lab.barePod, "10.96.0.41", 80),
  ];
  assertEquals(await stale.nextAnswer(), A);
  assertEquals(await healthy.nextAnswer(), C);
  await first[Symbol.asyncDispose]();
  const before = await entries(lab, "udp", "10.96.0.41");

  await using unchanged = await CleanedNode.start(lab, port([A]), other);
  assertEquals(unchanged.deleted, 0);
  await unchanged[Symbol.asyncDispose]();

  await using changed = await CleanedNode.start(lab, port([B]), other);
  assertEquals(await stale.nextAnswer(), B);
  assertEquals([changed.deleted, await entries(lab, "udp", "10.96.0.41")], [1, before]);
});
