import { assertEquals } from "@std/assert/equals";
import { settingsOf } from "../../agent/model/annotations/mod.ts";
import { CONFIG_PREFIX } from "../../agent/model/mod.ts";
import { CircuitBreakers } from "../../protos/mod.ts";
import { circuitBreakers } from "./limits.ts";

/** The circuit breakers of these annotations, as JSON. */
function breakers(annotations: Readonly<Record<string, string>>): unknown {
  const written = Object.fromEntries(
    Object.entries(annotations).map(([name, text]) => [`${CONFIG_PREFIX}circuit-breaker-${name}`, text]),
  );
  const { settings: [settings] } = settingsOf(written, [{ name: "web", appProtocol: "http" }]);
  return settings && CircuitBreakers.toJSON(circuitBreakers({ settings }));
}

const UNLIMITED = {
  maxConnections: 4_294_967_295,
  maxPendingRequests: 4_294_967_295,
  maxRequests: 4_294_967_295,
};
const BUDGET = { retryBudget: { budgetPercent: { value: 20 }, minRetryConcurrency: 10 } };

Deno.test("circuitBreakers() limits nothing that nobody limited, but retries", () => {
  assertEquals(breakers({}), {
    thresholds: [{ ...UNLIMITED, ...BUDGET }, { priority: "HIGH", ...UNLIMITED, ...BUDGET }],
  });
});

Deno.test("circuitBreakers() carries each limit where it was set, and lifts the others", () => {
  assertEquals(breakers({ "default-max-requests": "100", "high-max-connections": "7" }), {
    thresholds: [
      { ...UNLIMITED, maxRequests: 100, ...BUDGET },
      { priority: "HIGH", ...UNLIMITED, maxConnections: 7, ...BUDGET },
    ],
  });
  assertEquals(
    breakers({ "default-max-pending-requests": "3", "default-track-remaining": "true" }),
    {
      thresholds: [
        { ...UNLIMITED, maxPendingRequests: 3, ...BUDGET, trackRemaining: true },
        { priority: "HIGH", ...UNLIMITED, ...BUDGET },
      ],
    },
  );
});

Deno.test("circuitBreakers(): a limit of retries, 0 too, takes the place of the budget", () => {
  for (const maxRetries of [0, 5]) {
    assertEquals(breakers({ "default-max-retries": String(maxRetries) }), {
      thresholds: [{ ...UNLIMITED, maxRetries }, { priority: "HIGH", ...UNLIMITED, ...BUDGET }],
    });
  }
});
