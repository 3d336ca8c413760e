/**
 * The `process_…` metrics every Prometheus client library has, for the agent's own process.
 *
 * In: a registry. Out: gauges and counters in it whose values are read at each scrape.
 * prom-client's own default metrics are not used: under Deno its event loop figures hold placeholders (a lag of
 * 292 years), and its CPU time counts from its own start instead of the process's.
 * Source of names: Prometheus, "Writing client libraries", process metrics.
 * @module
 */

import process from "node:process";
import { Counter, Gauge, type Registry } from "prom-client";
import { countOpenFiles, readSystemFile } from "./system_files.ts";

/** Registers the metrics. Where /proc does not tell (other systems, no permission) a value is left out. */
export function registerProcessMetrics(registry: Registry): void {
  const registers = [registry];
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Total user and system CPU time spent in seconds.",
    registers,
    collect(): void {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  gauge("process_resident_memory_bytes", "Resident memory size in bytes.", () => Deno.memoryUsage().rss);
  gauge("process_heap_bytes", "Process heap size in bytes.", () => Deno.memoryUsage().heapUsed);
  gauge("process_open_fds", "Number of open file descriptors.", countOpenFiles);
  gauge("process_max_fds", "Maximum number of open file descriptors.", () => {
    const limit = /^Max open files\s+(\d+)/m.exec(readSystemFile("/proc/self/limits") ?? "")?.[1];
    return limit === undefined ? undefined : Number(limit);
  });
  const startSeconds = Math.round(Date.now() / 1000 - process.uptime());
  gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    () => startSeconds,
  );

  function gauge(name: string, help: string, read: () => number | undefined): void {
    new Gauge({
      name,
      help,
      registers,
      collect(): void {
        const value = orUndefined(read);
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  }
}

function orUndefined(read: () => number | undefined): number | undefined {
  try {
    return read();
  } catch {
    // Not readable here: a missing figure must not cost the whole scrape.
    return undefined;
  }
}
