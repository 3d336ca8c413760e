/**
 * The service model: Services and EndpointSlices joined into ServicePorts, kept up to date event by event.
 *
 * In: batches of ObjectEvents, in the order of their source. Out: for each batch a ModelDelta that names exactly
 * the ServicePorts it touched. No clock, no I/O; the outcome depends only on the set of objects and the node's
 * zone, never on the order or the batches in which they came (the tests hold it against a model rebuilt from scratch).
 *
 * Invariants: a slice may come before its Service, or outlive it; every VIP and NodePort has one owner; a Service
 * that cannot be served in part is served in the rest. State is updated in place, because a copy per change would
 * make each change cost as much as the cluster.
 *
 * What is kept of the cluster is what was judged of its objects, once. ServicePorts are built from that when somebody
 * asks, and twice for a change (before and after): building one takes microseconds, while keeping all of them took as much
 * memory again as everything else, for Services of which a node uses few.
 *
 * The first state comes in parts, of which nothing is served yet: `load` takes them in without comparing anything, and
 * `loaded` says what is wrong with the whole.
 *
 * Cost of a batch: the Services it names, times their own ports and endpoints. Of another zone of the node: all
 * Services that ask for zones.
 * @module
 */
import type { EndpointSlice, NamespacedName, ObjectEvent, Service } from "../kube/objects.ts";
import { candidatesOf } from "./candidates.ts";
import { type Claim, claimsOf, ClaimTable, nodePortClaim, vipClaim } from "./claims.ts";
import { carrierOf } from "./carrier.ts";
import { equalHealthChecks, equalServicePorts } from "./equality.ts";
import { exactly } from "./exactly.ts";
import { type ExaminedService, examinePort } from "./examine.ts";
import { healthCheckOf } from "./health_check.ts";
import {
  carriedPort,
  type JudgedService,
  judgeService,
  keyOf,
  servicePortNameOf,
  spokenBy,
  type WantedPort,
} from "./judge_service.ts";
import { type JudgedSlice, judgeSlice } from "./judge_slice.ts";
import { asksForZone, type Nearness } from "./nearness.ts";
import { ProblemTable } from "./problem_table.ts";
import { isServed, type ServiceSelection } from "./selection.ts";
import { serviceOfKey, servicePortKey } from "./service_port_name.ts";
import { sourceRangesOf } from "./traffic_rules.ts";
import type {
  Carrier,
  Endpoint,
  HealthCheck,
  IPFamily,
  ModelDelta,
  ModelView,
  Problem,
  Protocol,
  ServicePort,
  ServicePortChange,
  ServicePortKey,
  VIP,
} from "./types.ts";
import {
  type PortedEndpoint,
  prefersNear,
  terminatingEndpoints,
  usableEndpoints,
  usableLocalEndpoints,
} from "./usable_endpoints.ts";

/** What of the node it runs on the model must know. */
export interface ModelOptions {
  /** As endpoints name it; empty: unknown, so none is local. @default unknown */
  readonly nodeName?: string;
  /** As endpoints name it; what {@linkcode ServiceModel.reduceZone} says later holds from then on. @default unknown */
  readonly zone?: string;
  /** What carries TCP where a Service does not say. @default "envoy" */
  readonly tcpPath?: Carrier;
  /** The addresses by which the cluster knows it, canonical. @default unknown */
  readonly nodeIPs?: readonly string[];
}

/** What is known under the name of a Service. */
interface Known {
  /** The one copy of the name. */
  readonly name: NamespacedName;
  /** Undefined where there is no such Service, or it is not this agent's. */
  service: JudgedService | undefined;
  /** The slices that name it, whether or not it exists. */
  slices: readonly JudgedSlice[];
}

/** What one batch has touched so far: Services to build again. */
type Touched = Map<NamespacedName, {
  /** Its ports when the batch began. */
  readonly before: readonly ServicePort[];
  /** The same. */
  readonly healthCheckBefore: HealthCheck | undefined;
  /** Trigger times of the applied slices. */
  readonly triggerTimesMs: number[];
}>;

