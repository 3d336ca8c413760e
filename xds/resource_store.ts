/**
 * All xDS resources of this node: which exist, and their bytes.
 *
 * In: a ModelView and the changes made to it, the node's addresses. Out: encoded resources by type and name, and
 * after each change the names it touched. A resource is translated and encoded when a stream first asks for it, and
 * then kept until its ServicePort changes: in on-demand mode only what this node uses is ever translated.
 *
 * Invariants: version is the hash of the content, so equal content is silent, across restarts too; a Cluster exists
 * for every VIP that Envoy carries and for every such NodePort at each of the node's addresses, and nothing else, and a Listener for those
 * of them whose ServicePort needs one of its own; for a Cluster or endpoints that Envoy asked for explicitly there is
 * always an answer, an empty one if need be.
 *
 * Cost of a change: the destinations of the changed ServicePorts. Only new node addresses walk all ServicePorts.
 * @module
 */
import { hash } from "node:crypto";
import {
  type DestinationKind,
  equalEndpoints,
  equalOwnListeners,
  IP_FAMILIES,
  isMasqueraded,
  type ModelView,
  type NodeAddresses,
  ownListenerOf,
  type ServicePort,
  type ServicePortChange,
  type ServicePortKey,
  trafficPolicyOf,
} from "../agent/model/mod.ts";
import {
  Cluster,
  ClusterLoadAssignment,
  Listener,
  RouteConfiguration,
  TypedExtensionConfig,
} from "../protos/mod.ts";
import {
  clusterName,
  type Destination,
  loadAssignmentName,
  parseClusterName,
  parseLoadAssignmentName,
  statisticsName,
} from "./names.ts";
import type { ChangedNames, EncodedResource, Interest, ResourceSource } from "./resource_source.ts";
import { ROUTE_CONFIGURATION_NAME, routeConfiguration, ROUTES_WITH_SETTINGS } from "./routes.ts";
import { emptyCluster, translateCluster } from "./translate/cluster.ts";
import { translateListener } from "./translate/listener.ts";
import { SOURCE_FILTER } from "./listeners.ts";
import { translateLoadAssignment } from "./translate/load_assignment.ts";
import { type RouteSettings, routeSettings } from "./translate/metadata.ts";
import { type SourceAddress, translateSourceFilter } from "./translate/source_filter.ts";
import { SEND_ORDER, type XdsType } from "./type_urls.ts";
import type { WildcardScope } from "./wildcard_scope.ts";

/** What the store needs. */
export interface ResourceStoreOptions {
  readonly view: ModelView;
  readonly nodeAddresses: NodeAddresses;
  /** The Clusters this node used before, the last used first, whether they exist now or not. @default none */
  readonly usedClusters?: () => Iterable<string>;
  /** Called for each resource that is translated and encoded; the tests count that work follows the change. */
  readonly onTranslate?: (type: XdsType, name: string) => void;
}

/**
 * So many destinations the routes name at most, 17 bytes each: each that comes, goes or changes its settings has all of them sent.
 * With more, the settings of all destinations are looked up in their Clusters, which costs a request 3 % of its instructions, and the
 * routes never change.
 */
const MOST_NAMED = 500;
/** Down to so few they stay that way: not to and fro at each change. */
const FEWEST_UNNAMED = 250;

