/**
 * What the settings mean to the program: one field each, with its unit and what empty means.
 *
 * How they are spelt, read and described is in `settings.ts`, whose table the compiler checks against this.
 * @module
 */

import type { LogFormat, LogLevel } from "./log.ts";
import type { HostPort } from "./setting_values.ts";

/** What the program can be asked to do. */
export type Command = "agent" | "bootstrap" | "explain" | "webhook" | "adopt" | "cleanup" | "version";

/** Every setting's value. Settings that a command does not have hold their defaults there. */
export interface Config {
  /** Name of the Node this runs on. */
  readonly nodeName: string;
  /** The zone the Node is in, as endpoints name theirs; empty: the agent is not told. */
  readonly zone: string;
  /** Files and folders of manifests to read Services from; empty: from the API server. */
  readonly manifests: readonly string[];
  /** Path of a kubeconfig; empty: in the cluster, else `KUBECONFIG`, else `~/.kube/config`. */
  readonly kubeconfig: string;
  /** Context in the kubeconfig; empty: its current one. */
  readonly context: string;
  /** Label value of the Services to serve; empty: all Services that carry no such label. */
  readonly serviceProxyName: string;
  /** When Envoy learns of a Service: at its first connection, or beforehand. */
  readonly mode: "on-demand" | "eager";
  /** What carries TCP where a Service does not say. */
  readonly tcpPath: "envoy" | "kernel";
  /** How traffic reaches Envoy. */
  readonly redirect: "auto" | "nftables" | "iptables" | "none";
  /** Whose address endpoints see where a connection goes through Envoy: its client's, or this node's. */
  readonly sourceAddress: "preserve" | "node";
  /** Two bits of packet and connection marks that nobody else uses. With iptables the lower one says "masquerade". */
  readonly markMask: number;
  /** Number of a routing table that nobody else uses. */
  readonly routeTable: number;
  /** Who runs Envoy: the agent, another container of its pod, which ends after it, or somebody else, whatever becomes of the agent. */
  readonly envoy: "run" | "sidecar" | "external";
  /**
   * How long an Envoy that ends with the agent may finish what is under way; how long the webhook goes on answering after it was
   * told to end. Milliseconds.
   */
  readonly drainTimeMs: number;
  /** Envoy's binary; empty: on the PATH, else fetched once into `cacheDir`. */
  readonly envoyBin: string;
  /** Worker threads of Envoy; 0: one per processor. */
  readonly envoyConcurrency: number;
  /** What Envoy itself logs; the agent passes it on. */
  readonly envoyLogLevel: "trace" | "debug" | "info" | "warning" | "error" | "critical" | "off";
  /** Folder of sockets and of Envoy's bootstrap. */
  readonly runDir: string;
  /** Folder of what outlives a restart of the node: which Clusters it uses; empty: kept nowhere. */
  readonly stateDir: string;
  /** Unix socket on which the agent answers `lightpath explain`. */
  readonly agentSocket: string;
  /** Unix socket on which Envoy is fed. */
  readonly adsSocket: string;
  /** Loopback address to feed Envoy on instead of the socket. */
  readonly adsAddress: HostPort | undefined;
  /** Unix socket of Envoy's admin interface. */
  readonly envoyAdminSocket: string;
  /** Port of Envoy's constant TCP listener. */
  readonly tcpPort: number;
  /** Port of Envoy's constant HTTP listener. */
  readonly httpPort: number;
  /** Families to serve; `auto`: those the node has. */
  readonly ipFamilies: "auto" | "IPv4" | "IPv6" | "dual";
  /** Ranges that hold all pods' addresses, canonical; of a family without any it is not known who is a pod. */
  readonly clusterCIDRs: readonly string[];
  /** Ranges in which every address that no Service has is nobody's, canonical; or those the cluster has for ClusterIPs. */
  readonly serviceCIDRs: readonly string[] | "auto";
  /** Ranges that a node address must be in to answer for NodePorts; or those by which the cluster knows the node. */
  readonly nodeportAddresses: readonly string[] | "primary";
  /** The addresses by which the cluster knows the node; of a family without one: the kubelet's choice. */
  readonly nodeIPs: readonly string[];
  /** How often the kernel's table is compared with the plan, in milliseconds. */
  readonly resyncIntervalMs: number;
  /** The `nft` program: a path, or a name to be found on the PATH. */
  readonly nftBin: string;
  /** The `ip` program: a path, or a name to be found on the PATH. */
  readonly ipBin: string;
  /** The iptables program, whose companions stand beside it; empty: the kind that the node uses. */
  readonly iptablesBin: string;
  /** The ipset program. */
  readonly ipsetBin: string;
  /** The `conntrack` program: a path, or a name to be found on the PATH. */
  readonly conntrackBin: string;
  /** Where kernel settings of the node can be written: a folder that is as /proc/sys. */
  readonly sysctlDir: string;
  /** Connections that the kernel is to be able to track, for each processor; 0: as many as it can. */
  readonly conntrackMaxPerCore: number;
  /** The fewest of them, however few processors there are. */
  readonly conntrackMin: number;
  /** How long it is to remember silent TCP connections at least; 0: as long as it does. */
  readonly conntrackTCPTimeoutEstablishedMs: number;
  /** The same of those of which one side has ended its half. */
  readonly conntrackTCPTimeoutCloseWaitMs: number;
  /** Where a fetched Envoy is kept. */
  readonly cacheDir: string;
  /** Where /healthz, /livez and /readyz are served; undefined: nowhere. */
  readonly healthzBindAddress: HostPort | undefined;
  /** Where /metrics is served; undefined: nowhere. */
  readonly metricsBindAddress: HostPort | undefined;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** File to write the bootstrap to; `-`: standard output. */
  readonly output: string;
  /** Notation of the bootstrap. */
  readonly format: "yaml" | "json";
  /** The Service to explain, `<namespace>/<service>`; empty: none is given. */
  readonly service: string;
  /** Whether settings at their defaults are explained too. */
  readonly all: boolean;
  /** Whether the explanation is printed as JSON. */
  readonly json: boolean;
  /** Namespaces whose Services are not given the label. */
  readonly excludeNamespaces: readonly string[];
  /** Where the webhook answers; undefined: nowhere, which is an error of the command `webhook`. */
  readonly webhookBindAddress: HostPort | undefined;
  /** Folder with `tls.crt` and `tls.key`, which somebody else keeps; empty: the webhook makes its own. */
  readonly certificateDir: string;
  /** Name of the MutatingWebhookConfiguration that is given the authority. */
  readonly webhookConfiguration: string;
  /** Where the webhook keeps its certificates, `<namespace>/<secret>`. */
  readonly webhookSecret: string;
  /** How long such a certificate holds, in milliseconds. */
  readonly certificateLifetimeMs: number;
  /** The one namespace whose Services are adopted; empty: all. */
  readonly namespace: string;
  /** Whether the label is taken away. */
  readonly release: boolean;
  /** Whether nothing is changed, and only said what would be. */
  readonly dryRun: boolean;
}
