/**
 * Beside another proxy: goes on serving a Service that leaves, until whoever is to serve it from now on has had the time to.
 *
 * In: what a source says, in order. Out: the same to the next sink, except that a Service which is deleted, or whose label is
 * another proxy's from now on, goes some seconds later, and is carried by the kernel until then.
 *
 * The label `service.kubernetes.io/service-proxy-name` moves a Service between two proxies that learn of it at the same moment. The
 * one that gets it must have it in the kernel before the other takes it out, or connections in between go nowhere. To get one is no
 * danger: kube-proxy needs a second at worst to begin and tens of milliseconds to be done, this program a few. To give one
 * away is: hence the time. While both have it, it is served here (`service_chains.ts`: priority).
 *
 * By the kernel, because a connection that has just been sent to Envoy would find it without endpoints when the Service goes; Envoy
 * goes on to answer those it has (`ResourceStore`), and what the kernel balances outlives everything.
 *
 * Invariants:
 * - A watch with a label selector calls a Service that leaves deleted, so that it cannot be told from one that is: both wait.
 * - What waits is given up at once for a Service that asks for one of its addresses or NodePorts, and forgotten when it comes back.
 * - Before the first state is complete, nothing waits.
 * @module
 */
import type { NamespacedName, ObjectEvent, ObjectSink, Service } from "../agent/kube/mod.ts";
import { PATH_ANNOTATION } from "../agent/model/mod.ts";
import { systemTimers, type Timers } from "../redirect/mod.ts";

/** kube-proxy programs once a second at most, and took six at 10,000 Services (docs/benchmarks). */
const GRACE_MS = 10_000;

/** What `LeavingServices` needs. */
export interface LeavingServicesOptions {
  readonly sink: ObjectSink;
  /** Whose Services are this agent's. */
  readonly serviceProxyName: string;
  /** @default 10_000 */
  readonly graceMs?: number;
  /** @default the system's */
  readonly timers?: Timers;
}

/** A Service that leaves. */
interface Leaving {
  /** What is to be said when the time is over. */
  readonly event: ObjectEvent;
  readonly service: Service;
  readonly cancel: () => void;
}

/** See the module's comment. */
export class LeavingServices implements ObjectSink, Disposable {
  readonly #options: LeavingServicesOptions;
  readonly #timers: Timers;
  readonly #graceMs: number;
  /** This agent's Services: few, or it would replace the other proxy. */
  readonly #own = new Map<NamespacedName, Service>();
  readonly #leaving = new Map<NamespacedName, Leaving>();
  #synced = false;

  constructor(options: LeavingServicesOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#graceMs = options.graceMs ?? GRACE_MS;
  }

  take(events: readonly ObjectEvent[]): void {
    const passed = events.flatMap((event) => this.#pass(event));
    if (passed.length > 0) this.#options.sink.take(passed);
  }

  synced(): void {
    this.#synced = true;
    this.#options.sink.synced();
  }

  [Symbol.dispose](): void {
    for (const { cancel } of this.#leaving.values()) cancel();
    this.#leaving.clear();
  }

  /** What an event comes to now. */
  #pass(event: ObjectEvent): readonly ObjectEvent[] {
    if (event.type === "apply") {
      if (event.object.kind !== "Service") return [event];
      if (event.object.proxyName === this.#options.serviceProxyName) return this.#arrives(event.object);
      return this.#leaves(event.object.namespacedName, event);
    }
    return event.kind === "Service" ? this.#leaves(event.namespacedName, event) : [event];
  }

  #arrives(service: Service): readonly ObjectEvent[] {
    const name = service.namespacedName;
    this.#leaving.get(name)?.cancel();
    this.#leaving.delete(name);
    this.#own.set(name, service);
    const inTheWay = [...this.#leaving].filter(([, leaving]) => shares(leaving.service, service));
    return [
      ...inTheWay.map(([leavingName, { event, cancel }]) => {
        cancel();
        this.#leaving.delete(leavingName);
        return event;
      }),
      { type: "apply", object: service },
    ];
  }

  #leaves(name: NamespacedName, event: ObjectEvent): readonly ObjectEvent[] {
    const service = this.#own.get(name);
    this.#own.delete(name);
    const before = this.#leaving.get(name);
    if (before !== undefined) this.#leaving.set(name, { ...before, event });
    if (before !== undefined) return [];
    if (service === undefined || !this.#synced) return [event];
    const cancel = this.#timers.after(this.#graceMs, () => this.#end(name));
    this.#leaving.set(name, { event, service, cancel });
    // Without its other annotations, which are for Envoy, and would be said to have no effect.
    return [{ type: "apply", object: { ...service, annotations: { [PATH_ANNOTATION]: "kernel" } } }];
  }

  #end(name: NamespacedName): void {
    const leaving = this.#leaving.get(name);
    if (leaving === undefined) return;
    this.#leaving.delete(name);
    this.#options.sink.take([leaving.event]);
  }
}

/** Whether two Services ask for the same address or NodePort. */
function shares(one: Service, other: Service): boolean {
  const asked = new Set(askedBy(one));
  return askedBy(other).some((what) => asked.has(what));
}

function askedBy({ clusterIPs, externalIPs, loadBalancerIngress, ports }: Service): readonly string[] {
  return [
    ...clusterIPs.filter((address) => address !== "None"),
    ...externalIPs,
    ...loadBalancerIngress.map(({ ip }) => ip),
    ...ports.flatMap(({ nodePort, protocol }) => nodePort === 0 ? [] : [`${protocol} ${nodePort}`]),
  ];
}
