/**
 * The one table of settings: command line, environment, YAML file, validation and `--help` are all derived from it.
 *
 * In: nothing. Out: {@linkcode SETTINGS}, one entry per field of Config. Flag, YAML key and environment variable of a setting are one name in three spellings: `--node-name`,
 * `node-name:`, `LIGHTPATH_NODE_NAME`.
 * Invariants: each field of Config has exactly one entry (checked by the compiler). Names and defaults are kube-proxy's
 * where the meaning is the same.
 * @module
 */

import { DEFAULT_MARK_MASK, renderMark } from "./model/mod.ts";
import type { Command, Config } from "./config_fields.ts";
import {
  choice,
  cidrs,
  cidrsOr,
  durationMs,
  hostPort,
  integer,
  ipAddresses,
  labelValue,
  markMask,
  namespacedObjectName,
  namespaceName,
  namespaceNames,
  nodeName,
  objectName,
  paths,
  port,
  routeTable,
  serviceName,
  text,
  toggle,
  type ValueKind,
} from "./setting_values.ts";

/** All commands with what they do, in the order of `--help`. */
export const COMMANDS: Readonly<Record<Command, string>> = {
  agent: "Serve this node's Services: watch them, feed Envoy, redirect their traffic to it",
  bootstrap: "Print the configuration Envoy has to be started with",
  explain: "Say how a Service is served and why: settings, endpoints, what Envoy has taken, problems",
  webhook:
    "Give new Services the label by which Lightpath serves them beside kube-proxy: an admission webhook",
  adopt: "Give existing Services that label, or take it away",
  cleanup: "Remove from the kernel all that Lightpath put there, and nothing else",
  version: "Print the versions of Lightpath and of the Envoy it is made for",
};

/** What the defaults of some settings depend on. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string>>;
  /** This machine's host name. Called only when the node's name is not given. */
  hostname(): string;
}

/** A setting's text when nobody gave one, and where that text comes from (named in errors about it). */
export interface DefaultText {
  readonly text: string;
  readonly origin: string;
}

/** One row of the table. */
export interface Setting<T> {
  /** Without dashes in front; the YAML key too. */
  readonly flag: string;
  readonly kind: ValueKind<T>;
  /** Which commands take the flag. The environment and the YAML file may hold it for all. */
  readonly commands: readonly Command[];
  /** A text for {@linkcode ValueKind.parse}; none: `kind` parses no texts at all (an empty list, nothing). */
  readonly default?: string | ((surroundings: Surroundings, runDir: string) => DefaultText);
  /** What `--help` says about the default where it cannot be computed beforehand, or is empty. */
  readonly defaultHelp?: string;
  readonly help: string;
  /** The flag's name may be left out: what stands on the command line without one is its value. */
  readonly isOperand?: true;
}

const ALL: readonly Command[] = ["agent", "bootstrap", "explain", "webhook", "adopt", "cleanup", "version"];
const AGENT: readonly Command[] = ["agent"];
const ENVOY: readonly Command[] = ["agent", "bootstrap"];
const EXPLAINED: readonly Command[] = ["agent", "explain"];
const WEBHOOK: readonly Command[] = ["webhook"];
const ADOPT: readonly Command[] = ["adopt"];
const SERVERS: readonly Command[] = ["agent", "webhook"];
/** Those that speak to the API server. */
const CLIENTS: readonly Command[] = ["agent", "webhook", "adopt"];

