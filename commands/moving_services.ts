/**
 * Beside another proxy: sees to it that a Service which moves from one to the other is served all the time.
 *
 * In: what a source says, in order. Out: the same to the next sink, except that a Service which is deleted, or whose label is
 * another proxy's from now on, goes some seconds later, and is carried by the kernel until then; and that one which comes is
 * carried by the kernel first.
 *
 * The label `service.kubernetes.io/service-proxy-name` moves a Service between two proxies that learn of it at the same moment. The
 * one that gets it should have it in the kernel before the other takes it out, or connections in between go nowhere. kube-proxy
 * needs a second at worst to begin: hence the time. While both have it, it is served here (`service_chains.ts`: priority). To
 * get one this program needs milliseconds, and so does kube-proxy to give it away: a client that meets neither tries again
 * after a second. So nothing is waited for then, not even Envoy (`opening_gate.ts`).
 *
 * What leaves is the kernel's because a connection that has just been sent to Envoy would find it without endpoints when the Service
 * goes. Envoy goes on to answer those it has (`ResourceStore`), and what the kernel balances outlives everything.
 *
 * Invariants:
 * - A watch with a label selector calls a Service that leaves deleted, so that it cannot be told from one that is: both wait.
 * - What waits is given up at once for a Service that asks for one of its addresses or NodePorts, and forgotten when it comes back.
 * - Before the first state is complete, everything is passed on as it is.
 * @module
 */
import type { NamespacedName, ObjectEvent, ObjectSink, Service } from "../agent/kube/mod.ts";
import { PATH_ANNOTATION } from "../agent/model/mod.ts";
import { systemTimers, type Timers } from "../redirect/mod.ts";

/** kube-proxy programs once a second at most, and took six at 10,000 Services (docs/benchmarks). */
const GRACE_MS = 10_000;

/** What `MovingServices` needs. */
export interface MovingServicesOptions {
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
export class MovingServices implements ObjectSink, Disposable {
  readonly #options: MovingServicesOptions;
  readonly #timers: Timers;
  readonly #graceMs: number;
  /** This agent's Services: few, or it would replace the other proxy. */
  readonly #own = new Map<NamespacedName, Service>();
  readonly #leaving = new Map<NamespacedName, Leaving>();
  #synced = false;

  constructor(options: MovingServicesOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#graceMs = options.graceMs ?? GRACE_MS;
  }

  take(events: readonly ObjectEvent[]): void {
    let batch: ObjectEvent[] = [];
    const hand = (): void => {
      if (batch.length > 0) this.#options.sink.take(batch);
      batch = [];
    };
    for (const event of events) {
      if (this.#comes(event)) {
        batch.push(...this.#pass(event, "kernel"));
        // Two changes, of which the second may have to wait.
        hand();
      }
      batch.push(...this.#pass(event));
    }
    hand();
  }

  synced(): void {
    this.#synced = true;
    this.#options.sink.synced();
  }

  [Symbol.dispose](): void {
    for (const { cancel } of this.#leaving.values()) cancel();
    this.#leaving.clear();
  }

  #isOwn({ proxyName }: Service): boolean {
    return proxyName === this.#options.serviceProxyName;
  }

  /** Whether it says that a Service is this agent's from now on. */
  #comes(event: ObjectEvent): boolean {
    if (!this.#synced || event.type === "delete" || event.object.kind !== "Service") return false;
    const name = event.object.namespacedName;
    return this.#isOwn(event.object) && !this.#own.has(name) && !this.#leaving.has(name);
  }

  /** What an event comes to now; with what comes carried by the kernel, where that is asked for. */
  #pass(event: ObjectEvent, by?: "kernel"): readonly ObjectEvent[] {
    if (event.type === "delete") {
      return event.kind === "Service" ? this.#leaves(event.namespacedName, event) : [event];
    }
    if (event.object.kind !== "Service") return [event];
    if (this.#isOwn(event.object)) return this.#arrives(event.object, by);
    return this.#leaves(event.object.namespacedName, event);
  }

  #arrives(service: Service, by?: "kernel"): readonly ObjectEvent[] {
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
      { type: "apply", object: by === "kernel" ? byTheKernel(service) : service },
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
    return [{ type: "apply", object: byTheKernel(service) }];
  }

  #end(name: NamespacedName): void {
    const leaving = this.#leaving.get(name);
    if (leaving === undefined) return;
    this.#leaving.delete(name);
    this.#options.sink.take([leaving.event]);
  }
}

/** Without its other annotations, which are for Envoy, and would be said to have no effect. */
function byTheKernel(service: Service): Service {
  return { ...service, annotations: { [PATH_ANNOTATION]: "kernel" } };
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