/** The resources. Holds streams back (`ready`) until the first complete state is in. */
export class ResourceStore implements ResourceSource {
  readonly #view: ModelView;
  readonly #usedClusters: () => Iterable<string>;
  readonly #onTranslate: ((type: XdsType, name: string) => void) | undefined;
  #nodeAddresses: NodeAddresses;
  #sourceAddress: SourceAddress = { kind: "node" };
  #ready = false;
  readonly #opened = Promise.withResolvers<void>();
  readonly #encoded: Readonly<Record<XdsType, Map<string, EncodedResource>>> = {
    Cluster: new Map(),
    ClusterLoadAssignment: new Map(),
    TypedExtensionConfig: new Map(),
    Listener: new Map(),
    RouteConfiguration: new Map(),
  };
  /** The routes look for settings of every destination, because too many have some. */
  #namesNobody = false;
  /** By Cluster: what the routes are to do otherwise there. */
  readonly #routeSettings = new Map<string, RouteSettings>();
  /** Clusters whose ports have moved to the kernel while the agent ran: an Envoy that holds all Clusters keeps these. */
  readonly #movedAway = new Set<string>();
  readonly #listeners = new Set<(changed: ChangedNames) => void>();

  constructor({ view, nodeAddresses, usedClusters, onTranslate }: ResourceStoreOptions) {
    this.#view = view;
    this.#nodeAddresses = nodeAddresses;
    this.#usedClusters = usedClusters ?? (() => []);
    this.#onTranslate = onTranslate;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Settles when `ready` turns true. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** Opens the store: the view now holds the first complete state. Cost: all ServicePorts. */
  markReady(): void {
    if (this.#ready) return;
    for (const servicePort of this.#view.servicePorts()) {
      if (routeSettings(servicePort) === undefined) continue;
      for (const name of this.#clusterNames(servicePort, this.#nodeAddresses)) this.#noteRouteSettings(name);
    }
    this.#ready = true;
    this.#opened.resolve();
    this.#notify(new Map());
  }

  get(type: XdsType, name: string, interest: Interest): EncodedResource | undefined {
    return this.#encoded[type].get(name) ?? this.#encode(type, name, interest);
  }

  /**
   * Names for wildcard subscriptions: all, in the order of the ServicePorts; or of the Clusters those that must be pushed, and
   * those this node used before, without what is nobody's now. Cost: all ServicePorts.
   */
  *names(type: XdsType, scope: WildcardScope | "pushed"): Generator<string> {
    if (type !== "Cluster" && type !== "Listener") return;
    for (const servicePort of this.#view.servicePorts()) {
      const own = ownListenerOf(servicePort);
      const isTaken = type === "Listener" ? own !== undefined : scope === "all" || own?.kind === "redis";
      if (isTaken && servicePort.carrier === "envoy") {
        yield* this.#clusterNames(servicePort, this.#nodeAddresses);
      }
    }
    if (type !== "Cluster" || scope !== "used") return;
    for (const name of this.#usedClusters()) {
      if (this.#ownerOf(name)?.servicePort.carrier === "envoy") yield name;
    }
  }

  /** Envoy's redis proxy does not ask for its Cluster. */
  isPushed(cluster: string): boolean {
    const owner = this.#ownerOf(cluster);
    return owner !== undefined && ownListenerOf(owner.servicePort)?.kind === "redis";
  }

  /** The name a Cluster has in Envoy's statistics, which it shares with the others of its port; undefined when nobody's. */
  statisticsName(clusterName: string): string | undefined {
    const owner = this.#ownerOf(clusterName);
    return owner && statisticsName(owner.servicePort);
  }

  /**
   * The resources by which Envoy serves a ServicePort, whether it has asked for them or not: Clusters before endpoints. None
   * of one that the kernel carries.
   */
  *resourcesOf(servicePort: ServicePort): Generator<{ readonly type: XdsType; readonly name: string }> {
    if (servicePort.carrier !== "envoy") return;
    const names: string[] = [];
    const assignments = new Set<string>();
    for (const { address, port, family, kind } of destinationsOf(servicePort, this.#nodeAddresses)) {
      names.push(clusterName(address, port));
      assignments.add(loadAssignmentName(servicePort, family, trafficPolicyOf(servicePort, kind)));
    }
    for (const name of names) yield { type: "Cluster", name };
    // Of what the kernel balances Envoy knows no endpoints.
    if (!this.#balancedByKernel(servicePort)) {
      for (const name of assignments) yield { type: "ClusterLoadAssignment", name };
    }
    if (ownListenerOf(servicePort) !== undefined) {
      for (const name of names) yield { type: "Listener", name };
    }
    if (routeSettings(servicePort) !== undefined) {
      yield { type: "RouteConfiguration", name: ROUTE_CONFIGURATION_NAME };
    }
  }

  onChange(listener: (changed: ChangedNames) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The view has changed in these ServicePorts. */
  update(changes: ReadonlyMap<ServicePortKey, ServicePortChange>): void {
    const changed = noNames();
    for (const { before, after } of changes.values()) {
      this.#noteMove(before, after);
      for (const name of this.#changedClusters(before, after)) changed.Cluster.add(name);
      for (const name of changedAssignments(before, after)) changed.ClusterLoadAssignment.add(name);
      for (const name of this.#changedListeners(before, after)) changed.Listener.add(name);
    }
    this.#invalidate(this.#withRoutes(changed));
  }

  /** The node has these addresses now: NodePorts are served at each of them. */
  setNodeAddresses(nodeAddresses: NodeAddresses): void {
    const before = this.#nodeAddresses;
    this.#nodeAddresses = nodeAddresses;
    const changed = noNames();
    for (const servicePort of this.#view.servicePorts()) {
      if (servicePort.nodePort === 0) continue;
      const hasListener = ownListenerOf(servicePort) !== undefined;
      const old = new Set(this.#clusterNames(servicePort, before));
      const now = new Set(this.#clusterNames(servicePort, nodeAddresses));
      for (const name of old.symmetricDifference(now)) {
        changed.Cluster.add(name);
        if (hasListener) changed.Listener.add(name);
      }
    }
    this.#invalidate(this.#withRoutes(changed));
  }

  /** Adds the routes to what changed, if they have to do something else for one of the Clusters. */
  #withRoutes(changed: Record<XdsType, Set<string>>): Record<XdsType, Set<string>> {
    for (const name of changed.Cluster) {
      if (this.#noteRouteSettings(name)) changed.RouteConfiguration.add(ROUTE_CONFIGURATION_NAME);
    }
    return changed;
  }

  /** Whether the routes have to do something else for this Cluster now. */
  #noteRouteSettings(name: string): boolean {
    const owner = this.#ownerOf(name);
    const before = this.#routeSettings.get(name);
    const now = owner && routeSettings(owner.servicePort);
    if (now === undefined) this.#routeSettings.delete(name);
    else this.#routeSettings.set(name, now);
    return JSON.stringify(before) !== JSON.stringify(now);
  }

  /** Whose address endpoints are to see from now on. Until the first word it is the node's. */
  setSourceAddress(sourceAddress: SourceAddress): void {
    const changed = noNames();
    for (const servicePort of this.#view.servicePorts()) {
      if (!keepsClients(servicePort)) continue;
      for (const name of this.#clusterNames(servicePort, this.#nodeAddresses)) changed.Cluster.add(name);
    }
    changed.TypedExtensionConfig.add(SOURCE_FILTER);
    this.#sourceAddress = sourceAddress;
    this.#invalidate(changed);
  }

  #invalidate(names: Readonly<Record<XdsType, ReadonlySet<string>>>): void {
    const changed = new Map(
      SEND_ORDER.map((type) => [type, names[type]] as const).filter(([, { size }]) => size > 0),
    );
    for (const [type, names] of changed) for (const name of names) this.#encoded[type].delete(name);
    if (changed.size > 0) this.#notify(changed);
  }

  #notify(changed: ChangedNames): void {
    for (const listener of this.#listeners) listener(changed);
  }

  #noteMove(before: ServicePort | undefined, after: ServicePort | undefined): void {
    if (before === undefined || before.carrier === after?.carrier) return;
    const leaves = after?.carrier === "kernel";
    for (const name of this.#clusterNames(before, this.#nodeAddresses)) {
      if (leaves) this.#movedAway.add(name);
      else this.#movedAway.delete(name);
    }
  }

  /** Names that came, went, or whose Cluster reads something that changed. Endpoints are not part of a Cluster. */
  #changedClusters(before: ServicePort | undefined, after: ServicePort | undefined): Iterable<string> {
    const old = new Set(before && this.#clusterNames(before, this.#nodeAddresses));
    const now = new Set(after && this.#clusterNames(after, this.#nodeAddresses));
    const readsTheSame = before?.appProtocol === after?.appProtocol && before?.carrier === after?.carrier &&
      before?.settings.text === after?.settings.text && before?.prefersNear === after?.prefersNear &&
      before?.affinityTimeoutSeconds === after?.affinityTimeoutSeconds && !changesPolicy(before, after);
    return readsTheSame ? old.symmetricDifference(now) : old.union(now);
  }

  /** Names of Listeners that came, went, or must do something else now. */
  #changedListeners(before: ServicePort | undefined, after: ServicePort | undefined): Iterable<string> {
    const ownBefore = before && ownListenerOf(before);
    const ownAfter = after && ownListenerOf(after);
    if (ownBefore === undefined && ownAfter === undefined) return [];
    const old = new Set(before && ownBefore && this.#clusterNames(before, this.#nodeAddresses));
    const now = new Set(after && ownAfter && this.#clusterNames(after, this.#nodeAddresses));
    return equalOwnListeners(ownBefore, ownAfter) ? old.symmetricDifference(now) : old.union(now);
  }

  *#clusterNames(servicePort: ServicePort, nodeAddresses: NodeAddresses): Generator<string> {
    for (const { address, port } of destinationsOf(servicePort, nodeAddresses)) {
      yield clusterName(address, port);
    }
  }

  #encode(type: XdsType, name: string, interest: Interest): EncodedResource | undefined {
    switch (type) {
      case "Cluster":
        return this.#encodeCluster(name, interest) ??
          (interest === "explicit" ? emptyClusterFor(name) : undefined);
      case "ClusterLoadAssignment":
        return this.#encodeLoadAssignment(name) ??
          (interest === "explicit" ? emptyAssignmentFor(name) : undefined);
      case "TypedExtensionConfig":
        return name === SOURCE_FILTER ? this.#encodeSourceFilter() : undefined;
      case "Listener":
        return this.#encodeListener(name);
      case "RouteConfiguration":
        return this.#encodeRoutes(name);
      default:
        return type satisfies never;
    }
  }

  /**
   * A port that the kernel carries has a Cluster only for an Envoy that had it before, and so asks for it by name, or was given
   * all: clients that are connected to Envoy go on being answered there, for as long as they keep their connections.
   */
  #encodeCluster(name: string, interest: Interest): EncodedResource | undefined {
    const owner = this.#ownerOf(name);
    if (owner === undefined) return undefined;
    const { servicePort, destination: { family, kind } } = owner;
    if (servicePort.carrier === "kernel" && interest === "wildcard" && !this.#movedAway.has(name)) {
      return undefined;
    }
    const policy = trafficPolicyOf(servicePort, kind);
    const balancedByKernel = this.#balancedByKernel(servicePort);
    const cluster = translateCluster(servicePort, {
      name,
      family,
      policy,
      balancedByKernel,
      masqueraded: isMasqueraded(servicePort, kind),
    });
    const resource = {
      ...encoded(name, Cluster.encode(cluster).finish()),
      ...(balancedByKernel ? {} : { loadAssignment: loadAssignmentName(servicePort, family, policy) }),
    };
    // What is kept is given to everybody.
    return servicePort.carrier === "kernel" ? resource : this.#keep("Cluster", resource);
  }

  /**
   * Envoy can hash a client's address, but not remember where it sent the client, and for how long. The kernel can, and knows in
   * whose name Envoy asks.
   */
  #balancedByKernel(servicePort: ServicePort): boolean {
    return this.#sourceAddress.kind === "preserve" && keepsClients(servicePort);
  }

  #encodeSourceFilter(): EncodedResource {
    const filter = translateSourceFilter(this.#sourceAddress);
    return this.#keep(
      "TypedExtensionConfig",
      encoded(SOURCE_FILTER, TypedExtensionConfig.encode(filter).finish()),
    );
  }

  #encodeListener(name: string): EncodedResource | undefined {
    const owner = this.#ownerOf(name);
    const own = owner && ownListenerOf(owner.servicePort);
    if (owner === undefined || own === undefined) return undefined;
    const listener = translateListener(owner.servicePort, own, owner.destination);
    return this.#keep("Listener", encoded(name, Listener.encode(listener).finish()));
  }

  #encodeRoutes(name: string): EncodedResource | undefined {
    if (name !== ROUTE_CONFIGURATION_NAME) return undefined;
    this.#namesNobody = this.#routeSettings.size > (this.#namesNobody ? FEWEST_UNNAMED : MOST_NAMED);
    const json = this.#namesNobody ? ROUTES_WITH_SETTINGS : routeConfiguration(this.#routeSettings);
    const routes = RouteConfiguration.fromJSON(json);
    return this.#keep("RouteConfiguration", encoded(name, RouteConfiguration.encode(routes).finish()));
  }

  #encodeLoadAssignment(name: string): EncodedResource | undefined {
    const parsed = parseLoadAssignmentName(name);
    const servicePort = parsed && this.#view.servicePort(parsed.key);
    if (parsed === undefined || servicePort === undefined) return undefined;
    const { endpoints, localEndpoints } = servicePort;
    const usable = parsed.policy === "Local" ? localEndpoints : endpoints;
    const assignment = translateLoadAssignment(name, usable[parsed.family]);
    return this.#keep(
      "ClusterLoadAssignment",
      encoded(name, ClusterLoadAssignment.encode(assignment).finish()),
    );
  }

  /** Keeps what belongs to a ServicePort until that changes. Empty answers are not kept: nobody would clear them. */
  #keep(type: XdsType, resource: EncodedResource): EncodedResource {
    this.#onTranslate?.(type, resource.name);
    this.#encoded[type].set(resource.name, resource);
    return resource;
  }

  /** Who answers at a destination: the owner of the VIP, else of the NodePort if the address is this node's. */
  #ownerOf(name: string): OwnedDestination | undefined {
    const named = parseClusterName(name);
    if (named === undefined) return undefined;
    const { address, family, port } = named;
    const vipOwner = this.#view.vipOwner(address, port);
    const vip = vipOwner?.vips.find((vip) => vip.address === address && vip.port === port);
    if (vipOwner !== undefined && vip !== undefined) return { servicePort: vipOwner, destination: vip };
    if (!this.#nodeAddresses[family].includes(address)) return undefined;
    const owner = this.#view.nodePortOwner(family, port);
    return owner && { servicePort: owner, destination: { ...named, kind: "NodePort" } };
  }
}

