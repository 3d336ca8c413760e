/**
 * Network namespaces, a node with pods in them, and the programs that run there: for tests and the demo.
 * @module
 */

export { connect, type ConnectOptions, type Link } from "./links.ts";
export { Namespace, namespacesUnavailable, type Sysctls } from "./namespace.ts";
export { ask, type Attempt, type Question, type Speech, startWhoami, whoami } from "./whoami.ts";
export { LabProcess, type SpawnOptions } from "./process.ts";
export { Cluster, type ClusterNode } from "./cluster.ts";
export { Lab } from "./lab.ts";
export type { Addresses, Pod } from "./pod.ts";
export {
  type Answer,
  loadFlags,
  type LoadProcess,
  LoadRun,
  request,
  startEchoServerIn,
  startLoad,
} from "./load.ts";
export type { LoadOptions } from "./load_client.ts";
export type { LoadReport } from "./load_report.ts";
export type { ExecOptions, ExecResult } from "./run_command.ts";
