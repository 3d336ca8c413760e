/**
 * Durations as Go and Kubernetes spell them: `1m30s`, `500ms`.
 *
 * In: text, or milliseconds. Out: the other. Pure.
 * @module
 */

/** Milliseconds of `1h2m3s4ms` (any subset, in that order of magnitude or not), or undefined. A bare `0` is zero. */
export function parseDurationMs(value: string): number | undefined {
  if (value === "0") return 0;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(value)) return undefined;
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
  let total = 0;
  for (const [, number, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(number) * (units[unit ?? ""] ?? NaN);
  }
  // Timers hold 31 bits of milliseconds; a longer one would fire at once.
  return Number.isFinite(total) && total <= 0x7fff_ffff ? Math.round(total) : undefined;
}

/** The shortest text that {@linkcode parseDurationMs} reads as this number of milliseconds. */
export function renderDurationMs(milliseconds: number): string {
  const parts: string[] = [];
  let rest = milliseconds;
  for (const [unit, size] of [["h", 3_600_000], ["m", 60_000], ["s", 1_000], ["ms", 1]] as const) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.join("") || "0s";
}
