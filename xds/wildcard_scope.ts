/**
 * How far a wildcard subscription goes.
 *
 * `all`: every Cluster, for an Envoy that never asks for one (eager mode). `used`: those this node used before, for an
 * Envoy that asks for the rest at their first connection (on-demand mode), so that after a restart it has them before
 * it listens; and those of Services whose Listener cannot ask (redis), as soon as there are any. Of Listeners a wildcard
 * always takes all, in both modes: Envoy has no way to ask for one.
 *
 * Which of the two an Envoy needs depends on the listeners it was started with, so it says so itself, in `node.metadata`
 * of its bootstrap. An agent that was started with another `--mode` than its Envoy thus still gives it what it needs.
 * @module
 */
import type { XdsType } from "./type_urls.ts";

/** See the module's comment. */
export type WildcardScope = "all" | "used";

/** What a wildcard of this type means to an Envoy that says this of its Clusters. */
export function wildcardScopeFor(type: XdsType, ofClusters: WildcardScope): WildcardScope {
  return type === "Listener" ? "all" : ofClusters;
}

const METADATA_KEY = "lightpath.cloud/wildcard";

/** `node.metadata` by which an Envoy says what its wildcard means. */
export function wildcardMetadata(scope: WildcardScope): { readonly [key: string]: WildcardScope } {
  return { [METADATA_KEY]: scope };
}

/** What an Envoy's wildcard means. One that does not say gets all: it may have no other way to learn of a Cluster. */
export function wildcardScopeOf(metadata: Readonly<Record<string, unknown>> | undefined): WildcardScope {
  return metadata?.[METADATA_KEY] === "used" ? "used" : "all";
}
