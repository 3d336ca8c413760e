/**
 * Batches of changes for tests: told, and random.
 * @module
 */

import type { ServicePort, ServicePortChange, ServicePortKey } from "../../agent/model/mod.ts";
import type { Random } from "../../agent/model/testing/random.ts";
import { servicePort } from "../../agent/model/testing/service_ports.ts";
import { withEndpoints, withKind } from "./endpoints.ts";

/** One batch of changes. */
export function changes(
  ...pairs: readonly (readonly [ServicePort | undefined, ServicePort | undefined])[]
): Map<ServicePortKey, ServicePortChange> {
  return new Map(pairs.map(([before, after]) => [(after ?? before)?.key ?? "", { before, after }]));
}

/**
 * A model of a few ServicePorts that share few VIPs and NodePorts, so that they often take them from each other; each
 * is owned by one at a time, as the real model guarantees.
 */
export class RandomPorts {
  readonly current = new Map<ServicePortKey, ServicePort>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** All ServicePorts, as a ModelView has it. */
  servicePorts(): Iterable<ServicePort> {
    return this.current.values();
  }

  /** Changes up to four of them and returns the batch. */
  step(): Map<ServicePortKey, ServicePortChange> {
    const random = this.#random;
    const before = new Map(this.current);
    const touched = random.shuffled(["a", "b", "c", "d", "e", "f"]).slice(0, random.integer(1, 4));
    for (const name of touched) {
      this.current.delete(servicePort({ name }).key);
    }
    for (const name of touched) {
      if (random.chance(0.25)) continue;
      const port = this.#randomPort(name);
      this.current.set(port.key, port);
    }
    const batch = new Map<ServicePortKey, ServicePortChange>();
    for (const name of touched) {
      const key = servicePort({ name }).key;
      const change = { before: before.get(key), after: this.current.get(key) };
      if (change.before !== undefined || change.after !== undefined) batch.set(key, change);
    }
    return batch;
  }

  #randomPort(name: string): ServicePort {
    const random = this.#random;
    const taken = new Set([...this.current.values()].flatMap(({ vips }) => vips.map((vip) => vip.address)));
    const takenNodePorts = new Set([...this.current.values()].map((port) => port.nodePort));
    const addresses = ["10.96.0.1", "10.96.0.2", "10.96.0.3", "192.0.2.7", "fd00::1", "fd00::2"];
    const nodePort = random.pick([0, 30080, 30081, 30082]);
    const endpoints = ["10.244.0.", "fd00:244::"].filter(() => random.chance(0.7)).flatMap((start) =>
      random.shuffled([1, 2, 3, 4, 5, 6, 7, 8]).slice(0, random.integer(0, 8)).map((host) =>
        `${start}${host}`
      )
    );
    const port = servicePort({
      name,
      appProtocol: random.pick(["tcp", "http", "http2", "redis"]),
      vips: addresses.filter((address) => !taken.has(address) && random.chance(0.4)).map((address) =>
        `${address} 80`
      ),
      nodePort: takenNodePorts.has(nodePort) ? 0 : nodePort,
      families: random.pick([["IPv4"], ["IPv6"], ["IPv4", "IPv6"]]),
      carrier: random.pick(["envoy", "kernel"]),
      affinityTimeoutSeconds: random.pick([0, 0, 100, 10_800]),
      internalTrafficPolicy: random.pick(["Cluster", "Cluster", "Local"]),
      externalTrafficPolicy: random.pick(["Cluster", "Cluster", "Local"]),
    });
    const served = withEndpoints(port, endpoints, endpoints.filter(() => random.chance(0.3)));
    const ranges = random.pick([[], ["10.0.0.0/8", "10.1.0.0/16"], ["192.0.2.1/32"]]);
    const rangesOf6 = random.pick([[], [], ["2001:db8::/33", "2001:db8:1::/48"], ["2001:db8:ffff::1/128"]]);
    return {
      ...withKind(served, random.pick(["ClusterIP", "ExternalIP", "LoadBalancerIP"])),
      loadBalancerSourceRanges: { IPv4: ranges, IPv6: rangesOf6 },
    };
  }
}
