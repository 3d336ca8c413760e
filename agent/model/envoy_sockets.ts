/**
 * How the kernel tells Envoy's own connections from those of other programs on the node.
 *
 * Envoy connects to endpoints from the node, so its packets pass the same hook as any process's. An endpoint may be a
 * destination that is redirected: an external IP that is a node's address with a host-network endpoint on that port, or
 * a slice somebody wrote that names a VIP. Redirected to Envoy again, such a connection would go round for ever.
 *
 * So Envoy sets SO_PRIORITY on its upstream sockets (bootstrap) and the kernel leaves those alone (layout). A priority
 * up to 6 needs no capability, unlike a mark (socket(7)); 5 is what no IP_TOS value maps to, so other programs
 * do not come by it unasked (`rt_tos2priority` in the kernel).
 * @module
 */

/** SO_PRIORITY of Envoy's connections to endpoints. */
export const ENVOY_SOCKET_PRIORITY = 5;
