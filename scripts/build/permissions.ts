/**
 * What Lightpath may do as a program: the one list of Deno's permissions, by which it is compiled, bundled and tested.
 *
 * In: what a build needs beyond the image (folders, programs). Out: flags of `deno run` and `deno compile`.
 * Invariants: whatever is not here is refused, at a terminal too. These permissions keep mistakes small, in this program and in the
 * packages it is made of. They are no wall: who may call the C library and run `nft` as root can do what root can. The wall is the
 * container's: its capabilities, its read-only file system (deploy/base/daemonset.yaml).
 * Source: Deno 2.9, "Security and permissions"; /proc, /sys and /dev are refused whatever `--allow-read` says, and are reached by
 * the C library (agent/system_files.ts).
 * @module
 */
import { LIBC_PATHS } from "../../agent/libc.ts";

/** What a build is to be permitted beyond the image. */
export interface MorePermissions {
  /** To be read and written. */
  readonly folders?: readonly string[];
  /** To be run: names on the PATH, or paths. */
  readonly programs?: readonly string[];
}

/** Sockets and Envoy's bootstrap; what a node used before. */
const WRITTEN_FOLDERS: readonly string[] = ["/run/lightpath", "/var/lib/lightpath"];

const READ_FOLDERS: readonly string[] = [
  ...WRITTEN_FOLDERS,
  // What is mounted there: a file of settings, manifests, kubeconfigs, certificates.
  "/etc/lightpath",
  // The service account's token. /var/run is a link, and Deno goes by the name.
  "/run/secrets/kubernetes.io",
  "/var/run/secrets/kubernetes.io",
];

const VARIABLES: readonly string[] = [
  "LIGHTPATH_*",
  // Given by deploy/ and by the kubelet.
  "NODE_NAME",
  "KUBERNETES_SERVICE_HOST",
  "KUBERNETES_SERVICE_PORT",
  // Where programs and a kubeconfig are looked for.
  "PATH",
  "HOME",
  "KUBECONFIG",
];

const IPTABLES: readonly string[] = ["iptables", "iptables-nft", "iptables-legacy"];

const PROGRAMS: readonly string[] = [
  "nft",
  "ip",
  "conntrack",
  "ipset",
  ...IPTABLES.flatMap((name) => [name, name.replace("iptables", "ip6tables")])
    .flatMap((name) => [name, `${name}-save`, `${name}-restore`]),
];

/** Names of Deno's functions: the node's default name, its addresses, the kernel's version. */
const SYSTEM: readonly string[] = ["hostname", "networkInterfaces", "osRelease"];

/** The flags, for `deno run` and `deno compile` alike. */
export function permissionFlags({ folders = [], programs = [] }: MorePermissions = {}): readonly string[] {
  return [
    "--no-prompt",
    // The API server is anywhere, and the ports that are listened on are settings.
    "--allow-net",
    `--allow-read=${[...READ_FOLDERS, ...folders]}`,
    `--allow-write=${[...WRITTEN_FOLDERS, ...folders]}`,
    `--allow-run=${[...PROGRAMS, ...programs]}`,
    `--allow-env=${VARIABLES}`,
    // All others are as if they were not set; packages ask for some at their start.
    "--ignore-env",
    `--allow-sys=${SYSTEM}`,
    `--allow-ffi=${LIBC_PATHS}`,
  ];
}