/** A destination, and as what a ServicePort has it. */
interface KindOfDestination extends Destination {
  readonly kind: DestinationKind;
}

interface OwnedDestination {
  readonly servicePort: ServicePort;
  readonly destination: KindOfDestination;
}

/** The destinations a TCP port owns on a node of these addresses. */
function* destinationsOf(
  { name, vips, nodePort, families }: ServicePort,
  nodeAddresses: NodeAddresses,
): Generator<KindOfDestination> {
  if (name.protocol !== "TCP") return;
  yield* vips;
  if (nodePort === 0) return;
  for (const family of families) {
    for (const address of nodeAddresses[family]) yield { address, family, port: nodePort, kind: "NodePort" };
  }
}

/** Whether its clients are to keep their endpoints. Of redis keys do, and clients none. */
function keepsClients({ affinityTimeoutSeconds, appProtocol }: ServicePort): boolean {
  return affinityTimeoutSeconds > 0 && appProtocol !== "redis";
}

function changesPolicy(before: ServicePort | undefined, after: ServicePort | undefined): boolean {
  return before?.internalTrafficPolicy !== after?.internalTrafficPolicy ||
    before?.externalTrafficPolicy !== after?.externalTrafficPolicy;
}

function noNames(): Record<XdsType, Set<string>> {
  return {
    Cluster: new Set(),
    ClusterLoadAssignment: new Set(),
    TypedExtensionConfig: new Set(),
    Listener: new Set(),
    RouteConfiguration: new Set(),
  };
}

