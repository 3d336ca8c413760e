/**
 * A real kube-controller-manager beside a control plane: what turns Deployments and DaemonSets into Pods, and Pods into
 * EndpointSlices.
 *
 * In: the program, a kubeconfig, a folder for its log. Out: a handle to end it.
 * Invariant: it runs the controllers that a cluster's workloads need and no others; none of them waits for nodes or volumes.
 * Source: kube-controller-manager's command-line reference.
 * @module
 */
import { join } from "@std/path/join";
import { RunningProgram } from "./running_program.ts";

const CONTROLLERS: readonly string[] = [
  "daemonset-controller",
  "deployment-controller",
  "endpointslice-controller",
  // Pods go with their Deployment.
  "garbage-collector-controller",
  "replicaset-controller",
];

/** What it is started with. */
export interface ControllerManagerOptions {
  readonly program: string;
  readonly kubeconfig: string;
  /** For `kube-controller-manager.log`. */
  readonly dir: string;
}

/** Starts it; what it has done shows at the API server. */
export function startControllerManager(
  { program, kubeconfig, dir }: ControllerManagerOptions,
): RunningProgram {
  return RunningProgram.start(program, [
    `--kubeconfig=${kubeconfig}`,
    `--controllers=${CONTROLLERS.join(",")}`,
    "--leader-elect=false",
    // Nobody asks it for its health.
    "--secure-port=0",
    // The default would make a rolling restart wait for the client's own limit.
    "--kube-api-qps=200",
    "--kube-api-burst=300",
  ], join(dir, "kube-controller-manager.log"));
}
