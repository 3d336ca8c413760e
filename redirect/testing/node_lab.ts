/**
 * A node with a pod and a neighbour, real nft, and a stand-in for Envoy: what the tests against the kernel need.
 *
 * Invariant: everything lives in network namespaces that end with the lab.
 * @module
 */

import { fromFileUrl } from "@std/path/from-file-url";
import type { NodeAddresses, ServicePort, ServicePortChange, ServicePortKey } from "../../agent/model/mod.ts";
import { type Logger, silentLogger } from "../../agent/log.ts";
import { connect, type LabProcess, Namespace, namespacesUnavailable } from "../../scripts/lab/mod.ts";
import { testUnless } from "../../scripts/lab/testing.ts";
import { ensureTool } from "../../scripts/tools/mod.ts";
import type { RedirectBackend } from "../backend.ts";
import type { LayoutOptions } from "../chains.ts";
import type { ElementContainer, FamilySuffix } from "../containers.ts";
import type { PlanDelta } from "../diff.ts";
import type { ElementWriter } from "../element_route.ts";
import { createIptablesBackend } from "../iptables/iptables_backend.ts";
import type { Programs } from "../iptables/programs.ts";
import { createPrograms, type ProgramOptions } from "../iptables/run_programs.ts";
import type { Table } from "../iptables/chains.ts";
import type { Netlink } from "../netlink/open_netlink.ts";
import type { NetlinkTable } from "../netlink/netlink_table.ts";
import type { Nft } from "../nft.ts";
import { createNftSession } from "../nft_session.ts";
import type { Applied } from "../observer.ts";
import { createNftablesBackend } from "../nftables_backend.ts";
import { createRedirector, type Redirector } from "../redirector.ts";
import { createNft } from "../run_nft.ts";
import { openNetlinkIn } from "./netlink_in_namespace.ts";
import { ENDPOINT_SCRIPT } from "./udp_talk.ts";

const SCRIPT = fromFileUrl(new URL("./original_destination.py", import.meta.url));

const onProgress = (line: string): void => void Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
const nftTool = await ensureTool("nft", { onProgress });
const newerNftTool = await ensureTool("nft-trixie", { onProgress });
const ipsetTool = await ensureTool("ipset", { onProgress });
const iptablesTools = {
  "iptables-nft": await ensureTool("iptables-nft", { onProgress }),
  "iptables-legacy": await ensureTool("iptables-legacy", { onProgress }),
};

/** Why these tests cannot run here; all undefined when they can. */
export const labUnavailable: readonly (string | undefined)[] = [
  await namespacesUnavailable(),
  nftTool.unavailable,
  newerNftTool.unavailable,
];

/** The same for those with a backend. */
export function backendUnavailable(backend: LabBackend): readonly (string | undefined)[] {
  return isIptables(backend)
    ? [...labUnavailable, ipsetTool.unavailable, iptablesTools[backend].unavailable]
    : labUnavailable;
}

/**
 * Registers a test of what clients meet for some of the backends. It is given what builds the lab, with a stand-in for Envoy that
 * listens on these ports.
 */
export function testOverBackends(
  name: string,
  fn: (create: (...ports: readonly number[]) => Promise<NodeLab>) => Promise<void>,
  backends: readonly LabBackend[] = ["netlink", "iptables-nft", "iptables-legacy"],
): void {
  for (const backend of backends) {
    testUnless(
      `${backend}: ${name}`,
      { unavailable: backendUnavailable(backend) },
      () => fn((...ports) => NodeLab.createWith(backend, ...ports)),
    );
  }
}

/** Addresses of the node: one on the way out, one towards the pod. */
export const NODE: NodeAddresses = {
  IPv4: ["192.168.77.2", "10.244.0.1"],
  IPv6: ["2001:db8:77::2", "fd00:244::1"],
};

/**
 * What the kernel is programmed with: netlink and, rarely, nft; nft as a program for each change, or one that is kept running, of
 * a newer version too; iptables of either kind.
 */
export type LabBackend = "netlink" | "nft started" | "nft kept" | "newer nft" | IptablesVariant;
/** The two programs there are. */
export type IptablesVariant = "iptables-nft" | "iptables-legacy";

