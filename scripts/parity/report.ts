/**
 * What a run has to say: for people the rows that need a look, for machines all of them. Pure.
 * @module
 */
import type { ProxyName } from "./proxies.ts";
import type { Verdict } from "./run.ts";

/** Failed rows with what is wrong, pending ones by reason, and a line that counts. */
export function renderVerdicts(proxy: ProxyName, verdicts: readonly Verdict[]): string {
  const of = (state: Verdict["state"]): Verdict[] => verdicts.filter((verdict) => verdict.state === state);
  const [failed, pending, different] = [of("failed"), of("pending"), of("different")];
  const lines = [
    ...failed.map(({ row, fault }) => `FAILED  ${row.name}\n        ${fault}`),
    ...byReason("pending", pending),
    ...byReason("different", different),
    `${proxy}: ${of("passed").length} passed, ${different.length} different, ${pending.length} pending, ` +
    `${failed.length} failed of ${verdicts.length} rows`,
  ];
  return lines.join("\n") + "\n";
}

function byReason(word: string, verdicts: readonly Verdict[]): string[] {
  return [...Map.groupBy(verdicts, ({ departure }) => departure?.reason ?? "")]
    .map(([reason, ofReason]) => `${word}: ${ofReason.length} rows: ${reason}`);
}

/** One line for each row. */
export function verdictsJson(proxy: ProxyName, verdicts: readonly Verdict[]): string {
  return verdicts.map(({ row, state, fault, departure }) =>
    JSON.stringify({ proxy, name: row.name, state, fault, reason: departure?.reason }) + "\n"
  ).join("");
}
