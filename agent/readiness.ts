/**
 * Gathers the conditions under which this node's agent, or the webhook, is ready, with a reason for each that is not met.
 *
 * In: the parts of the agent report their condition. Out: whether all are met, and which are not and why.
 * Invariants: pure. The set of conditions is fixed at the start, each begins as not met, and a condition that is not
 * met always has a reason for people.
 * @module
 */

/** Names of the conditions, in the order in which they are usually met. */
export type ConditionName =
  /** The first complete state of Services and EndpointSlices is in. */
  | "synced"
  /** The kernel redirects as planned. */
  | "planApplied"
  /** An Envoy is connected and fed. */
  | "envoyConnected"
  /** The webhook has a certificate that holds, and the API server was told whom to trust. */
  | "certificate"
  /** The webhook takes requests, and is not about to end. */
  | "serving";

/** One condition. */
export type Condition =
  | { readonly name: ConditionName; readonly ok: true }
  | { readonly name: ConditionName; readonly ok: false; readonly reason: string };

/** What `/readyz` answers. */
export interface ReadinessReport {
  readonly ready: boolean;
  readonly conditions: readonly Condition[];
  /** What is less than was asked for, though the node is ready; absent: nothing. */
  readonly notes?: Readonly<Partial<Record<NoteName, string>>>;
}

/** Names of notes. */
export type NoteName =
  /** Why endpoints see this node's address. */
  | "sourceAddress"
  /** What the API server does not permit. */
  | "rights"
  /** Why this agent's Node is not what it runs on, as far as can be seen. */
  | "node";

/** Where parts of the agent say that their condition is met, or why it is not. */
export interface Readiness {
  /** The condition is met. */
  met(name: ConditionName): void;
  /** The condition is not met, or no longer; the reason is one sentence without a full stop. */
  unmet(name: ConditionName, reason: string): void;
  /** Something is less than was asked for; undefined: no longer. */
  note(name: NoteName, text: string | undefined): void;
  report(): ReadinessReport;
  /** Called at each change from ready to not ready and back. Returns the function that ends the calls. */
  onChange(listener: (report: ReadinessReport) => void): () => void;
}

/** Creates a Readiness with these conditions, each not met for the reason given. */
export function createReadiness(initial: Readonly<Partial<Record<ConditionName, string>>>): Readiness {
  const conditions = new Map<ConditionName, Condition>();
  for (const [name, reason] of Object.entries(initial) as [ConditionName, string][]) {
    conditions.set(name, { name, ok: false, reason });
  }
  const notes = new Map<NoteName, string>();
  const listeners = new Set<(report: ReadinessReport) => void>();

  function report(): ReadinessReport {
    const all = [...conditions.values()];
    return {
      ready: all.every((condition) => condition.ok),
      conditions: all,
      ...(notes.size === 0 ? {} : { notes: Object.fromEntries(notes) }),
    };
  }

  function set(condition: Condition): void {
    // A condition that does not apply here (no redirect, say) was left out at the start; what is said of it is no news.
    if (!conditions.has(condition.name)) return;
    const before = report().ready;
    conditions.set(condition.name, condition);
    const after = report();
    if (after.ready !== before) { for (const listener of [...listeners]) listener(after); }
  }

  return {
    met: (name) => set({ name, ok: true }),
    unmet: (name, reason) => set({ name, ok: false, reason }),
    note: (name, text) => {
      if (text === undefined) notes.delete(name);
      else notes.set(name, text);
    },
    report,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** `not ready: envoyConnected: no Envoy is connected; …`, or `ready`. */
export function renderReadiness(report: ReadinessReport): string {
  if (report.ready) return "ready";
  const missing = report.conditions.flatMap((one) => one.ok ? [] : [`${one.name}: ${one.reason}`]);
  return `not ready: ${missing.join("; ")}`;
}
