/**
 * Finds out which Clusters carry traffic: Envoy asks for a Cluster once in its life, and never for one it was given, so
 * what it asks for does not tell what is still in use.
 *
 * In: Envoy's counters of upstream connections, by the name a Cluster has in statistics; asked for rarely, because Envoy's
 * main thread writes the answer. Out: the names that had a connection since the last look, or have one now.
 * Invariant: an Envoy that does not answer (it is away, or its admin socket is not shared with the agent) changes nothing
 * and is no fault: its Clusters then count as used when they were last asked for.
 * Source: Envoy 1.40, "Administration interface", `GET /stats`; "Cluster manager statistics".
 * @module
 */
import { delay } from "@std/async/delay";
import { getFromSocket } from "../agent/get_from_socket.ts";
import type { Logger } from "../agent/log.ts";

/** What {@linkcode watchClusterUse} needs. */
export interface WatchClusterUseOptions {
  /** Envoy's admin interface. */
  readonly adminSocket: string;
  /** The first look waits for this: until the Services are known, nobody can say which Cluster a name belongs to. */
  readonly after: Promise<void>;
  /** Called after each look that found any. */
  readonly onUsed: (statisticsNames: ReadonlySet<string>) => void;
  readonly logger: Logger;
  /** @default 3_600_000 */
  readonly intervalMs?: number;
}

const DEFAULT_INTERVAL_MS = 60 * 60 * 1_000;

const ANSWER_TIMEOUT_MS = 10_000;

/** `usedonly` leaves out what never had a connection. */
const PATH = `/stats?usedonly&filter=${encodeURIComponent("^cluster\\..+\\.upstream_cx_(total|active)$")}`;

/** Looks until the signal aborts. The first look tells of open connections only: nothing is known to compare with. */
export async function watchClusterUse(options: WatchClusterUseOptions, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const aborted = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => aborted.resolve(), { once: true });
  await Promise.race([options.after, aborted.promise]);
  let before: ConnectionCounts | undefined;
  while (!signal.aborted) {
    try {
      const now = parseConnectionCounts(await getFromAdmin(options.adminSocket, signal));
      const used = usedSince(before, now);
      before = now;
      if (used.size > 0) options.onUsed(used);
    } catch (error) {
      options.logger.debug("Envoy does not say which Clusters it uses", { error: String(error) });
    }
    try {
      await delay(options.intervalMs ?? DEFAULT_INTERVAL_MS, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/** Upstream connections of the Clusters that ever had one, by their name in statistics. */
export type ConnectionCounts = ReadonlyMap<string, { readonly total: number; readonly active: number }>;

/** Reads lines like `cluster.default/echo_http.upstream_cx_total: 5`; others are not looked at. */
export function parseConnectionCounts(text: string): ConnectionCounts {
  const counts = new Map<string, { total: number; active: number }>();
  for (
    const [, name = "", kind, value] of text.matchAll(/^cluster\.(.+)\.upstream_cx_(total|active): (\d+)$/gm)
  ) {
    const count = counts.get(name) ?? { total: 0, active: 0 };
    counts.set(name, count);
    if (kind === "total") count.total = Number(value);
    else count.active = Number(value);
  }
  return counts;
}

/** Names with a connection now, or with another total than before: counters begin anew when Envoy does. */
export function usedSince(before: ConnectionCounts | undefined, now: ConnectionCounts): ReadonlySet<string> {
  const used = [...now].filter(([name, { total, active }]) =>
    active > 0 || (before !== undefined && total !== (before.get(name)?.total ?? 0))
  );
  return new Set(used.map(([name]) => name));
}

async function getFromAdmin(socketPath: string, signal: AbortSignal): Promise<string> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
  const { status, body } = await getFromSocket(socketPath, PATH, limit);
  if (status !== 200) throw new Error(`${PATH} gave status ${status}`);
  return body;
}
