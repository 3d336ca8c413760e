/**
 * What the suite knows of the cluster it runs on, and all it can do to it. Behind it: `local/` and `kind/`.
 *
 * Invariants: two nodes that run pods, without kube-proxy; a machine beyond the nodes, which sends {@linkcode LOAD_BALANCER_IP}
 * to one of them; both address families. What is asked for here ends within a bounded time.
 * @module
 */
import type { ExecResult, LoadProcess } from "../lab/mod.ts";
import type { KubeApi } from "./kube_api.ts";

/** An address that leads from outside to a node, as if a load balancer had it. */
export const LOAD_BALANCER_IP = "198.51.100.10";

/** From where something is done: a pod of the namespace `default` by its name, or the machine beyond the nodes. */
export type Place = { readonly pod: string } | "outside";

/** Names of images that the cluster's nodes have. */
export interface Images {
  /** Lightpath of this checkout. */
  readonly current: string;
  /** Lightpath of the commit before. */
  readonly previous: string;
  /** The programs of scripts/lab in /lab, `deno` and `python3`. */
  readonly tools: string;
  readonly kubeProxy: string;
}

/** A node that runs pods. */
export interface E2eNode {
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** A container of a pod. */
export interface ContainerName {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

/** See the module's comment. */
export interface E2eCluster extends AsyncDisposable {
  /** As an administrator. */
  readonly api: KubeApi;
  readonly images: Images;
  readonly nodes: readonly [E2eNode, E2eNode];
  /** Where nodes reach the API server without any Service. */
  readonly apiServer: { readonly host: string; readonly port: number };
  /** All pods' addresses are in these. */
  readonly clusterCidrs: readonly string[];
  /** The overlay of deploy/overlays that replaces kube-proxy here. */
  readonly overlay: "standalone" | "kind";
  /** What is not real here, in a sentence. */
  readonly note: string | undefined;
  /** What of the suite cannot be had here as it is meant to be, each in a sentence. */
  readonly skipped: readonly string[];

  /** Runs a command to its end. */
  exec(place: Place, command: readonly string[], options?: { readonly stdin?: string }): Promise<ExecResult>;
  /** Starts a command that goes on. */
  spawn(place: Place, command: readonly string[]): LoadProcess;
  /** Runs a command as an administrator of a node, in its network. @returns its output @throws {Error} when it fails */
  onNode(node: E2eNode, command: readonly string[]): Promise<string>;
  /** Kills a container's process; its kubelet starts another. */
  killContainer(name: ContainerName): Promise<void>;
  stopApiServer(): Promise<void>;
  /** Returns when it answers again. */
  startApiServer(): Promise<void>;
  /** Makes etcd forget all history before now. */
  compactEtcd(): Promise<void>;
  /** The log of all a container's lives so far. */
  logOf(name: ContainerName): Promise<string>;
  /** Copies the logs of everything into a folder. */
  keepLogs(folder: string): Promise<void>;
}
