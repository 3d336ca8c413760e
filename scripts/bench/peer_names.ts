/**
 * Who is compared.
 * @module
 */

/** Name of a program and its mode. */
export type PeerName = "lightpath" | "kube-proxy nftables" | "kube-proxy iptables";

/** In the order in which they run and are shown. */
export const PEER_NAMES: readonly PeerName[] = ["lightpath", "kube-proxy nftables", "kube-proxy iptables"];
