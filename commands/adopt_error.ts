/**
 * In a file of its own, so that whoever puts it into words needs none of what adopts.
 * @module
 */

/** Not all Services are as they were to be. The message is one sentence for the operator. */
export class AdoptError extends Error {
  override readonly name = "AdoptError";
}
