/**
 * Explains a Service as a running agent serves it, for which others are asked what the agent does not know: Envoy, which
 * endpoints it leaves out; the source of the objects, whether there is a Service that is not served.
 *
 * In: the name, the agent's parts. Out: what is answered on the local socket. Who does not answer soon is waited for no longer,
 * and the answer says what is not known for that reason.
 * @module
 */
import type { ObjectSource } from "../../agent/kube/mod.ts";
import type { Problem, ServiceModel, ServiceSelection } from "../../agent/model/mod.ts";
import {
  type AdsServer,
  askLeftOutEndpoints,
  type LeftOutEndpoints,
  type ResourceStore,
} from "../../xds/mod.ts";
import { explainService, type Found } from "./explanation.ts";
import type { Answer } from "./local_socket.ts";

/** The parts of an agent that know something. */
export interface LiveSources {
  readonly nodeName: string;
  readonly selection: ServiceSelection;
  readonly model: ServiceModel;
  readonly store: ResourceStore;
  readonly ads: Pick<AdsServer, "resourceStates">;
  /** Envoy's admin interface. */
  readonly adminSocket: string;
  readonly source: Pick<ObjectSource, "findService">;
  /** What is wrong with a Service on this node alone. */
  readonly problemOnNode: (service: string) => Problem | undefined;
  /** Why endpoints do not see their clients' addresses through Envoy, although they should. */
  readonly clientAddressLacking: () => string | undefined;
}

const LOOK_UP_TIMEOUT_MS = 5_000;

/** Explains a Service now. */
export async function explainLive(service: string, sources: LiveSources): Promise<Answer> {
  const { nodeName, selection, model, store, ads, source, problemOnNode, clientAddressLacking } = sources;
  if (!store.ready) return { notYet: "the agent has just begun and still reads the Services; ask again" };
  const [leftOut, found] = model.examine(service) === undefined
    ? [undefined, await lookUp(service, source)]
    : [await whatEnvoyLeavesOut(service, sources), undefined];
  return explainService(service, {
    viewpoint: { kind: "agent", nodeName },
    selection,
    model,
    store,
    resourceStates: ads.resourceStates,
    leftOut,
    found,
    problemOnNode,
    clientAddressLacking: clientAddressLacking(),
  });
}

/** Looks for a Service that is not served. */
async function lookUp(name: string, source: LiveSources["source"]): Promise<Found> {
  if (!/^[^/]+\/[^/]+$/.test(name)) return { service: undefined };
  try {
    return { service: await source.findService(name, AbortSignal.timeout(LOOK_UP_TIMEOUT_MS)) };
  } catch (error) {
    return { unknown: reasonOf(error) };
  }
}

/** Asks Envoy, if it has any of the Service's Clusters. A sentence: why that is not known. */
async function whatEnvoyLeavesOut(
  service: string,
  { model, store, ads, adminSocket }: LiveSources,
): Promise<LeftOutEndpoints | string> {
  const clusters = (model.examine(service)?.ports ?? [])
    .flatMap(({ servicePort }) => [...store.resourcesOf(servicePort)])
    .filter(({ type, name }) =>
      type === "Cluster" && ads.resourceStates(type, name).some(({ state }) => state !== "not-asked-for")
    );
  if (clusters.length === 0) return new Map();
  try {
    return await askLeftOutEndpoints(adminSocket, clusters.map(({ name }) => name));
  } catch (error) {
    return reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