/** All of them, for tests of what clients meet: it is to be the same with each. */
export const LAB_BACKENDS: readonly LabBackend[] = [
  "netlink",
  "nft started",
  "nft kept",
  "newer nft",
  "iptables-nft",
  "iptables-legacy",
];

/** What endpoints speak. */
export type LabProtocol = "tcp" | "udp" | "sctp";

/** What a client asks, and how often. */
export interface Question {
  readonly protocol: LabProtocol;
  readonly host: string;
  readonly port: number;
  /** @default 1 */
  readonly count?: number;
  /** The address it asks from. @default the kernel's choice */
  readonly source?: string;
}

/** See the module's comment. */
export class NodeLab implements AsyncDisposable {
  readonly node: Namespace;
  /** Its side of the link has an address on the node, as with a bridge or the `ptp` plugin. */
  readonly pod: Namespace;
  /** Its interface on the node has no address of its own, as with Calico. */
  readonly barePod: Namespace;
  /** A machine on the node's network. */
  readonly outside: Namespace;
  readonly nft: CountingNft;
  /** Where the backend is iptables. */
  readonly programs: CountingPrograms | undefined;
  /** The program itself. */
  readonly nftPath: string;

  readonly #elements: CountingElements | undefined;
  readonly #sense: NetlinkTable | undefined;
  readonly #made = new AsyncDisposableStack();

  private constructor(
    namespaces: Record<"node" | "pod" | "barePod" | "outside", Namespace>,
    backend: LabBackend,
    netlink: Netlink | undefined,
  ) {
    this.node = namespaces.node;
    this.pod = namespaces.pod;
    this.barePod = namespaces.barePod;
    this.outside = namespaces.outside;
    this.#made.use(this.node);
    this.nftPath = (backend === "newer nft" ? newerNftTool : nftTool).path ?? "nft";
    const options = { nftPath: this.nftPath, argvPrefix: this.node.enter([]) };
    this.nft = new CountingNft(
      backend === "nft kept" || backend === "newer nft"
        ? this.#made.use(createNftSession({ ...options, logger: silentLogger }))
        : createNft(options),
    );
    if (netlink !== undefined) this.#made.use(netlink);
    this.#elements = netlink && new CountingElements(netlink.elements);
    this.#sense = netlink?.table;
    this.programs = isIptables(backend)
      ? new CountingPrograms(createPrograms(this.programOptions(backend)))
      : undefined;
  }

  /** How programs of iptables are run on the node. */
  programOptions(variant: IptablesVariant): ProgramOptions {
    return {
      iptablesPath: iptablesTools[variant].path ?? variant,
      ipsetPath: ipsetTool.path ?? "ipset",
      argvPrefix: this.node.enter([]),
    };
  }

