/**
 * The demo's folder of manifests: a copy of examples/whoami whose endpoints can be taken out and put back.
 *
 * In: which pods are to be endpoints. Out: files, replaced in one step, as an editor or a mounted ConfigMap does.
 * @module
 */

import { join } from "@std/path/join";
import { parseAllDocuments } from "yaml";

const EXAMPLE = new URL("../../examples/whoami/", import.meta.url);
const SLICES = "endpointslice.yaml";

/** What is read of a slice here. */
interface Slice {
  endpoints: { readonly targetRef: { readonly name: string } }[];
}

/** Copies the example into an existing folder. */
export async function copyExample(folder: string): Promise<void> {
  await Deno.copyFile(new URL("service.yaml", EXAMPLE), join(folder, "service.yaml"));
  await Deno.copyFile(new URL(SLICES, EXAMPLE), join(folder, SLICES));
}

/**
 * Writes the example's slices with the endpoints of these pods only.
 * @returns When the file was in place, in milliseconds since the epoch.
 */
export async function writeEndpoints(folder: string, pods: readonly string[]): Promise<number> {
  const text = await Deno.readTextFile(new URL(SLICES, EXAMPLE));
  const slices = parseAllDocuments(text).map((document) => document.toJS() as Slice);
  const kept = slices.map((slice) => ({
    ...slice,
    endpoints: slice.endpoints.filter(({ targetRef }) => pods.includes(targetRef.name)),
  }));
  // JSON is YAML. The name begins with a dot, so the half-written file is no manifest.
  const temporary = join(folder, `.${SLICES}.new`);
  await Deno.writeTextFile(temporary, kept.map((slice) => JSON.stringify(slice, null, 2)).join("\n---\n"));
  await Deno.rename(temporary, join(folder, SLICES));
  return Date.now();
}
