/**
 * How Lightpath comes into the cluster: an overlay of deploy/, with an image of this run and a few settings, applied and waited for
 * as `kubectl apply -k` and `kubectl rollout status` would.
 *
 * Invariant: manifests and rights are those of deploy/; the settings that are added say where this cluster is, and save time.
 * @module
 */
import { join } from "@std/path/join";
import { until } from "../../commands/testing/until.ts";
import { progress } from "../tool_path.ts";
import { ensureTool } from "../tools/mod.ts";
import { runProgram } from "../tools/run_program.ts";
import type { KubeObject } from "../lab/object_path.ts";
import type { E2eCluster } from "./cluster.ts";
import { parseManifests } from "./kube_api.ts";
import { kubeProxyManifests } from "./manifests.ts";
import { CHECKOUT } from "./previous_version.ts";

/** Whether Lightpath serves everything, or beside a kube-proxy what has its label; and which Lightpath. */
export interface Installation {
  readonly mode: "instead of kube-proxy" | "beside kube-proxy";
  readonly version: "current" | "previous";
}

const ROLLOUT_TIMEOUT_MS = 120_000;

/** Applies it and waits until all its pods are ready. */
export async function install(cluster: E2eCluster, { mode, version }: Installation): Promise<void> {
  const { api, apiServer } = cluster;
  const beside = mode === "beside kube-proxy";
  if (beside) {
    await api.apply(...kubeProxyManifests(cluster));
    await untilRolledOut(cluster, "kube-system", "kube-proxy");
  }
  const settings = {
    LIGHTPATH_CLUSTER_CIDR: cluster.clusterCidrs.join(","),
    // Clients of the suite that keep idle connections would wait for the whole of the default.
    LIGHTPATH_DRAIN_TIME: "2s",
    ...(beside ? {} : {
      KUBERNETES_SERVICE_HOST: apiServer.host,
      KUBERNETES_SERVICE_PORT: String(apiServer.port),
    }),
  };
  const objects = await buildOverlay(beside ? "overlays/hybrid" : `overlays/${cluster.overlay}`, {
    image: cluster.images[version],
    settings,
  });
  await api.apply(...objects.filter((object) => !isAdmission(object)));
  await untilRolledOut(cluster, "lightpath-system", "lightpath");
}

/** Who labels new Services is the matter of scenarios of their own, which apply it apart. */
function isAdmission({ kind, metadata }: KubeObject): boolean {
  return kind.startsWith("Mutating") || metadata.name === "lightpath-webhook";
}

/** The objects of a kustomization of deploy/ with another image of Lightpath, and settings for the agent if there are any. */
export async function buildOverlay(
  path: string,
  { image, settings }: { readonly image: string; readonly settings?: Readonly<Record<string, string>> },
): Promise<KubeObject[]> {
  const kustomize = await ensureTool("kustomize", { onProgress: progress });
  if (kustomize.path === undefined) throw new Error(kustomize.unavailable);
  const folder = await Deno.makeTempDir({ prefix: "lightpath-e2e-overlay-" });
  try {
    const [newName, newTag] = image.split(":");
    const up = (await Deno.realPath(folder)).split("/").slice(1).map(() => "..").join("/");
    const kustomization = {
      apiVersion: "kustomize.config.k8s.io/v1beta1",
      kind: "Kustomization",
      // Of resources outside of its folder kustomize takes relative paths only.
      resources: [`${up}${join(CHECKOUT, "deploy", path)}`],
      // The name before and after a base has set it.
      images: ["lightpath", "lightpath/lightpath"].map((name) => ({ name, newName, newTag })),
      ...(settings === undefined ? {} : {
        configMapGenerator: [{
          name: "lightpath",
          namespace: "lightpath-system",
          behavior: "merge",
          literals: Object.entries(settings).map(([name, value]) => `${name}=${value}`),
        }],
      }),
    };
    await Deno.writeTextFile(join(folder, "kustomization.yaml"), JSON.stringify(kustomization));
    return parseManifests(await runProgram(kustomize.path, ["build", folder]));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface DaemonSet {
  readonly metadata: { readonly generation: number };
  readonly status: {
    readonly observedGeneration?: number;
    readonly desiredNumberScheduled: number;
    readonly updatedNumberScheduled?: number;
    readonly numberAvailable?: number;
  };
}

async function untilRolledOut({ api }: E2eCluster, namespace: string, name: string): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${namespace}/daemonsets/${name}`;
  const read = async (): Promise<string> => {
    const { metadata, status } = await api.get<DaemonSet>(path);
    const { desiredNumberScheduled: all, updatedNumberScheduled = 0, numberAvailable = 0 } = status;
    if (status.observedGeneration !== metadata.generation || all === 0) return "not looked at yet";
    if (updatedNumberScheduled === all && numberAvailable === all) return "rolled out";
    return `of ${all} pods ${updatedNumberScheduled} are new, ${numberAvailable} available`;
  };
  const wanted = (state: string): boolean => state === "rolled out";
  await until(`the DaemonSet ${name}`, read, { wanted, timeoutMs: ROLLOUT_TIMEOUT_MS });
}
