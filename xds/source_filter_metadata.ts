/**
 * Whether an Envoy's listeners take the source filter over ADS (translate/source_filter.ts).
 *
 * Those of an Envoy that was started with the bootstrap of an older Lightpath do not, and it says nothing of it in `node.metadata`. It
 * asks endpoints in its own name, whatever it is sent.
 * @module
 */

const METADATA_KEY = "lightpath.cloud/source-filter";

/** `node.metadata` by which an Envoy says that they do. */
export const SOURCE_FILTER_METADATA = { [METADATA_KEY]: "taken" } as const;

/** Whether they do. */
export function takesSourceFilter(metadata: Readonly<Record<string, unknown>> | undefined): boolean {
  return metadata?.[METADATA_KEY] === SOURCE_FILTER_METADATA[METADATA_KEY];
}
