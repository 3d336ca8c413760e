/**
 * Reads a list of ServiceCIDRs, in JSON.
 *
 * In: the bytes of the answer. Out: the ranges as they stand there, whichever object has them. One that is being deleted counts:
 * it stays until no Service has an address of it.
 * Source: Kubernetes API reference, "ServiceCIDR v1 networking.k8s.io".
 * @module
 */
import { FieldReader, isFields } from "../_fields.ts";

/** All ranges. @throws {SyntaxError} when the bytes are no list */
export function readServiceCIDRs(body: Uint8Array): readonly string[] {
  const list: unknown = JSON.parse(new TextDecoder().decode(body));
  if (!isFields(list) || !("items" in list)) throw new SyntaxError("the answer is not a Kubernetes list");
  const items = Array.isArray(list["items"]) ? list["items"] : [];
  return items.flatMap((item: unknown) =>
    new FieldReader(isFields(item) ? item : {}, "", []).object("spec").texts("cidrs")
  );
}
