/**
 * Lists that are kept for every object of the cluster.
 *
 * V8 reserves 17 places at the first `push` into a list, and keeps them; most lists here hold one or two.
 * @module
 */

/** The same list without room to grow. */
export function exactly<T>(list: readonly T[]): readonly T[] {
  return list.slice();
}
