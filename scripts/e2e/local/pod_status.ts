/**
 * What a kubelet says of a pod. Pure.
 *
 * In: the pod and the state of its containers. Out: the Pod's `status`, the same for the same state but for the times of its
 * conditions, which the caller keeps.
 * Source: Kubernetes API reference (PodStatus v1).
 * @module
 */
import type { LocalPod } from "./pod.ts";
import type { ContainerSpec } from "./pod_spec.ts";

/** What is patched into the Pod; conditions without their times. */
export interface PodStatus {
  readonly phase: "Pending" | "Running";
  readonly conditions: readonly { readonly type: string; readonly status: "True" | "False" }[];
  readonly message: string | null;
  readonly [field: string]: unknown;
}

/** See the module's comment. */
export function podStatus(one: LocalPod): PodStatus {
  const { spec: { containers, initContainers = [] } } = one.pod;
  const { hostIPs, podIPs } = one.place;
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === "Always");
  const stays = [...sidecars, ...containers];
  const isReady = one.isInitialized && stays.every(({ name }) => one.container(name)?.isReady === true);
  const isRunning = containers.every(({ name }) => one.container(name) !== undefined);
  return {
    phase: isRunning ? "Running" : "Pending",
    message: one.problem ?? null,
    startTime: one.startTime,
    hostIP: hostIPs.ipv4,
    hostIPs: [{ ip: hostIPs.ipv4 }, { ip: hostIPs.ipv6 }],
    podIP: podIPs.ipv4,
    podIPs: [{ ip: podIPs.ipv4 }, { ip: podIPs.ipv6 }],
    conditions: [
      { type: "PodScheduled", status: "True" },
      condition("Initialized", one.isInitialized),
      condition("ContainersReady", isReady),
      condition("Ready", isReady),
    ],
    containerStatuses: containers.map((spec) => containerStatus(one, spec)),
    initContainerStatuses: initContainers.map((spec) => containerStatus(one, spec)),
  };
}

function condition(type: string, is: boolean): PodStatus["conditions"][0] {
  return { type, status: is ? "True" : "False" };
}

function containerStatus(one: LocalPod, { name, image, restartPolicy }: ContainerSpec): unknown {
  const container = one.container(name);
  const isInit = one.pod.spec.initContainers?.some((spec) => spec.name === name) === true;
  const completed = isInit && restartPolicy !== "Always" && one.isInitialized;
  return {
    name,
    image,
    imageID: "",
    ready: completed || container?.isReady === true,
    started: container?.hasStarted === true,
    restartCount: container?.restarts ?? 0,
    state: completed
      ? { terminated: { exitCode: 0, reason: "Completed" } }
      : container?.isRunning === true
      ? { running: {} }
      : { waiting: { reason: one.problem === undefined ? "ContainerCreating" : "CreateContainerError" } },
  };
}
