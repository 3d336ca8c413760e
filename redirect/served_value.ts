/**
 * The value a served destination has in the kernel: which way its connections take, and among how many places its endpoints
 * are drawn.
 *
 * In: a path, a balance class, whether clients keep their endpoints. Out: nft text of the data type `classid`, `MAJOR:MINOR` in hexadecimal: the major part is the
 * path, the minor part the class, counted from 1, and a bit that says that clients keep their endpoints.
 *
 * A classid because that is the type of a packet's priority, into which the value is loaded to be looked at part by part: the
 * one field of a packet that a rule may write and nobody else reads at that point. (Not the mark: routing and the network
 * plugins read it.) It is set back to 0 right after the translation; the numbers are such as no traffic class uses.
 * @module
 */

import type { Path } from "../agent/model/mod.ts";

/** A path on which a destination is served. */
export type ServedPath = Extract<Path, "envoy-http" | "envoy-tcp" | "kernel">;

const MAJOR: Readonly<Record<ServedPath, string>> = {
  "envoy-http": "4c51",
  "envoy-tcp": "4c52",
  kernel: "4c53",
};

/** Everything that rules write into a priority: these values, places (`balance.ts`), and those of `affinity.ts`. */
export const WRITTEN_PRIORITIES = "4c51:0-5cff:ffff";
/** Which bits are the path's. */
export const PATH_BITS = "0xffff0000";
/** Which bits are the class's. */
export const CLASS_BITS = "0x00007fff";
/** The bit of destinations whose clients keep their endpoints. */
export const AFFINE_BIT = "0x00008000";
/** That bit, set. */
export const AFFINE = "0:8000";

/** A destination as its value tells it. */
export interface Served {
  readonly path: ServedPath;
  /** Index of the balance class of its endpoints. */
  readonly classIndex: number;
  /** Its clients keep their endpoints. */
  readonly affine: boolean;
}

/** The value of such a destination. */
export function servedValue({ path, classIndex, affine }: Served): string {
  return `${MAJOR[path]}:${(classIndex + 1 + (affine ? 0x8000 : 0)).toString(16)}`;
}

/** The path's part of such values, alone. */
export function pathPart(path: ServedPath): string {
  return `${MAJOR[path]}:0`;
}

/** The class's part, alone. */
export function classPart(classIndex: number): string {
  return `0:${(classIndex + 1).toString(16)}`;
}

/** The path of a value; undefined when it is none of ours. */
export function servedPath(value: string): ServedPath | undefined {
  for (const path of Object.keys(MAJOR) as ServedPath[]) if (value.startsWith(`${MAJOR[path]}:`)) return path;
  return undefined;
}
