/**
 * The service model: Services and EndpointSlices joined into ServicePorts, kept up to date event by event.
 *
 * In: batches of ObjectEvents, in the order of their source. Out: for each batch a ModelDelta that names exactly
 * the ServicePorts it touched. No clock, no I/O; the outcome depends only on the set of objects, never on the order or
 * the batches in which they came (the tests hold it against a model rebuilt from scratch).
 *
 * Invariants: a slice may come before its Service, or outlive it; every VIP and NodePort has one owner; a Service
 * that cannot be served in part is served in the rest. State is updated in place, because a copy per change would
 * make each change cost as much as the cluster.
 *
 * Cost of a batch: the Services it names, times their own ports and endpoints.
 * @module
 */
import type { EndpointSlice, NamespacedName, ObjectEvent, Service } from "../kube/objects.ts";
import { claimsOf, ClaimTable, nodePortClaim, vipClaim } from "./claims.ts";
import { equalServicePorts } from "./equality.ts";
import { type JudgedService, judgeService, type WantedPort } from "./judge_service.ts";
import { type JudgedSlice, judgeSlice } from "./judge_slice.ts";
import { ProblemTable } from "./problem_table.ts";
import { isServed, type ServiceSelection } from "./selection.ts";
import type {
  Endpoint,
  IPFamily,
  ModelDelta,
  ModelView,
  Problem,
  ServicePort,
  ServicePortChange,
  ServicePortKey,
  VIP,
} from "./types.ts";
import { type PortedEndpoint, usableEndpoints } from "./usable_endpoints.ts";

/** What one batch has touched so far. */
interface Touched {
  /** Services to build again, with the ports they had when the batch began. */
  readonly services: Map<NamespacedName, readonly WantedPort[]>;
  /** Trigger times of the applied slices, by the Service they belong to. */
  readonly triggerTimesMs: Map<NamespacedName, number[]>;
}

/** The model. One owner applies events; everybody else holds it as a `ModelView`. */
export class ServiceModel implements ModelView {
  readonly #selection: ServiceSelection;
  /** The Services that are this agent's, as judged. */
  readonly #services = new Map<NamespacedName, JudgedService>();
  /** Slices by the Service they name, whether or not that Service exists; then by slice name. */
  readonly #slices = new Map<NamespacedName, Map<string, JudgedSlice>>();
  /** Which Service a slice named when it was last seen: the label may change. */
  readonly #sliceService = new Map<NamespacedName, NamespacedName>();
  readonly #claims = new ClaimTable();
  readonly #ports = new Map<ServicePortKey, ServicePort>();
  readonly #problems = new ProblemTable();

  /** An empty model that serves what `selection` selects. */
  constructor(selection: ServiceSelection) {
    this.#selection = selection;
  }

  servicePort(key: ServicePortKey): ServicePort | undefined {
    return this.#ports.get(key);
  }

  servicePorts(): Iterable<ServicePort> {
    return this.#ports.values();
  }

  vipOwner(address: string, port: number): ServicePort | undefined {
    return this.#owner(this.#claims.ownerOf(vipClaim(address, port, "TCP")));
  }

  nodePortOwner(family: IPFamily, port: number): ServicePort | undefined {
    const owner = this.#owner(this.#claims.ownerOf(nodePortClaim(port, "TCP")));
    return owner?.families.includes(family) ? owner : undefined;
  }

  /** All problems that stand now; for the status command and tests. */
  problems(): Iterable<Problem> {
    return this.#problems.all();
  }

  /** Takes a batch in and says what it changed. */
  reduce(events: readonly ObjectEvent[]): ModelDelta {
    const touched: Touched = { services: new Map(), triggerTimesMs: new Map() };
    for (const event of events) this.#take(event, touched);

    const changes = new Map<ServicePortKey, ServicePortChange>();
    const triggerTimesMs: number[] = [];
    for (const [name, before] of touched.services) {
      const changed = this.#rebuild(name, before, changes);
      if (changed) triggerTimesMs.push(...touched.triggerTimesMs.get(name) ?? []);
    }
    return { changes, triggerTimesMs, ...this.#problems.takeDelta() };
  }

  #owner(key: ServicePortKey | undefined): ServicePort | undefined {
    return key === undefined ? undefined : this.#ports.get(key);
  }

