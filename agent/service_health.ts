/**
 * Answers load balancers that ask, at a Service's `healthCheckNodePort`, whether this node has endpoints of it.
 *
 * In: the HealthChecks of the model, change by change; the addresses on which NodePorts answer. Out: a server for each port
 * at each of these addresses of the Service's families, and a Problem for each Service whose port cannot be listened on.
 * The answer is kube-proxy's: 200 with ready endpoints here, else 503, with the same JSON and headers; 503 also while the
 * node's data plane does not keep up.
 *
 * Invariants: servers are ended and started one change after the other, ended ones first, so that a port may pass from one Service
 * to another. A port somebody else has is tried again until it is free. Of two Services that want one port the
 * first by name has it. Cost: a changed count costs nothing; a health check that comes or goes, a look at all of them.
 *
 * A port in use is a fault of this node and not of the Service, so nothing is written to the Service (kube-proxy writes an
 * Event on it).
 *
 * Source: Kubernetes `pkg/proxy/healthcheck/service_health.go`, v1.36.
 * @module
 */

import { BindError, type HttpServer, listen, respond } from "./http_server.ts";
import type { NamespacedName } from "./kube/mod.ts";
import type { Logger } from "./log.ts";
import {
  type HealthCheck,
  IP_FAMILIES,
  type IPFamily,
  type NodeAddresses,
  type Problem,
} from "./model/mod.ts";
import type { ProblemBatch } from "./problems.ts";
import { renderHostPort } from "./setting_values.ts";

/** What {@linkcode ServiceHealth} needs. */
export interface ServiceHealthOptions {
  readonly nodeAddresses: NodeAddresses;
  /** Whether the node's data plane keeps up. */
  readonly proxyHealthy: () => boolean;
  /** Told of what came and went. */
  readonly problems: { report(batch: ProblemBatch): void };
  readonly logger: Logger;
  /** Until a port that was in use is tried again. @default 5_000 */
  readonly retryMs?: number;
}

/** Where somebody listens, or should. */
interface Socket {
  readonly hostname: string;
  readonly port: number;
  readonly family: IPFamily;
  readonly service: NamespacedName;
}

interface ListeningSocket {
  /** Whom it answers for. */
  socket: Socket;
  readonly server: HttpServer;
}

