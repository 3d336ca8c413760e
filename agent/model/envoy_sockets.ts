/**
 * How the kernel tells Envoy's own connections from those of other programs on the node, and what it is to do with them.
 *
 * Envoy connects to endpoints from the node, so its packets pass the same hook as any process's. An endpoint may be a
 * destination that is redirected: an external IP that is a node's address with a host-network endpoint on that port, or
 * a slice somebody wrote that names a VIP. Redirected to Envoy again, such a connection would go round for ever.
 *
 * So Envoy sets SO_PRIORITY on its upstream sockets: all of them by its bootstrap, those of some Clusters otherwise. The kernel
 * reads there what becomes of the connection (layout), because nothing else of a Cluster reaches it. A priority
 * up to 6 needs no capability, unlike a mark (socket(7)); 1, 3 and 5 are what no IP_TOS value maps to, so other programs
 * do not come by them unasked (`rt_tos2priority` in the kernel).
 * @module
 */

/** SO_PRIORITY of Envoy's connections to endpoints. */
export const ENVOY_SOCKET_PRIORITY = 5;

/**
 * SO_PRIORITY of those that must come from this node's address, whoever the client is: the endpoint of a destination outside of the
 * cluster (NodePort, ExternalIP, LoadBalancerIP) with the policy Cluster may be on another node, whose answers to the
 * client would not come back this way.
 */
export const MASQUERADED_SOCKET_PRIORITY = 3;

/**
 * SO_PRIORITY of those that lead to a destination of a Service, of which the kernel is to choose the endpoint: it remembers which
 * one a client was given. Only with the mark of what is sent in a client's name: without it all would be one client.
 */
export const BALANCED_SOCKET_PRIORITY = 1;