  #take(event: ObjectEvent, touched: Touched): void {
    switch (event.type) {
      case "apply":
        if (event.object.kind === "Service") {
          this.#setService(event.object.namespacedName, event.object, touched);
        } else this.#applySlice(event.object, touched);
        break;
      case "delete": {
        const { kind, namespacedName } = event;
        if (kind === "Service") this.#setService(namespacedName, undefined, touched);
        else this.#removeSlice(namespacedName, touched);
        break;
      }
      default:
        event satisfies never;
    }
  }

  #touch(name: NamespacedName, touched: Touched): void {
    if (!touched.services.has(name)) touched.services.set(name, this.#services.get(name)?.ports ?? []);
  }

  /** Replaces a Service and moves its claims; whoever disputes one of them is touched too. */
  #setService(name: NamespacedName, service: Service | undefined, touched: Touched): void {
    this.#touch(name, touched);
    for (const port of this.#services.get(name)?.ports ?? []) {
      for (const { claim } of claimsOf(port)) {
        for (const other of this.#claims.remove(claim, port.key)) this.#touch(other.service, touched);
      }
    }
    this.#services.delete(name);
    if (service === undefined || !isServed(service, this.#selection)) return;

    const { ports, problems } = judgeService(service, this.#selection.families);
    this.#services.set(name, { ports, problems });
    const { creationTimestampMs } = service;
    for (const port of ports) {
      for (const { claim, kind } of claimsOf(port)) {
        const claimant = { key: port.key, service: name, kind, creationTimestampMs };
        for (const other of this.#claims.add(claim, claimant)) this.#touch(other.service, touched);
      }
    }
  }

  #applySlice(slice: EndpointSlice, touched: Touched): void {
    const name = slice.namespacedName;
    const service = `${slice.namespace}/${slice.serviceName}`;
    const judged = judgeSlice(slice);
    if (this.#sliceService.get(name) !== service) this.#removeSlice(name, touched);
    let siblings = this.#slices.get(service);
    if (siblings === undefined) this.#slices.set(service, siblings = new Map());
    siblings.set(slice.name, judged);
    this.#sliceService.set(name, service);
    this.#problems.set(`EndpointSlice ${name}`, judged.problems);
    this.#touch(service, touched);
    if (judged.lastChangeTriggerTimeMs !== 0) {
      const times = touched.triggerTimesMs.get(service) ?? [];
      times.push(judged.lastChangeTriggerTimeMs);
      touched.triggerTimesMs.set(service, times);
    }
  }

  #removeSlice(name: NamespacedName, touched: Touched): void {
    const service = this.#sliceService.get(name);
    if (service === undefined) return;
    const siblings = this.#slices.get(service);
    siblings?.delete(name.slice(name.indexOf("/") + 1));
    if (siblings?.size === 0) this.#slices.delete(service);
    this.#sliceService.delete(name);
    this.#problems.set(`EndpointSlice ${name}`, []);
    this.#touch(service, touched);
  }

  /** Builds a Service's ports again and records what differs. Returns whether anything did. */
  #rebuild(
    name: NamespacedName,
    wantedBefore: readonly WantedPort[],
    changes: Map<ServicePortKey, ServicePortChange>,
  ): boolean {
    const judged = this.#services.get(name);
    const problems = [...judged?.problems ?? []];
    const slices = this.#slices.get(name);
    let changed = false;
    const record = (key: ServicePortKey, change: ServicePortChange): void => {
      changes.set(key, change);
      changed = true;
    };
    const kept = new Set<ServicePortKey>();
    for (const wanted of judged?.ports ?? []) {
      kept.add(wanted.key);
      const before = this.#ports.get(wanted.key);
      const after = this.#build(wanted, slices, problems);
      if (before !== undefined && equalServicePorts(before, after)) continue;
      this.#ports.set(wanted.key, after);
      record(wanted.key, { before, after });
    }
    for (const { key } of wantedBefore) {
      const before = kept.has(key) ? undefined : this.#ports.get(key);
      if (before === undefined) continue;
      this.#ports.delete(key);
      record(key, { before, after: undefined });
    }
    this.#problems.set(`Service ${name}`, problems);
    return changed;
  }

  #build(
    wanted: WantedPort,
    slices: ReadonlyMap<string, JudgedSlice> | undefined,
    problems: Problem[],
  ): ServicePort {
    const { key, name, appProtocol, families } = wanted;
    const owns = (claim: string, kind: "vip-conflict" | "node-port-conflict", what: string): boolean => {
      const owner = this.#claims.ownerOf(claim);
      if (owner === key) return true;
      problems.push({
        object: `Service ${name.namespace}/${name.name}`,
        kind,
        message:
          `${what} is asked for by ${key}, but belongs to ${owner} (which was given it by the cluster, is older, or is ` +
          `first by name). ` +
          `Give one of them another.`,
      });
      return false;
    };
    const ownsVIP = (vip: VIP): boolean =>
      owns(
        vipClaim(vip.address, vip.port, name.protocol),
        "vip-conflict",
        `${vip.kind} ${vip.address} port ${vip.port}/${name.protocol}`,
      );
    const owned = wanted.vips.filter(ownsVIP);
    // Nearly always all of them: then the list is shared instead of kept twice.
    const vips = owned.length === wanted.vips.length ? wanted.vips : owned;
    const ownsNodePort = wanted.nodePort !== 0 && owns(
      nodePortClaim(wanted.nodePort, name.protocol),
      "node-port-conflict",
      `NodePort ${wanted.nodePort}/${name.protocol}`,
    );
    return {
      key,
      name,
      appProtocol,
      vips,
      nodePort: ownsNodePort ? wanted.nodePort : 0,
      families,
      endpoints: {
        IPv4: joinEndpoints(wanted, "IPv4", slices),
        IPv6: joinEndpoints(wanted, "IPv6", slices),
      },
    };
  }
}

const NO_ENDPOINTS: readonly Endpoint[] = [];

/** The usable endpoints of a port in one family, from all slices of its Service. */
function joinEndpoints(
  { name, families }: WantedPort,
  family: IPFamily,
  slices: ReadonlyMap<string, JudgedSlice> | undefined,
): readonly Endpoint[] {
  if (slices === undefined || !families.includes(family)) return NO_ENDPOINTS;
  const candidates: PortedEndpoint[] = [];
  for (const slice of slices.values()) {
    if (slice.family !== family) continue;
    // A slice resolves a named targetPort for its own pods, so each slice may have another number for the same name.
    const slicePort = slice.ports.find((port) => port.name === name.port && port.protocol === name.protocol);
    if (slicePort === undefined) continue;
    for (const endpoint of slice.endpoints) candidates.push({ endpoint, port: slicePort.port });
  }
  return candidates.length === 0 ? NO_ENDPOINTS : usableEndpoints(candidates);
}
