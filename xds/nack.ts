/**
 * Finds out which resources of a response a NACK is about.
 *
 * In: `error_detail.message`, and the resource names of the response it answers.
 * Out: the names Envoy lists as failed, each with its reason. Empty when the message has another form; the caller
 * then has to narrow it down by sending smaller responses.
 *
 * A name counts only where Envoy puts it in its own list, never where a reason happens to mention it. That also
 * keeps `10.0.0.1:80` apart from `10.0.0.1:8080`.
 *
 * Source: Envoy 1.40. Wildcard: `Error adding/updating cluster(s) a: reason, b: reason` (cds_api_impl.cc, and
 * `listener(s)` in lds_api.cc). On demand: `Error adding/updating cluster a - a: reason` (od_cds_api_impl.cc), which
 * names only the first. Validation and endpoint faults have no such form, and messages are cut at 4,096 bytes, so a
 * name that is missing here is not thereby a good one.
 * @module
 */

const LIST_HEAD = /^Error adding\/updating (?:cluster|listener)(?:\(s\))? /;
/** What stands before an entry other than the first. */
const ENTRY_SEPARATORS: readonly string[] = [", ", " - "];
const REASON_SEPARATOR = ": ";

/** The failed resources by name, with Envoy's reason. Cost: one search of the message per name. */
export function attributeNack(message: string, names: Iterable<string>): ReadonlyMap<string, string> {
  const listStart = LIST_HEAD.exec(message)?.[0].length;
  if (listStart === undefined) return new Map();
  const entries: { readonly name: string; readonly start: number }[] = [];
  for (const name of names) {
    const start = findEntry(message, { name, listStart });
    if (start >= 0) entries.push({ name, start });
  }
  entries.sort((a, b) => a.start - b.start);
  const reasons = new Map<string, string>();
  for (const [index, { name, start }] of entries.entries()) {
    const next = entries[index + 1]?.start ?? message.length;
    const reason = message.slice(start + name.length + REASON_SEPARATOR.length, next);
    reasons.set(name, reason.replace(/, $/, "").trimEnd());
  }
  return reasons;
}

/** Where an entry for the name begins, or -1: at the head of the list or behind a separator, and before a colon. */
function findEntry(message: string, options: { readonly name: string; readonly listStart: number }): number {
  const { name, listStart } = options;
  const entry = name + REASON_SEPARATOR;
  for (let at = message.indexOf(entry, listStart); at >= 0; at = message.indexOf(entry, at + 1)) {
    if (at === listStart) return at;
    if (ENTRY_SEPARATORS.some((separator) => message.startsWith(separator, at - separator.length))) return at;
  }
  return -1;
}
