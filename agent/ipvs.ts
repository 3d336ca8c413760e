/**
 * Refuses to serve a node whose Services kube-proxy keeps in its mode `ipvs`, or has left behind.
 *
 * In: the node's network. Out: nothing, or a sentence that says what to do.
 * In that mode the node itself has the address of each Service, at an interface of its own. A program of the node then sends from
 * that very address, and an endpoint on another node answers into the void; and what comes to a port that nobody serves ends at the
 * node instead of being refused. No other mode leaves addresses behind.
 * Source: Kubernetes `pkg/proxy/ipvs/proxier.go` (`defaultDummyDevice`), v1.36.
 * @module
 */
import type { NodeNetwork } from "./node_network.ts";

/** The interface that has the addresses. */
export const IPVS_INTERFACE = "kube-ipvs0";

/** The message is one sentence for an operator. */
export class IPVSAddressesError extends Error {
  override readonly name = "IPVSAddressesError";
}

/** @throws {IPVSAddressesError} when the node has addresses of Services. */
export function refuseIPVSAddresses({ interfaces }: Pick<NodeNetwork, "interfaces">): void {
  const addresses = interfaces
    .filter(({ name, address }) => name === IPVS_INTERFACE && !address.startsWith("fe80:"))
    .map(({ address }) => address);
  const [first] = addresses;
  if (first === undefined) return;
  const which = addresses.length === 1 ? first : `${first} and ${addresses.length - 1} more`;
  throw new IPVSAddressesError(
    `kube-proxy's mode ipvs has made Services' addresses (${which}) addresses of this node, at the interface ` +
      `${IPVS_INTERFACE}: end that kube-proxy, or give it another mode, and remove them with "kube-proxy --cleanup" or ` +
      `"ip link delete ${IPVS_INTERFACE}"`,
  );
}
