/**
 * Finds the outside programs a stage needs, or fetches them into the user's cache.
 * @module
 */
import { namespacesUnavailable } from "../lab/mod.ts";
import { withTools } from "../tool_path.ts";
import type { ToolName } from "../tools/mod.ts";
import type { Programs, Source } from "./node_stage.ts";

/** @throws {Error} When the machine lacks something, with a sentence for each. */
export async function findPrograms(source: Source): Promise<Programs> {
  const always: readonly ToolName[] = ["ip", "unshare", "nsenter", "nft", "envoy"];
  const tools = await withTools(source === "api" ? [...always, "etcd", "kube-apiserver"] : always);
  const missing = [...tools.unavailable, await namespacesUnavailable()].filter((one) => one !== undefined);
  if (missing.length > 0) throw new Error(`cannot measure here: ${missing.join("; ")}`);
  const path = (name: ToolName): string => tools.paths.get(name) ?? name;
  return {
    envoy: path("envoy"),
    nft: path("nft"),
    etcd: path("etcd"),
    kubeApiserver: path("kube-apiserver"),
  };
}