  /** Writes so far. */
  get written(): number {
    return this.programs?.written ?? this.nft.applied + (this.#elements?.applied ?? 0);
  }

  /** What programs the kernel, with these ports of Envoy. */
  backend({ httpPort = 1667, clusterCIDRs }: LabBackendOptions = {}): RedirectBackend {
    const options = { ports: { tcp: 1666, http: httpPort }, ...(clusterCIDRs && { clusterCIDRs }) };
    if (this.programs !== undefined) {
      return createIptablesBackend({ programs: this.programs, families: ["4", "6"], ...options });
    }
    const elements = this.#elements && { writer: this.#elements, logger: silentLogger };
    return createNftablesBackend({ nft: this.nft, elements, sense: this.#sense, ...options });
  }

  /** Builds it, with the stand-in listening on these ports of the node. */
  static create(...ports: readonly number[]): Promise<NodeLab> {
    return NodeLab.createWith("netlink", ...ports);
  }

  /** The same, with a choice of what the kernel is programmed with. */
  static async createWith(backend: LabBackend, ...ports: readonly number[]): Promise<NodeLab> {
    const node = await Namespace.create({ name: "node" });
    try {
      const pod = await node.child({ name: "pod" });
      const barePod = await node.child({ name: "bare" });
      const outside = await node.child({ name: "outside" });
      await connect(node, outside, {
        a: ["192.168.77.2/24", "2001:db8:77::2/64"],
        b: ["192.168.77.1/24", "2001:db8:77::1/64"],
      });
      await connect(node, pod, {
        a: ["10.244.0.1/24", "fd00:244::1/64"],
        b: ["10.244.0.5/24", "fd00:244::5/64"],
      });
      await connect(node, barePod, { a: ["fe80::1/64"], b: ["10.244.1.5/32", "fd00:244:1::5/128"] });
      await node.sysctl({
        "net/ipv4/ip_forward": "1",
        "net/ipv6/conf/all/forwarding": "1",
        "net/ipv4/conf/bare/proxy_arp": "1",
        // Else such an answer comes up to 0.8 s late (arp(7), proxy_delay), and a datagram that waits for it too.
        "net/ipv4/neigh/bare/proxy_delay": "0",
      });
      await node.ip([
        "route add default via 192.168.77.1",
        "route add ::/0 via 2001:db8:77::1",
        "route add 10.244.1.5/32 dev bare",
        "route add fd00:244:1::5/128 dev bare",
      ]);
      // What reaches the neighbour for a VIP is answered as unreachable, so that tests need not wait for silence.
      await outside.sysctl({ "net/ipv4/ip_forward": "1" });
      await outside.ip(["route add 10.244.0.0/16 via 192.168.77.2"]);
      await pod.ip(["route add default via 10.244.0.1", "route add ::/0 via fd00:244::1"]);
      await barePod.ip(["route add default dev node", "route add ::/0 via fe80::1 dev node"]);
      const netlink = backend === "netlink" ? await openNetlinkIn(node) : undefined;
      const lab = new NodeLab({ node, pod, barePod, outside }, backend, netlink);
      if (ports.length > 0) await lab.listen(node, ports);
      return lab;
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts the stand-in on a machine. */
  async listen(at: Namespace, ports: readonly number[]): Promise<LabProcess> {
    const listener = at.spawn(["python3", SCRIPT, "listen", ...ports.map(String)]);
    await listener.waitForLine(/listening/);
    return listener;
  }

  /** What a client is answered: `PORT ORIGINAL-DESTINATION`, `refused`, or `broken: …`. */
  async dial(from: Namespace, host: string, port: number, socketPriority = 0): Promise<string> {
    return (await from.run(["python3", SCRIPT, "connect", host, String(port), String(socketPriority)]))
      .trim();
  }

  /** A client that goes on talking over one connection. */
  talk(from: Namespace, host: string, port: number): Conversation {
    return new Conversation(from.spawn(["python3", SCRIPT, "talk", host, String(port)]));
  }

  /** Starts endpoints, one on each address of a machine. */
  async serve(
    at: Namespace,
    { protocol, port, addresses }: {
      readonly protocol: LabProtocol;
      readonly port: number;
      readonly addresses: readonly string[];
    },
  ): Promise<LabProcess> {
    const server = at.spawn(["python3", ENDPOINT_SCRIPT, "serve", protocol, String(port), ...addresses]);
    await server.waitForLine(/serving/);
    return server;
  }

  /**
   * What a client is answered that asks so many times, each over a connection of its own: how often each answer came. Answers
   * are `ADDRESS asked by SOURCE`, `refused`, `not permitted`, `silence`, `broken: …`.
   */
  async ask(from: Namespace, question: Question): Promise<ReadonlyMap<string, number>> {
    const { protocol, host, port, count = 1, source = "" } = question;
    const output = await from.run([
      "python3",
      ENDPOINT_SCRIPT,
      "ask",
      protocol,
      host,
      String(port),
      String(count),
      source,
    ]);
    return new Map(
      output.trim().split("\n").map((line) => {
        const [answer = "", times = ""] = line.split("\t");
        return [answer, Number(times)];
      }),
    );
  }

  /** Runs nft on the node by hand. */
  async nftByHand(...args: readonly string[]): Promise<string> {
    return await this.node.run([this.nftPath, ...args]);
  }

  /** Starts a redirector on the node and waits until these ports are in the kernel. */
  async agent(ports: readonly ServicePort[], options: LabAgentOptions = {}): Promise<LabAgent> {
    const agent = new LabAgent(this.backend(options), ports, options);
    await agent.redirector.flushed();
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.disposeAsync();
  }
}

/** A connection that is talked over. */
export class Conversation {
  readonly #client: LabProcess;

  constructor(client: LabProcess) {
    this.#client = client;
  }

  /** Waits until five more questions were answered from now on; throws when the connection broke. */
  async goesOn(): Promise<void> {
    const answered = this.#client.recentOutput().match(/^ping \d+$/gm)?.length ?? 0;
    const last = Number(/ping (\d+)(?![\s\S]*ping)/.exec(this.#client.recentOutput())?.[1] ?? answered);
    await this.#client.waitForLine(new RegExp(`^ping ${last + 5}$`));
  }
}

/** An `Nft` that counts what is written. */
export class CountingNft implements Nft {
  applied = 0;
  readonly #nft: Nft;

  constructor(nft: Nft) {
    this.#nft = nft;
  }

  async apply(script: string): Promise<void> {
    this.applied++;
    await this.#nft.apply(script);
  }

  check(script: string): Promise<void> {
    return this.#nft.check(script);
  }

  list(): Promise<unknown | undefined> {
    return this.#nft.list();
  }
}

/** Netlink that counts what is written. */
class CountingElements implements ElementWriter {
  applied = 0;
  readonly #writer: ElementWriter;

  constructor(writer: ElementWriter) {
    this.#writer = writer;
  }

  takes(container: ElementContainer): boolean {
    return this.#writer.takes(container);
  }

  async write(delta: PlanDelta): Promise<void> {
    this.applied++;
    await this.#writer.write(delta);
  }
}

/** `Programs` that count what is written. */
export class CountingPrograms implements Programs {
  written = 0;
  readonly name: string;
  readonly #programs: Programs;

  constructor(programs: Programs) {
    this.name = programs.name;
    this.#programs = programs;
  }

  saveTables(family: FamilySuffix): Promise<string> {
    return this.#programs.saveTables(family);
  }

  async restoreTables(family: FamilySuffix, text: string): Promise<void> {
    this.written++;
    await this.#programs.restoreTables(family, text);
  }

  checkTables(family: FamilySuffix, text: string): Promise<void> {
    return this.#programs.checkTables(family, text);
  }

  showChain(family: FamilySuffix, table: Table, chain: string): Promise<string> {
    return this.#programs.showChain(family, table, chain);
  }

  saveSets(): Promise<string> {
    return this.#programs.saveSets();
  }

  async restoreSets(text: string): Promise<void> {
    this.written++;
    await this.#programs.restoreSets(text);
  }
}

function isIptables(backend: LabBackend): backend is IptablesVariant {
  return backend.startsWith("iptables-");
}

/** What differs from the defaults of a backend. */
export interface LabBackendOptions {
  readonly clusterCIDRs?: LayoutOptions["clusterCIDRs"];
  readonly httpPort?: number;
}

/** What differs from the defaults. */
export interface LabAgentOptions extends LabBackendOptions {
  readonly nodeAddresses?: NodeAddresses;
  readonly resyncIntervalMs?: number;
  readonly logger?: Logger;
}

/** A redirector that runs until disposed of, like an agent that is started and stopped. */
export class LabAgent implements AsyncDisposable {
  readonly redirector: Redirector;
  readonly applied: Applied[] = [];
  /** Resolves at the first drift found, with the number of differences. */
  readonly drift: Promise<number>;
  #ports: readonly ServicePort[];
  readonly #end = new AbortController();
  readonly #running: Promise<void>;

  constructor(backend: RedirectBackend, ports: readonly ServicePort[], options: LabAgentOptions) {
    this.#ports = ports;
    const drift = Promise.withResolvers<number>();
    this.drift = drift.promise;
    this.redirector = createRedirector({
      backend,
      logger: options.logger ?? silentLogger,
      resyncIntervalMs: options.resyncIntervalMs ?? 600_000,
      observer: { onApplied: (applied) => this.applied.push(applied), onDrift: drift.resolve },
    });
    this.#running = this.redirector.run(this.#end.signal);
    this.redirector.start({ servicePorts: () => this.#ports }, options.nodeAddresses ?? NODE);
  }

  /** Replaces the ports and waits until the kernel has them. */
  async update(
    ports: readonly ServicePort[],
    changes: ReadonlyMap<ServicePortKey, ServicePortChange>,
  ): Promise<void> {
    this.#ports = ports;
    this.redirector.update(changes);
    await this.redirector.flushed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
  }
}
