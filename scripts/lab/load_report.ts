/**
 * What a load client saw: the counting, and the text that carries it from the client's process to whoever started it.
 * Pure.
 * @module
 */

/** The sum of a run. All times are whole calls: connecting where a new connection was made, up to the last byte. */
export interface LoadReport {
  readonly requests: number;
  readonly failed: number;
  /** Connections opened. */
  readonly connections: number;
  /** Answered requests by the backend that answered. */
  readonly byBackend: Readonly<Record<string, number>>;
  /** Failed requests by error text. */
  readonly errors: Readonly<Record<string, number>>;
  /** Of answered requests; zeros when there were none. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** The first calls' times in order, at most ten, failed ones included. */
  readonly firstMs: readonly number[];
}

const FIRST = 10;

/** Counts calls as they end. */
export class LoadTally {
  readonly #latenciesMs: number[] = [];
  readonly #firstMs: number[] = [];
  readonly #byBackend = new Map<string, number>();
  readonly #errors = new Map<string, number>();
  #failed = 0;
  #connections = 0;

  connected(): void {
    this.#connections++;
  }

  answered(backend: string, latencyMs: number): void {
    this.#latenciesMs.push(latencyMs);
    this.#byBackend.set(backend, (this.#byBackend.get(backend) ?? 0) + 1);
    this.#first(latencyMs);
  }

  failed(error: string, latencyMs: number): void {
    this.#failed++;
    this.#errors.set(error, (this.#errors.get(error) ?? 0) + 1);
    this.#first(latencyMs);
  }

  report(): LoadReport {
    const sorted = this.#latenciesMs.toSorted((a, b) => a - b);
    return {
      requests: sorted.length + this.#failed,
      failed: this.#failed,
      connections: this.#connections,
      byBackend: Object.fromEntries([...this.#byBackend].sort(([a], [b]) => a < b ? -1 : 1)),
      errors: Object.fromEntries(this.#errors),
      latencyMs: {
        p50: round(quantile(sorted, 0.5)),
        p99: round(quantile(sorted, 0.99)),
        max: round(sorted.at(-1) ?? 0),
      },
      firstMs: this.#firstMs,
    };
  }

  #first(latencyMs: number): void {
    if (this.#firstMs.length < FIRST) this.#firstMs.push(round(latencyMs));
  }
}

/** The smallest value that at least the share `q` of the values do not exceed (nearest rank); 0 of none. */
function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0;
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
