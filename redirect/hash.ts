/**
 * Hashes of 32 bits, the same on every machine and in every version: what is in the kernel is named and ordered by them.
 * @module
 */

/** Of text: FNV-1a over its UTF-16 units, then mixed. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return mixed(hash);
}

/** Of two integers. */
export function hashNumbers(a: number, b: number): number {
  return mixed(Math.imul(a + 1, 0x9e3779b1) + Math.imul(b, 0x85ebca77));
}

/** MurmurHash3's finalizer: every bit of the input changes about half of the output's. */
function mixed(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