/** See the module's comment. */
export class ServiceHealth implements AsyncDisposable {
  readonly #options: ServiceHealthOptions;
  #nodeAddresses: NodeAddresses;
  readonly #checks = new Map<NamespacedName, HealthCheck>();
  /** By address and port. */
  readonly #listening = new Map<string, ListeningSocket>();
  #problems: ReadonlyMap<NamespacedName, Problem> = new Map();
  /** Settles when all that was asked for so far is done. */
  #work = Promise.resolve();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(options: ServiceHealthOptions) {
    this.#options = options;
    this.#nodeAddresses = options.nodeAddresses;
  }

  /** These came, changed, or went (undefined). */
  update(changes: ReadonlyMap<NamespacedName, HealthCheck | undefined>): void {
    let moves = false;
    for (const [name, after] of changes) {
      const before = this.#checks.get(name);
      moves ||= before?.port !== after?.port ||
        IP_FAMILIES.some((family) => isOf(before, family) !== isOf(after, family));
      if (after === undefined) this.#checks.delete(name);
      else this.#checks.set(name, after);
    }
    if (moves) this.#arrange();
  }

  /** NodePorts answer on these now. */
  setNodeAddresses(nodeAddresses: NodeAddresses): void {
    this.#nodeAddresses = nodeAddresses;
    if (this.#checks.size > 0) this.#arrange();
  }

  /** What is wrong with a Service's port; undefined when it is answered, or there is none. */
  problemOf(name: NamespacedName): Problem | undefined {
    return this.#problems.get(name);
  }

  /** Settles when all that was asked for before is done. */
  async settled(): Promise<void> {
    await this.#work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#retry);
    await this.#work;
    await Promise.all([...this.#listening.values()].map(({ server }) => server[Symbol.asyncDispose]()));
  }

  #arrange(): void {
    clearTimeout(this.#retry);
    this.#work = this.#work.then(() => this.#arrangeNow());
  }

  /** Ends what is not wanted any more, then starts what is missing. */
  async #arrangeNow(): Promise<void> {
    if (this.#ended) return;
    const faults = new Map<NamespacedName, string[]>();
    const wanted = this.#wantedSockets(faults);
    const unwanted = [...this.#listening].filter(([key]) => !wanted.has(key));
    for (const [key] of unwanted) this.#listening.delete(key);
    await Promise.all(unwanted.map(([, { server }]) => server[Symbol.asyncDispose]()));
    let inUse = false;
    for (const [key, socket] of wanted) {
      const listening = this.#listening.get(key);
      if (listening !== undefined) listening.socket = socket;
      else inUse = !this.#start(key, socket, faults) || inUse;
    }
    this.#reportFaults(faults);
    if (inUse) this.#retry = setTimeout(() => this.#arrange(), this.#options.retryMs ?? 5_000);
  }

  #wantedSockets(faults: Map<NamespacedName, string[]>): ReadonlyMap<string, Socket> {
    const wanted = new Map<string, Socket>();
    for (const service of [...this.#checks.keys()].sort()) {
      const check = this.#checks.get(service)!;
      for (const family of IP_FAMILIES.filter((family) => isOf(check, family))) {
        for (const hostname of this.#nodeAddresses[family]) {
          const socket = { hostname, port: check.port, family, service };
          const key = renderHostPort(socket);
          const rival = wanted.get(key);
          if (rival === undefined) wanted.set(key, socket);
          else addFault(faults, service, `at ${key} Service ${rival.service} is answered for already`);
        }
      }
    }
    return wanted;
  }

  /** Returns whether it listens. */
  #start(key: string, socket: Socket, faults: Map<NamespacedName, string[]>): boolean {
    const { hostname, port, service } = socket;
    try {
      const server = listen({
        address: { hostname, port },
        usedFor: "healthCheckNodePort",
        anyMethod: true,
        logger: this.#options.logger,
      }, () => this.#answer(key));
      this.#listening.set(key, { socket, server });
      return true;
    } catch (error) {
      if (!(error instanceof BindError)) throw error;
      addFault(faults, service, error.message);
      return false;
    }
  }

  #answer(key: string): Response {
    const socket = this.#listening.get(key)?.socket;
    const check = socket && this.#checks.get(socket.service);
    const count = (socket && check?.localEndpoints[socket.family]) ?? 0;
    const serviceProxyHealthy = this.#options.proxyHealthy();
    const body = {
      service: { namespace: check?.namespace, name: check?.name },
      localEndpoints: count,
      serviceProxyHealthy,
    };
    const code = count > 0 && serviceProxyHealthy ? 200 : 503;
    const weight = { "x-load-balancing-endpoint-weight": String(count) };
    return respond(JSON.stringify(body, null, "\t"), code, "application/json", weight);
  }

  #reportFaults(faults: ReadonlyMap<NamespacedName, readonly string[]>): void {
    const before = this.#problems;
    const after = new Map([...faults].map(([service, texts]): [NamespacedName, Problem] => {
      const message =
        `${
          texts.join("; ")
        }. Load balancers that ask there take this node for one without endpoints of it. ` +
        "Free the port on this node, or give the Service another healthCheckNodePort.";
      return [service, { object: `Service ${service}`, kind: "health-check-port", message }];
    }));
    this.#problems = after;
    const problemsAppeared = [...after].filter(([name, { message }]) =>
      before.get(name)?.message !== message
    );
    const problemsResolved = [...before].filter(([name, { message }]) =>
      after.get(name)?.message !== message
    );
    this.#options.problems.report({
      problemsAppeared: problemsAppeared.map(([, problem]) => problem),
      problemsResolved: problemsResolved.map(([, problem]) => problem),
    });
  }
}

function isOf(check: HealthCheck | undefined, family: IPFamily): boolean {
  return check?.localEndpoints[family] !== undefined;
}

function addFault(faults: Map<NamespacedName, string[]>, service: NamespacedName, text: string): void {
  const texts = faults.get(service);
  if (texts === undefined) faults.set(service, [text]);
  else texts.push(text);
}