function emptyClusterFor(name: string): EncodedResource {
  return encoded(name, Cluster.encode(emptyCluster(name)).finish());
}

function emptyAssignmentFor(name: string): EncodedResource {
  return encoded(name, ClusterLoadAssignment.encode(translateLoadAssignment(name, [])).finish());
}

function encoded(name: string, bytes: Uint8Array): EncodedResource {
  // 96 bits of SHA-256: equal versions must mean equal bytes, also for input somebody chose.
  return { name, version: hash("sha256", bytes, "base64url").slice(0, 16), bytes };
}

function* changedAssignments(
  before: ServicePort | undefined,
  after: ServicePort | undefined,
): Generator<string> {
  const servicePort = after ?? before;
  if (servicePort === undefined || servicePort.name.protocol !== "TCP") return;
  const comesOrGoes = before === undefined || after === undefined;
  for (const family of IP_FAMILIES) {
    // One that comes or goes without endpoints reads the same to Envoy, but is kept only while it exists.
    const exists = servicePort.families.includes(family);
    if (
      comesOrGoes && exists ||
      !equalEndpoints(before?.endpoints[family] ?? [], after?.endpoints[family] ?? [])
    ) {
      yield loadAssignmentName(servicePort, family);
    }
    if (
      exists && usesLocal(before) !== usesLocal(after) ||
      !equalEndpoints(before?.localEndpoints[family] ?? [], after?.localEndpoints[family] ?? [])
    ) {
      yield loadAssignmentName(servicePort, family, "Local");
    }
  }
}

function usesLocal(servicePort: ServicePort | undefined): boolean {
  return servicePort?.internalTrafficPolicy === "Local" || servicePort?.externalTrafficPolicy === "Local";
}