const NO_SLICES: readonly JudgedSlice[] = [];

/** The model. One owner applies events; everybody else holds it as a `ModelView`. */
export class ServiceModel implements ModelView {
  readonly #selection: ServiceSelection;
  readonly #nodeName: string;
  readonly #tcpPath: Carrier;
  readonly #nodeIPs: readonly string[];
  #zone: string;
  readonly #known = new Map<NamespacedName, Known>();
  /** Which Service a slice named when it was last seen: the label may change. */
  readonly #slices = new Map<NamespacedName, JudgedSlice>();
  readonly #claims = new ClaimTable();
  readonly #problems = new ProblemTable();

  /** An empty model that serves what `selection` selects. */
  constructor(
    selection: ServiceSelection,
    { nodeName = "", zone = "", tcpPath = "envoy", nodeIPs = [] }: ModelOptions = {},
  ) {
    this.#selection = selection;
    this.#nodeName = nodeName;
    this.#zone = zone;
    this.#tcpPath = tcpPath;
    this.#nodeIPs = nodeIPs;
  }

  servicePort(key: ServicePortKey): ServicePort | undefined {
    const wanted = this.#known.get(serviceOfKey(key))?.service?.ports.find((port) => keyOf(port) === key);
    return wanted && this.#build(wanted);
  }

  *servicePorts(): Generator<ServicePort> {
    for (const { service } of this.#known.values()) {
      for (const wanted of service?.ports ?? []) yield this.#build(wanted);
    }
  }

  vipOwner(address: string, port: number, protocol: Protocol = "TCP"): ServicePort | undefined {
    const owner = this.#claims.ownerOf(vipClaim(address, port, protocol));
    return owner && this.#build(owner);
  }

  nodePortOwner(family: IPFamily, port: number, protocol: Protocol = "TCP"): ServicePort | undefined {
    const owner = this.#claims.ownerOf(nodePortClaim(port, protocol));
    return owner?.service.families.includes(family) ? this.#build(owner) : undefined;
  }

  /** All health checks; for the start only. */
  *healthChecks(): Generator<readonly [NamespacedName, HealthCheck]> {
    for (const { name, service, slices } of this.#known.values()) {
      const check = healthCheckOf(service, slices);
      if (check !== undefined) yield [name, check];
    }
  }

  /** All problems that stand now; for the status command and tests. */
  problems(): Iterable<Problem> {
    return this.#problems.all();
  }

