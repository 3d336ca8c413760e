/**
 * Keeps one copy of texts that thousands of objects have in common: namespaces, zones, nodes, protocols, port names.
 *
 * In: any text. Out: an equal one. Not for texts that are unique: they would only drive the others out.
 * @module
 */

/** More distinct texts than any cluster has zones and nodes; beyond it the table starts afresh. */
const LIMIT = 20_000;
/** Longer texts hardly ever repeat. */
const MAX_LENGTH = 64;
const known = new Map<string, string>();

/** The one copy of a text. */
export function shareText(text: string): string {
  if (text.length > MAX_LENGTH) return text;
  const shared = known.get(text);
  if (shared !== undefined) return shared;
  if (known.size >= LIMIT) known.clear();
  known.set(text, text);
  return text;
}
