/**
 * How the kernel draws one of a destination's endpoints: among how many places, how often, and how a place is written.
 *
 * In: a number of endpoints, a place. Out: a balance class, nft text. Pure.
 *
 * The endpoints of a destination stand at the places 0 to N-1 of a map. A rule can draw a number below a constant only, so
 * there is a rule for each of a few constants, the classes, and N endpoints are drawn in the smallest class M that holds
 * them. A number of N or above finds nothing, and another is drawn: so every endpoint is as likely as any other, and one
 * endpoint more or less is one element and no more, until the class is full. (A rule for every number of endpoints would
 * need no second draw, but one element more for each change, and would lose a connection that meets the old number with the
 * new places.)
 *
 * The last draw is one below the class before, which always finds something. That makes the first places likelier, by
 * less than half a percent: at least two thirds of a class are taken, so that `DRAWS` draws find nothing once in 243 times.
 * @module
 */

/** Most endpoints of a destination that the kernel balances among; more are left out. (Clusters end at 5,000 nodes.) */
export const MOST_PLACES = 16_384;

/** How often a number is drawn in a class, before one is drawn in the class before. */
export const DRAWS = 5;

/** 1, 2, 3, 4, 6, 8, 12, 16 …: the fewest endpoints of each are more than two thirds of it. */
export const BALANCE_CLASSES: readonly number[] = (() => {
  const classes = [1, 2];
  for (let power = 2; power < MOST_PLACES; power *= 2) classes.push(power * 3 / 2, power * 2);
  return classes;
})();

/** What is added to a place, so that it is none of the other numbers that rules write into a priority (`served_value.ts`). */
export const FIRST_PLACE = 0x4c54_0001;

/** A place as nft writes it, as part of a key: `4c54:1` for the first. */
export function placeText(place: number): string {
  return `4c54:${((FIRST_PLACE & 0xffff) + place).toString(16)}`;
}

/** Index of the smallest class that holds so many endpoints, at least 1 and at most `MOST_PLACES`. */
export function balanceClass(endpoints: number): number {
  const index = BALANCE_CLASSES.findIndex((places) => places >= endpoints);
  if (endpoints < 1 || index < 0) throw new RangeError(`Cannot balance among ${endpoints} endpoints`);
  return index;
}