  /** A Service with all that was decided about it and why, for `explain`; undefined when none of that name is served. */
  examine(name: NamespacedName): ExaminedService | undefined {
    const known = this.#known.get(name);
    if (known?.service === undefined) return undefined;
    const objects = [
      `Service ${name}`,
      ...known.slices.map((slice) => `EndpointSlice ${slice.namespacedName}`),
    ];
    return {
      name: known.name,
      trafficRules: known.service.trafficRules,
      ports: known.service.ports.map((wanted) =>
        examinePort(wanted, {
          servicePort: this.#build(wanted),
          slices: known.slices,
          tcpPath: this.#tcpPath,
        })
      ),
      healthCheck: healthCheckOf(known.service, known.slices),
      problems: objects.flatMap((object) => this.#problems.of(object)),
    };
  }

  /** The Services that are served. */
  *serviceNames(): Generator<NamespacedName> {
    for (const { name, service } of this.#known.values()) if (service !== undefined) yield name;
  }

  /** Takes in a part of the first state. */
  load(events: readonly ObjectEvent[]): void {
    for (const event of events) this.#take(event, undefined);
  }

  /** Ends the loading, after which there are changes. Cost: all Services that have a problem; all, if any claim is disputed. */
  loaded(): Pick<ModelDelta, "problemsAppeared" | "problemsResolved"> {
    for (const { name, service } of this.#known.values()) {
      if (service === undefined || service.problems.length === 0 && !this.#claims.hasDisputes) continue;
      const problems = [...service.problems];
      for (const wanted of service.ports) this.#build(wanted, problems);
      this.#problems.set(`Service ${name}`, problems);
    }
    return this.#problems.takeDelta();
  }

  /** Takes a batch in and says what it changed. */
  reduce(events: readonly ObjectEvent[]): ModelDelta {
    const touched: Touched = new Map();
    for (const event of events) this.#take(event, touched);
    return this.#settle(touched);
  }

  /** The zone that this node is in; empty: unknown. */
  get zone(): string {
    return this.#zone;
  }

  /** Says in which zone this node is, while the first state is loaded. */
  loadZone(zone: string): void {
    this.#zone = zone;
  }

  /**
   * Takes in that this node is in that zone from now on, and says what it changed. Cost: a glance at all endpoints, and
   * building the ports of Services that ask for zones.
   */
  reduceZone(zone: string): ModelDelta {
    const touched: Touched = new Map();
    if (zone !== this.#zone) {
      for (const known of this.#known.values()) if (dependsOnZone(known)) this.#touch(known.name, touched);
    }
    this.#zone = zone;
    return this.#settle(touched);
  }

  /** What all that was touched has become. */
  #settle(touched: Touched): ModelDelta {
    const changes = new Map<ServicePortKey, ServicePortChange>();
    const healthChecks = new Map<NamespacedName, HealthCheck | undefined>();
    const triggerTimesMs: number[] = [];
    for (const [name, { before, healthCheckBefore, triggerTimesMs: times }] of touched) {
      if (this.#compare(name, before, changes)) triggerTimesMs.push(...times);
      const healthCheck = this.#healthCheck(name);
      if (!equalHealthChecks(healthCheckBefore, healthCheck)) healthChecks.set(name, healthCheck);
    }
    return { changes, healthChecks, triggerTimesMs, ...this.#problems.takeDelta() };
  }

  #take(event: ObjectEvent, touched: Touched | undefined): void {
    switch (event.type) {
      case "apply":
        if (event.object.kind === "Service") {
          this.#setService(event.object.namespacedName, event.object, touched);
        } else this.#applySlice(event.object, touched);
        break;
      case "delete":
        if (event.kind === "Service") this.#setService(event.namespacedName, undefined, touched);
        else this.#removeSlice(event.namespacedName, touched);
        break;
      default:
        event satisfies never;
    }
  }

  /**
   * To be called before anything changes that a Service's ports are built from.
   * Returns where trigger times of its slices go.
   */
  #touch(name: NamespacedName, touched: Touched | undefined): number[] {
    if (touched === undefined) return [];
    let touch = touched.get(name);
    if (touch === undefined) {
      const before = (this.#known.get(name)?.service?.ports ?? []).map((wanted) => this.#build(wanted));
      touched.set(name, touch = { before, healthCheckBefore: this.#healthCheck(name), triggerTimesMs: [] });
    }
    return touch.triggerTimesMs;
  }

  #healthCheck(name: NamespacedName): HealthCheck | undefined {
    const known = this.#known.get(name);
    return healthCheckOf(known?.service, known?.slices ?? NO_SLICES);
  }

  /** Replaces a Service and moves its claims; whoever disputes one of them is touched too. */
  #setService(name: NamespacedName, service: Service | undefined, touched: Touched | undefined): void {
    const before = this.#known.get(name)?.service;
    const after = service === undefined || !isServed(service, this.#selection)
      ? undefined
      : judgeService(service, {
        namespacedName: this.#shared(name),
        served: this.#selection.families,
        tcpPath: this.#tcpPath,
      });
    if (before === undefined && after === undefined) return;
    this.#touch(name, touched);
    const given: readonly [Claim, WantedPort][] = claimsIn(before);
    const asked: readonly [Claim, WantedPort][] = claimsIn(after);
    for (const [claim] of [...given, ...asked]) {
      for (const claimant of this.#claims.claimants(claim)) {
        this.#touch(claimant.service.namespacedName, touched);
      }
    }
    for (const [claim, port] of given) this.#claims.remove(claim, port);
    for (const [claim, port] of asked) this.#claims.add(claim, port);
    this.#know(name, { service: after });
  }

  #applySlice(slice: EndpointSlice, touched: Touched | undefined): void {
    const { namespacedName: name } = slice;
    const { judged, problems } = judgeSlice(slice, {
      service: this.#shared(`${slice.namespace}/${slice.serviceName}`),
      nodeName: this.#nodeName,
    });
    const before = this.#slices.get(name);
    if (before !== undefined && before.service !== judged.service) this.#removeSlice(name, touched);
    this.#problems.set(`EndpointSlice ${name}`, problems);
    // It may have been left without a Service, or never have had one.
    if (slice.serviceName === "") return;
    const triggerTimesMs = this.#touch(judged.service, touched);
    if (slice.lastChangeTriggerTimeMs !== 0) triggerTimesMs.push(slice.lastChangeTriggerTimeMs);
    const siblings = this.#known.get(judged.service)?.slices ?? NO_SLICES;
    this.#know(judged.service, {
      slices: exactly([...siblings.filter((sibling) => sibling.namespacedName !== name), judged]),
    });
    this.#slices.set(judged.namespacedName, judged);
  }

  #removeSlice(name: NamespacedName, touched: Touched | undefined): void {
    this.#problems.set(`EndpointSlice ${name}`, []);
    const slice = this.#slices.get(name);
    if (slice === undefined) return;
    this.#touch(slice.service, touched);
    const siblings = this.#known.get(slice.service)?.slices ?? NO_SLICES;
    this.#know(slice.service, { slices: exactly(siblings.filter((sibling) => sibling !== slice)) });
    this.#slices.delete(name);
  }

  #know(name: NamespacedName, what: Partial<Known>): void {
    let known = this.#known.get(name);
    if (known === undefined) this.#known.set(name, known = { name, service: undefined, slices: NO_SLICES });
    Object.assign(known, what);
    if (known.service === undefined && known.slices.length === 0) this.#known.delete(name);
  }

