/**
 * Words that several scenarios use.
 * @module
 */
import { until } from "../../../commands/testing/until.ts";
import type { Installation } from "../installation.ts";
import type { PodObject, Stage } from "../stage.ts";
import type { E2eNode } from "../cluster.ts";

/** The usual one. */
export const INSTEAD: Installation = { mode: "instead of kube-proxy", version: "current" };

/** For what happens between two proxies. */
export const BESIDE: Installation = { mode: "beside kube-proxy", version: "current" };

/** The label that says whose a Service is. */
export const PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name";

/** @throws {Error} with what was seen instead */
export function expect(what: string, seen: unknown, expected: unknown): void {
  const [is, should] = [JSON.stringify(seen), JSON.stringify(expected)];
  if (is !== should) throw new Error(`${what}: ${is} instead of ${should}`);
}

/** Kills a container of Lightpath on a node, and waits until its next life is ready. */
export async function killAndAwait(stage: Stage, { node, container }: {
  readonly node: E2eNode;
  readonly container: "agent" | "envoy";
}): Promise<void> {
  const { metadata: { name: pod } } = await stage.lightpathOn(node);
  const before = restarts(await stage.lightpathOn(node), container);
  await stage.cluster.killContainer({ namespace: "lightpath-system", pod, container });
  await until(
    `another life of ${container}`,
    async () => restarts(await stage.lightpathOn(node), container),
    {
      wanted: (count) => count > before,
    },
  );
  await stage.untilPodReady(pod, "lightpath-system");
}

function restarts({ status }: PodObject, container: string): number {
  const all = [...status.containerStatuses ?? [], ...status.initContainerStatuses ?? []];
  return all.find(({ name }) => name === container)?.restartCount ?? 0;
}