/** The table, in the order of `--help`. */
export const SETTINGS: { readonly [Field in keyof Config]: Setting<Config[Field]> } = {
  nodeName: {
    flag: "node-name",
    kind: nodeName(),
    commands: ["agent", "bootstrap", "explain"],
    default: ({ env, hostname }) => fromEnv(env, "NODE_NAME") ?? defaultNodeName(hostname()),
    defaultHelp: "$NODE_NAME, else the host name",
    help: "name of the Node this runs on, by which endpoints say that they are local",
  },
  zone: {
    flag: "zone",
    kind: text("NAME"),
    commands: EXPLAINED,
    default: "",
    defaultHelp:
      "what the Node says in the API server, also when that changes; else unknown: no zone is preferred",
    help:
      "zone of that Node (its label topology.kubernetes.io/zone), whose endpoints come first for Services with " +
      "trafficDistribution, or hints for zones",
  },
  manifests: {
    flag: "manifests",
    kind: paths(),
    commands: EXPLAINED,
    help:
      "file or folder of Service and EndpointSlice manifests to serve instead of a cluster's, or to explain without " +
      "asking an agent; may be repeated",
  },
  kubeconfig: {
    flag: "kubeconfig",
    kind: text("PATH"),
    commands: CLIENTS,
    default: "",
    defaultHelp: "in the cluster its service account, else $KUBECONFIG, else ~/.kube/config",
    help: "how to reach the API server",
  },
  context: {
    flag: "context",
    kind: text("NAME"),
    commands: CLIENTS,
    default: "",
    defaultHelp: "the current one",
    help: "context in the kubeconfig",
  },
  serviceProxyName: {
    flag: "service-proxy-name",
    kind: labelValue(),
    commands: ["agent", "explain", "webhook", "adopt"],
    default: "",
    defaultHelp:
      "replace kube-proxy: serve all Services without that label; webhook and adopt: lightpath.cloud",
    help: "serve only Services whose label service.kubernetes.io/service-proxy-name has this value, " +
      "e.g. lightpath.cloud beside kube-proxy; webhook and adopt give it to Services",
  },
  mode: {
    flag: "mode",
    kind: choice("on-demand", "eager"),
    commands: ENVOY,
    default: "on-demand",
    help: "when Envoy learns of a Service: at its first connection, or all beforehand",
  },
  tcpPath: {
    flag: "tcp-path",
    kind: choice("envoy", "kernel"),
    commands: EXPLAINED,
    default: "envoy",
    help: "what carries the TCP ports of Services without the annotation lightpath.cloud/path",
  },
  redirect: {
    flag: "redirect",
    kind: choice("auto", "nftables", "iptables", "none"),
    commands: AGENT,
    default: "auto",
    help:
      "how the kernel brings Service traffic to Envoy and endpoints; auto means nftables, or where that cannot be iptables with " +
      "ipset; none leaves the kernel untouched",
  },
  sourceAddress: {
    flag: "source-address",
    kind: choice("preserve", "node"),
    commands: AGENT,
    default: "preserve",
    help:
      "whose address endpoints see where a connection goes through Envoy: its client's, as far as the node can do " +
      "that, or the node's",
  },
  markMask: {
    flag: "mark-mask",
    kind: markMask(),
    commands: AGENT,
    default: renderMark(DEFAULT_MARK_MASK),
    help:
      "two bits of packet and connection marks that nothing else on the node uses; for --source-address=preserve, and where " +
      "iptables redirects",
  },
  routeTable: {
    flag: "route-table",
    kind: routeTable(),
    commands: AGENT,
    default: "1676",
    help: "number of a routing table that nothing else on the node uses; for --source-address=preserve",
  },
  envoy: {
    flag: "envoy",
    kind: choice("run", "sidecar", "external"),
    commands: AGENT,
    default: "run",
    help:
      "who runs Envoy: the agent; another container of its pod, which ends after it; somebody else, and it stays when " +
      "the agent ends",
  },
  drainTimeMs: {
    flag: "drain-time",
    kind: durationMs({ minMs: 0 }),
    commands: ["agent", "webhook"],
    default: "5s",
    help:
      "at the end: how long an Envoy that ends with the agent may finish what is under way; how long the webhook goes on " +
      "answering, until nobody asks it any more",
  },
  envoyBin: {
    flag: "envoy-bin",
    kind: text("PATH"),
    commands: AGENT,
    default: ({ env }) => fromEnv(env, "ENVOY_BIN") ?? { text: "", origin: "the default" },
    defaultHelp: "$ENVOY_BIN, else envoy on the PATH, else fetched once",
    help: "Envoy's binary",
  },
  envoyConcurrency: {
    flag: "envoy-concurrency",
    kind: integer({ min: 0, max: 1024 }),
    commands: AGENT,
    default: "0",
    defaultHelp: "0: one per processor",
    help: "Envoy's worker threads",
  },
  envoyLogLevel: {
    flag: "envoy-log-level",
    kind: choice("trace", "debug", "info", "warning", "error", "critical", "off"),
    commands: AGENT,
    default: "warning",
    help: "how much Envoy logs; its lines appear among the agent's",
  },
  runDir: {
    flag: "run-dir",
    kind: text("PATH"),
    commands: ["agent", "bootstrap", "explain"],
    default: "/run/lightpath",
    help: "folder of the sockets below and of Envoy's bootstrap",
  },
  stateDir: {
    flag: "state-dir",
    kind: text("PATH"),
    commands: AGENT,
    default: "/var/lib/lightpath",
    help:
      "folder of the list of Clusters this node uses, by which a restarted Envoy has them before it listens; " +
      "empty: it is not kept beyond the agent's life",
  },
  agentSocket: {
    flag: "agent-socket",
    kind: text("PATH"),
    commands: EXPLAINED,
    default: (_, runDir) => ({ text: `${runDir}/agent.sock`, origin: "the default in --run-dir" }),
    defaultHelp: "agent.sock in --run-dir",
    help: 'Unix socket on which the agent answers "lightpath explain"',
  },
  adsSocket: {
    flag: "ads-socket",
    kind: text("PATH"),
    commands: ENVOY,
    default: (_, runDir) => ({ text: `${runDir}/ads.sock`, origin: "the default in --run-dir" }),
    defaultHelp: "ads.sock in --run-dir",
    help: "Unix socket on which Envoy is fed",
  },
  adsAddress: {
    flag: "ads-address",
    kind: hostPort({ loopbackOnly: true }),
    commands: ENVOY,
    help: "feed Envoy on this loopback address instead of the socket; every local user can read it there",
  },
  envoyAdminSocket: {
    flag: "envoy-admin-socket",
    kind: text("PATH"),
    commands: ENVOY,
    default: (_, runDir) => ({ text: `${runDir}/envoy-admin.sock`, origin: "the default in --run-dir" }),
    defaultHelp: "envoy-admin.sock in --run-dir",
    help: "Unix socket of Envoy's admin interface",
  },
  tcpPort: {
    flag: "tcp-port",
    kind: port(),
    commands: ENVOY,
    default: "1666",
    help: "port of Envoy's listener for TCP Services",
  },
  httpPort: {
    flag: "http-port",
    kind: port(),
    commands: ENVOY,
    default: "1667",
    help: "port of Envoy's listener for HTTP Services",
  },
  ipFamilies: {
    flag: "ip-families",
    kind: choice("auto", "IPv4", "IPv6", "dual"),
    commands: ["agent", "bootstrap", "explain"],
    default: "auto",
    help: "families to serve; auto means those this node has",
  },
  clusterCIDRs: {
    flag: "cluster-cidr",
    kind: cidrs(),
    commands: AGENT,
    defaultHelp: "unknown: nobody is known to be a pod",
    help:
      "ranges that hold all pods' addresses, as kube-proxy's: pods get all endpoints where externalTrafficPolicy is Local, " +
      "and who comes to a ClusterIP from elsewhere is masqueraded",
  },
  serviceCIDRs: {
    flag: "service-cidr",
    kind: cidrsOr("auto"),
    commands: AGENT,
    default: "auto",
    help:
      "ranges that hold all ClusterIPs: what is sent to an address there that no Service has is dropped; auto: what the API " +
      "server's ServiceCIDR objects say, and nothing with --service-proxy-name or --manifests",
  },
  nodeportAddresses: {
    flag: "nodeport-addresses",
    kind: cidrsOr("primary"),
    commands: AGENT,
    default: "primary",
    help:
      "NodePorts answer only on node addresses in these ranges (may be repeated; a family without a range has all of its " +
      "own), or on the node's primary address of each family",
  },
  nodeIPs: {
    flag: "node-ip",
    kind: ipAddresses(),
    commands: AGENT,
    defaultHelp: "those of the interface with the default route",
    help:
      "the node's primary addresses, one for each family, as in the status of its Node; for --nodeport-addresses",
  },
  resyncIntervalMs: {
    flag: "resync-interval",
    kind: durationMs({ minMs: 1_000 }),
    commands: AGENT,
    default: "10m",
    help: "how often the kernel's table is compared with what it should be",
  },
  nftBin: {
    flag: "nft-bin",
    kind: text("PATH"),
    commands: ["agent", "cleanup"],
    default: "nft",
    help: "the nft program",
  },
  ipBin: {
    flag: "ip-bin",
    kind: text("PATH"),
    commands: ["agent", "cleanup"],
    default: "ip",
    help: "the ip program of iproute2, which makes the policy routes for --source-address=preserve",
  },
  iptablesBin: {
    flag: "iptables-bin",
    kind: text("PATH"),
    commands: ["agent", "cleanup"],
    default: "",
    defaultHelp: "iptables-nft or iptables-legacy, whichever the node uses",
    help:
      "the iptables program; iptables-restore, iptables-save and those of ip6tables are expected beside it",
  },
  ipsetBin: {
    flag: "ipset-bin",
    kind: text("PATH"),
    commands: ["agent", "cleanup"],
    default: "ipset",
    help: "the ipset program",
  },
  sysctlDir: {
    flag: "sysctl-dir",
    kind: text("PATH"),
    commands: AGENT,
    default: "/proc/sys",
    help: "where the node's kernel settings can be written; in a container mostly somewhere else",
  },
  conntrackBin: {
    flag: "conntrack-bin",
    kind: text("PATH"),
    commands: AGENT,
    default: "conntrack",
    help: "the conntrack program, which deletes UDP flows to endpoints that are gone",
  },
  conntrackMaxPerCore: {
    flag: "conntrack-max-per-core",
    kind: integer({ min: 0, max: 100_000_000 }),
    commands: AGENT,
    default: "32768",
    help: "connections that the kernel is to be able to track, for each processor; 0: as many as it can",
  },
  conntrackMin: {
    flag: "conntrack-min",
    kind: integer({ min: 0, max: 100_000_000 }),
    commands: AGENT,
    default: "131072",
    help: "the fewest of them, however few processors there are",
  },
  conntrackTCPTimeoutEstablishedMs: {
    flag: "conntrack-tcp-timeout-established",
    kind: durationMs({ minMs: 0 }),
    commands: AGENT,
    default: "24h",
    help: "how long it is to remember silent TCP connections at least; 0s: as long as it does",
  },
  conntrackTCPTimeoutCloseWaitMs: {
    flag: "conntrack-tcp-timeout-close-wait",
    kind: durationMs({ minMs: 0 }),
    commands: AGENT,
    default: "1h",
    help: "the same of those of which one side has ended its half",
  },
  cacheDir: {
    flag: "cache-dir",
    kind: text("PATH"),
    commands: AGENT,
    default: ({ env }) => defaultCacheDir(env),
    defaultHelp: "$XDG_CACHE_HOME/lightpath, else ~/.cache/lightpath",
    help: "where a fetched Envoy is kept",
  },
  healthzBindAddress: {
    flag: "healthz-bind-address",
    kind: hostPort({ defaultPort: 10256 }),
    commands: SERVERS,
    default: "0.0.0.0:10256",
    help: "where /healthz, /livez and /readyz are served; empty: nowhere",
  },
  metricsBindAddress: {
    flag: "metrics-bind-address",
    kind: hostPort({ defaultPort: 10249 }),
    commands: SERVERS,
    default: "127.0.0.1:10249",
    help: "where /metrics is served; empty: nowhere",
  },
  logLevel: {
    flag: "log-level",
    kind: choice("debug", "info", "warn", "error"),
    commands: ALL,
    default: "info",
    help: "the least important lines to log",
  },
  logFormat: {
    flag: "log-format",
    kind: choice("text", "json"),
    commands: ALL,
    default: "text",
    help: "how log lines look",
  },
  output: {
    flag: "output",
    kind: text("PATH"),
    commands: ["bootstrap"],
    default: "-",
    defaultHelp: "- : standard output",
    help: "file to write the bootstrap to",
  },
  format: {
    flag: "format",
    kind: choice("yaml", "json"),
    commands: ["bootstrap"],
    default: "yaml",
    help: "notation of the bootstrap",
  },
  service: {
    flag: "service",
    kind: serviceName(),
    commands: ["explain"],
    help: "the Service to explain",
    isOperand: true,
  },
  all: {
    flag: "all",
    kind: toggle(),
    commands: ["explain"],
    default: "false",
    help: "show the settings that are at their defaults too",
  },
  json: {
    flag: "json",
    kind: toggle(),
    commands: ["explain"],
    default: "false",
    help: "print JSON",
  },
  excludeNamespaces: {
    flag: "exclude-namespaces",
    kind: namespaceNames(),
    commands: ["webhook", "adopt"],
    default: "kube-system,lightpath-system,cert-manager",
    help:
      "namespaces whose Services are left alone; for the webhook, change the namespaceSelector of its configuration too, so " +
      "that it is not even asked",
  },
  webhookBindAddress: {
    flag: "webhook-bind-address",
    kind: hostPort({ defaultPort: 8443 }),
    commands: WEBHOOK,
    default: "0.0.0.0:8443",
    help: "where the webhook answers, over TLS",
  },
  certificateDir: {
    flag: "certificate-dir",
    kind: text("PATH"),
    commands: WEBHOOK,
    default: "",
    defaultHelp: "the webhook makes its own certificate, and has the API server trust it",
    help:
      "folder with tls.crt and tls.key, as a Secret that cert-manager keeps is mounted; read again when they change",
  },
  webhookConfiguration: {
    flag: "webhook-configuration",
    kind: objectName(),
    commands: WEBHOOK,
    default: "lightpath",
    help:
      "MutatingWebhookConfiguration whose webhooks are told whom to trust; it says where the webhook is called",
  },
  webhookSecret: {
    flag: "webhook-secret",
    kind: namespacedObjectName(),
    commands: WEBHOOK,
    default: "lightpath-system/lightpath-webhook",
    help: "Secret in which the webhook keeps its own certificates",
  },
  certificateLifetimeMs: {
    flag: "certificate-lifetime",
    kind: durationMs({ minMs: 6_000 }),
    commands: WEBHOOK,
    default: "336h",
    help: "how long a certificate of the webhook's own holds; it is replaced after two thirds of that",
  },
  namespace: {
    flag: "namespace",
    kind: namespaceName(),
    commands: ADOPT,
    default: "",
    defaultHelp: "all",
    help: "adopt the Services of this namespace only",
  },
  release: {
    flag: "release",
    kind: toggle(),
    commands: ADOPT,
    default: "false",
    help: "take the label away again from the Services that have it, so that kube-proxy serves them",
  },
  dryRun: {
    flag: "dry-run",
    kind: toggle(),
    commands: ADOPT,
    default: "false",
    help: "change nothing, only say what would be changed",
  },
};

/** The environment variable of a flag: `LIGHTPATH_NODE_NAME` for `node-name`. */
export function envName(flag: string): string {
  return `LIGHTPATH_${flag.replaceAll("-", "_").toUpperCase()}`;
}

function fromEnv(env: Surroundings["env"], name: string): DefaultText | undefined {
  const value = env[name];
  return value === undefined || value === ""
    ? undefined
    : { text: value, origin: `environment variable ${name}` };
}

/** The kubelet's rule, and for machines that are no Node (whose names may hold anything) something it could be called. */
function defaultNodeName(hostname: string): DefaultText {
  const name = hostname.trim().toLowerCase().replace(/[^-a-z0-9.]/g, "-").replace(/^[-.]+|[-.]+$/g, "");
  return { text: name === "" ? "localhost" : name, origin: "this machine's host name" };
}

function defaultCacheDir(env: Surroundings["env"]): DefaultText {
  const origin = "the default";
  const xdg = fromEnv(env, "XDG_CACHE_HOME");
  if (xdg !== undefined) return { text: `${xdg.text}/lightpath`, origin: xdg.origin };
  const home = fromEnv(env, "HOME");
  return { text: home === undefined ? "/var/cache/lightpath" : `${home.text}/.cache/lightpath`, origin };
}
