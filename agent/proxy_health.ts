/**
 * Decides whether the node's data plane keeps up, with kube-proxy's meaning of `/healthz` and `/livez`.
 *
 * In: a call when a change is queued for kernel and Envoy, a call when it is in place, the time. Out: a
 * {@linkcode ProxyHealth}, whose JSON is kube-proxy's.
 * Invariants: pure but for the injected clock. Healthy while no change waits longer than the timeout, and so also
 * before the first one (readiness is another question). A change that is never finished makes it unhealthy even when
 * later ones are.
 * Source: Kubernetes `pkg/proxy/healthcheck/proxy_health.go`, v1.36.
 * @module
 */

import type { IPFamily } from "./model/mod.ts";

/** kube-proxy's: twice its default sync period of 30 s. */
export const DEFAULT_HEALTH_TIMEOUT_MS = 60_000;

/** State of one family, as kube-proxy spells it. */
export interface FamilyHealth {
  /** RFC 3339. */
  readonly lastUpdated: string;
  readonly healthy: boolean;
}

/** What `/healthz` and `/livez` answer, as kube-proxy spells it. */
export interface ProxyHealth {
  /** RFC 3339. The current time while healthy, as in kube-proxy, for the sake of old readers. */
  readonly lastUpdated: string;
  /** RFC 3339. */
  readonly currentTime: string;
  /** Only in `/healthz`: the node is not being deleted, so load balancers may send it new traffic. */
  readonly nodeEligible?: boolean;
  readonly healthy: boolean;
  /** Empty, and then absent, before the first update. */
  readonly status?: Readonly<Partial<Record<IPFamily, FamilyHealth>>>;
}

/** A change that was queued. */
export interface QueuedUpdate {
  /** Says that it is in place. Calling again changes nothing. */
  done(): void;
}

/** Keeps the times from which health follows. */
export interface ProxyHealthTracker {
  /** A change came in that kernel and Envoy do not have yet. */
  queued(): QueuedUpdate;
  /** Whether the node may get new traffic from load balancers; true until told otherwise. */
  setNodeEligible(eligible: boolean): void;
  /** The answer of `/healthz`: unhealthy also when the node is on its way out. */
  healthz(): { readonly ok: boolean; readonly body: ProxyHealth };
  /** The answer of `/livez`: whether a restart could help. */
  livez(): { readonly ok: boolean; readonly body: ProxyHealth };
}

/** What {@linkcode createProxyHealthTracker} needs. */
export interface ProxyHealthOptions {
  /** The families served; both are programmed in one transaction and so share their state. */
  readonly families: readonly IPFamily[];
  /** How long a change may wait, in milliseconds. @default DEFAULT_HEALTH_TIMEOUT_MS */
  readonly timeoutMs?: number;
  /** Milliseconds since the epoch. @default Date.now */
  readonly now?: () => number;
}

/** Go's zero time, which kube-proxy prints for "never". */
const NEVER = "0001-01-01T00:00:00Z";

/** Creates a tracker to which nothing has been queued yet. */
export function createProxyHealthTracker(options: ProxyHealthOptions): ProxyHealthTracker {
  const timeoutMs = options.timeoutMs ?? DEFAULT_HEALTH_TIMEOUT_MS;
  const now = options.now ?? Date.now;
  /** In order of queueing, so that the first is the oldest. */
  const waiting = new Map<QueuedUpdate, number>();
  let lastUpdatedMs: number | undefined;
  let nodeEligible = true;

  function health(): ProxyHealth {
    const nowMs = now();
    const [oldestMs] = waiting.values();
    // As in kube-proxy, a start that has not come to its first update is not yet unhealthy.
    const late = lastUpdatedMs !== undefined && oldestMs !== undefined && nowMs - oldestMs >= timeoutMs;
    const lastUpdated = lastUpdatedMs === undefined ? NEVER : rfc3339(lastUpdatedMs);
    const status: Partial<Record<IPFamily, FamilyHealth>> = {};
    if (lastUpdatedMs !== undefined) {
      for (const family of options.families) status[family] = { lastUpdated, healthy: !late };
    }
    return {
      lastUpdated,
      currentTime: rfc3339(nowMs),
      healthy: !late,
      ...(lastUpdatedMs === undefined ? {} : { status }),
    };
  }

  function answer(body: ProxyHealth, ok: boolean): { readonly ok: boolean; readonly body: ProxyHealth } {
    return { ok, body: ok ? { ...body, lastUpdated: body.currentTime } : body };
  }

  return {
    queued: () => {
      const update: QueuedUpdate = {
        done: () => {
          if (waiting.delete(update)) lastUpdatedMs = now();
        },
      };
      waiting.set(update, now());
      return update;
    },
    setNodeEligible: (eligible) => {
      nodeEligible = eligible;
    },
    healthz: () => {
      const { lastUpdated, currentTime, ...rest } = health();
      return answer({ lastUpdated, currentTime, nodeEligible, ...rest }, rest.healthy && nodeEligible);
    },
    livez: () => {
      const body = health();
      return answer(body, body.healthy);
    },
  };
}

function rfc3339(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
