/**
 * The redirect side: ServicePorts in; out the nftables table `inet lightpath`, or ipsets and rules of iptables.
 * @module
 */
export { type ConntrackLimits, raiseConntrackLimits, type RaisedLimits } from "./conntrack_limits.ts";
export { FlowCleaner, type FlowCleanerOptions } from "./flow_cleaner.ts";
export type { EnvoyPorts } from "./chains.ts";
export type { BackendName, RedirectBackend } from "./backend.ts";
export type { Nft } from "./nft.ts";
export { createNftablesBackend, type NftablesBackendOptions } from "./nftables_backend.ts";
export { RedirectError, type RedirectErrorKind, type RedirectErrorOptions } from "./redirect_error.ts";
export { type Netlink, openNetlink } from "./netlink/open_netlink.ts";
export { chooseBackend, removeLeftovers } from "./choose_backend.ts";
export { findIptables, IPTABLES_NAMES } from "./iptables/find_iptables.ts";
export { createIptablesBackend, removeRules } from "./iptables/iptables_backend.ts";
export type { Programs } from "./iptables/programs.ts";
export { createPrograms } from "./iptables/run_programs.ts";
export { createNftSession, type NftSession, type NftSessionOptions } from "./nft_session.ts";
export type { Applied, ApplyKind, RedirectObserver } from "./observer.ts";
export { Pause, systemTimers, type Timers } from "./pause.ts";
export type { Socket } from "./plan.ts";
export { ensureNoEarlyDemux } from "./early_demux.ts";
export { ensurePolicyRoutes, type Ip, type PolicyRouteOptions, removePolicyRoutes } from "./policy_routes.ts";
export { createRedirector, type Redirector, type RedirectorOptions } from "./redirector.ts";
export { type ConntrackOptions, createConntrack } from "./run_conntrack.ts";
export { createIp, IpError, type IpOptions } from "./run_ip.ts";
export { createNft, type NftOptions } from "./run_nft.ts";
export { holdTable, type TableHold, TableInUseError } from "./table_lock.ts";
