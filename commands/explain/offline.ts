/**
 * Explains a Service by manifests alone: what an agent would decide, where none runs.
 *
 * In: paths of manifests, which Services would be served. Out: an Explanation, without what only a running agent knows
 * (Envoy's answers, the node's addresses and so the Clusters of NodePorts).
 * @module
 */
import { createManifestSource } from "../../agent/kube/mod.ts";
import type { Logger } from "../../agent/log.ts";
import { type ModelOptions, ServiceModel, type ServiceSelection } from "../../agent/model/mod.ts";
import { ResourceStore } from "../../xds/mod.ts";
import { explainService, type Explanation, type NotServed } from "./explanation.ts";

/** What {@linkcode explainManifests} needs. */
export interface OfflineOptions {
  readonly service: string;
  readonly manifests: readonly string[];
  readonly selection: ServiceSelection;
  /** The node an agent would run on. */
  readonly node: ModelOptions;
  /** Told of manifests that do not parse. */
  readonly logger: Logger;
}

/** Reads the manifests once and explains. @throws {ManifestPathError} when a path does not exist */
export async function explainManifests(
  { service, manifests, selection, node, logger }: OfflineOptions,
  signal: AbortSignal,
): Promise<Explanation | NotServed> {
  const model = new ServiceModel(selection, node);
  const complete = new AbortController();
  const source = createManifestSource({ paths: manifests, logger });
  await source.run({
    take: (events) => model.load(events),
    synced: () => complete.abort(),
  }, AbortSignal.any([signal, complete.signal]));
  model.loaded();
  const store = new ResourceStore({ view: model, nodeAddresses: { IPv4: [], IPv6: [] } });
  return explainService(service, {
    viewpoint: { kind: "manifests" },
    selection,
    model,
    store,
    resourceStates: undefined,
    found: { service: await source.findService(service, signal) },
  });
}