  /** The copy of a Service's name that is kept already, if there is one. */
  #shared(name: NamespacedName): NamespacedName {
    return this.#known.get(name)?.name ?? name;
  }

  /** Compares a Service's ports with what they were, and records what differs. Returns whether anything does. */
  #compare(
    name: NamespacedName,
    before: readonly ServicePort[],
    changes: Map<ServicePortKey, ServicePortChange>,
  ): boolean {
    const service = this.#known.get(name)?.service;
    const problems = [...service?.problems ?? []];
    const gone = new Map(before.map((port) => [port.key, port]));
    let changed = false;
    for (const wanted of service?.ports ?? []) {
      const after = this.#build(wanted, problems);
      const same = gone.get(after.key);
      gone.delete(after.key);
      if (same !== undefined && equalServicePorts(same, after)) continue;
      changes.set(after.key, { before: same, after });
      changed = true;
    }
    for (const [key, port] of gone) {
      changes.set(key, { before: port, after: undefined });
      changed = true;
    }
    this.#problems.set(`Service ${name}`, problems);
    return changed;
  }

  /** The ServicePort as it is now. What it asks for and does not get is added to `problems`. */
  #build(wanted: WantedPort, problems?: Problem[]): ServicePort {
    const { service, settings, port } = wanted;
    let vips: readonly VIP[] = service.addresses.map(({ address, family, kind }) => ({
      address,
      family,
      port,
      kind,
    }));
    let { nodePort } = wanted;
    if (this.#claims.hasDisputes) {
      const rivals = { wanted, problems };
      vips = vips.filter((vip) => this.#ownsVIP(vip, rivals));
      if (nodePort !== 0 && !this.#ownsNodePort(nodePort, rivals)) nodePort = 0;
    }
    const name = servicePortNameOf(wanted);
    const slices = this.#known.get(service.namespacedName)?.slices ?? NO_SLICES;
    const { trafficRules } = service;
    const { trafficDistribution, internalTrafficPolicy, externalTrafficPolicy } = trafficRules;
    const isLocal = internalTrafficPolicy === "Local" || externalTrafficPolicy === "Local";
    const nearness: Nearness = { distribution: trafficDistribution, zone: this.#zone };
    const v4 = joinCandidates(wanted, "IPv4", slices);
    const v6 = joinCandidates(wanted, "IPv6", slices);
    return {
      key: servicePortKey(name),
      name,
      appProtocol: spokenBy(wanted),
      carrier: carrierOf(carriedPort(wanted, this.#tcpPath)),
      settings,
      vips,
      nodePort,
      families: service.families,
      prefersNear: prefersNear(v4, nearness) || prefersNear(v6, nearness),
      internalTrafficPolicy,
      externalTrafficPolicy,
      affinityTimeoutSeconds: trafficRules.affinityTimeoutSeconds,
      loadBalancerSourceRanges: sourceRangesOf(trafficRules, { vips, nodeIPs: this.#nodeIPs }),
      endpoints: {
        IPv4: usableEndpoints(v4, nearness),
        IPv6: usableEndpoints(v6, nearness),
      },
      localEndpoints: isLocal
        ? { IPv4: usableLocalEndpoints(v4), IPv6: usableLocalEndpoints(v6) }
        : NO_ENDPOINTS,
      terminatingEndpoints: name.protocol === "UDP"
        ? { IPv4: terminatingEndpoints(v4), IPv6: terminatingEndpoints(v6) }
        : NO_ENDPOINTS,
    };
  }

  #ownsVIP({ address, port, kind }: VIP, rivals: Rivals): boolean {
    const { protocol } = rivals.wanted;
    const what = `${kind} ${address} port ${port}/${protocol}`;
    return this.#owns(vipClaim(address, port, protocol), { kind: "vip-conflict", what }, rivals);
  }

  #ownsNodePort(nodePort: number, rivals: Rivals): boolean {
    const { protocol } = rivals.wanted;
    const what = `NodePort ${nodePort}/${protocol}`;
    return this.#owns(nodePortClaim(nodePort, protocol), { kind: "node-port-conflict", what }, rivals);
  }

  #owns(claim: Claim, dispute: Dispute, { wanted, problems }: Rivals): boolean {
    const owner = this.#claims.ownerOf(claim);
    if (owner === wanted) return true;
    if (owner !== undefined) problems?.push(conflict(wanted, owner, dispute));
    return false;
  }
}

/** What two ports ask for. */
interface Dispute {
  readonly kind: "vip-conflict" | "node-port-conflict";
  readonly what: string;
}

/** Who may have lost something to another, and where to say so. */
interface Rivals {
  readonly wanted: WantedPort;
  readonly problems: Problem[] | undefined;
}

/** Whether anything of a Service depends on the zone of this node. */
function dependsOnZone({ service, slices }: Known): boolean {
  if (service === undefined) return false;
  const { trafficDistribution } = service.trafficRules;
  return slices.some(({ endpoints }) =>
    endpoints.some(({ place }) => asksForZone(place, trafficDistribution))
  );
}

function claimsIn(service: JudgedService | undefined): [Claim, WantedPort][] {
  return (service?.ports ?? []).flatMap((port) =>
    claimsOf(port).map((claim): [Claim, WantedPort] => [claim, port])
  );
}

function conflict(wanted: WantedPort, owner: WantedPort, { kind, what }: Dispute): Problem {
  return {
    object: `Service ${wanted.service.namespacedName}`,
    kind,
    message:
      `${what} is asked for by ${keyOf(wanted)}, but belongs to ${keyOf(owner)} (which was given it by the ` +
      `cluster, is older, or is first by name). Give one of them another.`,
  };
}

const NO_CANDIDATES: readonly PortedEndpoint[] = [];
const NO_ENDPOINTS: Readonly<Record<IPFamily, readonly Endpoint[]>> = { IPv4: [], IPv6: [] };

/** The endpoints a port may have in one family, usable or not, from all slices of its Service. */
function joinCandidates(
  wanted: WantedPort,
  family: IPFamily,
  slices: readonly JudgedSlice[],
): readonly PortedEndpoint[] {
  if (slices.length === 0 || !wanted.service.families.includes(family)) return NO_CANDIDATES;
  return candidatesOf(wanted, family, slices);
}
