/**
 * Tells what the kernel refused as a `RedirectError` that says what it was about.
 *
 * In: an outcome. Out: an error; its line is as nft would have been given it. Pure.
 * @module
 */

import { TABLE } from "../layout.ts";
import type { PlanElement } from "../plan.ts";
import { RedirectError } from "../redirect_error.ts";
import { nftErrorSentence } from "../run_nft.ts";
import type { Outcome } from "./answers.ts";
import { errnoMeaning } from "./errno.ts";

/** The error for a batch that was refused. */
export function refusalError(
  { errno, words, message, element }: Extract<Outcome, { readonly kind: "refused" }>,
): RedirectError {
  const { name, kind } = errnoMeaning(errno);
  const reason = words === "" ? name : `${name}, ${words}`;
  if (kind === "permission" || kind === "unsupported") {
    return new RedirectError(nftErrorSentence(kind, "nft", reason), { kind });
  }
  if (message === undefined) return new RedirectError(`The kernel refused a change: ${reason}`, { kind });
  const { verb, container } = message;
  if (verb === "empty") {
    return new RedirectError(`The kernel refused to empty ${container}: ${reason}`, { kind });
  }
  const sentence = `The kernel refused to ${verb} ${verb === "add" ? "to" : "from"} ${container}: ${reason}`;
  if (element === undefined) return new RedirectError(sentence, { kind });
  const line = `${verb} element ${TABLE} ${container} { ${elementText(element, verb)} }`;
  return new RedirectError(sentence, { kind, line });
}

/** As in a script for nft. */
function elementText({ key, value }: PlanElement, verb: "add" | "delete"): string {
  return verb === "delete" || value === "" ? key : `${key} : ${value}`;
}
