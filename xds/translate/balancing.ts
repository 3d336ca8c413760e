/**
 * Decides how Envoy chooses an endpoint: the Cluster's policy, and what a hashing policy hashes.
 *
 * In: the settings `lb-policy` and `hash-on` of a ServicePort, and whether its clients are to keep their endpoint. Out: `Cluster.lb_policy`, and the `hash_policy` of the
 * Cluster's HttpProtocolOptions. What must be the same for all Services, because the listeners are, stands in `listeners.ts`:
 * the source's address in the filter state, and the hash policy of TCP connections.
 *
 * Invariant: a hashing policy always has something to hash. Without it Envoy would choose at random.
 *
 * `sessionAffinity: ClientIP` is decided here only where endpoints see the node's address (else the kernel chooses: `throughKernel` in
 * cluster.ts). Then it is MAGLEV on the source's address: a client stays where it is while endpoints come and go, but
 * for few of those whose endpoint did not go, and all nodes send it to the same. It does not end with the timeout.
 *
 * LEAST_REQUEST draws two endpoints and takes the one with fewer requests, Envoy's default. Drawing more would prefer the
 * least busy one harder, but a node knows its own requests only: those of many nodes would flock to the same endpoint.
 *
 * Source: Envoy 1.40 "Supported load balancers", `RouteAction.HashPolicy` in its API reference.
 * @module
 */
import type { HashOn, ServicePort, SettingValues } from "../../agent/model/mod.ts";
import { Cluster_LbPolicy, RouteAction_HashPolicy } from "../../protos/mod.ts";
import { SOURCE_FILTER_STATE } from "../listeners.ts";

const LB_POLICIES: Readonly<Record<SettingValues["lb-policy"], Cluster_LbPolicy>> = {
  LEAST_REQUEST: Cluster_LbPolicy.LEAST_REQUEST,
  ROUND_ROBIN: Cluster_LbPolicy.ROUND_ROBIN,
  RANDOM: Cluster_LbPolicy.RANDOM,
  MAGLEV: Cluster_LbPolicy.MAGLEV,
  RING_HASH: Cluster_LbPolicy.RING_HASH,
};

/** What of a ServicePort decides. */
type BalancedPort = Pick<ServicePort, "appProtocol" | "settings" | "affinityTimeoutSeconds">;

/** The policy of the Cluster. A key of redis belongs to one endpoint, for all nodes alike. */
export function lbPolicy(
  { appProtocol, settings, affinityTimeoutSeconds }: BalancedPort,
): Cluster_LbPolicy {
  if (appProtocol === "redis" || affinityTimeoutSeconds > 0) return Cluster_LbPolicy.MAGLEV;
  return LB_POLICIES[settings.values["lb-policy"]];
}

/** What is hashed of a request; nothing unless the policy hashes. */
export function hashPolicy(
  { settings: { values }, affinityTimeoutSeconds }: BalancedPort,
): RouteAction_HashPolicy[] {
  if (affinityTimeoutSeconds > 0) return [RouteAction_HashPolicy.fromPartial(hashOf({ kind: "source-ip" }))];
  const hashes = values["lb-policy"] === "MAGLEV" || values["lb-policy"] === "RING_HASH";
  return hashes ? [RouteAction_HashPolicy.fromPartial(hashOf(values["hash-on"]))] : [];
}

function hashOf(hashOn: HashOn): Partial<RouteAction_HashPolicy> {
  switch (hashOn.kind) {
    case "source-ip":
      // Not `connection_properties.source_ip`: that is what x-forwarded-for claims, so a client could choose its endpoint.
      return { filterState: { key: SOURCE_FILTER_STATE } };
    case "header":
      return { header: { headerName: hashOn.name } };
    case "cookie":
      // Without a ttl, which would make Envoy set the cookie where a client has none: the application's affair.
      return { cookie: { name: hashOn.name, path: "", attributes: [] } };
    default:
      return hashOn satisfies never;
  }
}
