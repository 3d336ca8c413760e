/**
 * The marks by which the kernel knows the connections that Envoy makes in a client's name, and their answers.
 *
 * An answer is addressed to the client, who is not on this node or behind another interface: it has to be brought to Envoy
 * instead. conntrack remembers of each connection that it is Envoy's, and a policy route takes the answers in.
 *
 * In: two bits of the packet mark, which are the connection mark's too. Out: what is made of them. Pure.
 * Invariant: Envoy's own packets and the answers have different marks, or Envoy's would be taken in as well.
 * @module
 */

/** See the module's comment. All are values of the bits in `mask`; the other bits are others'. */
export interface Marks {
  readonly mask: number;
  /** Of Envoy's packets, where they are in a client's name, and of their connections. */
  readonly envoy: number;
  /** Of answers that come from elsewhere. */
  readonly answer: number;
  /** Of answers that this node itself makes: the endpoint is one of its own programs. */
  readonly answerHere: number;
}

/** 0x40 and 0x1000: docs/marks-and-ports.md says who has which bits. */
export const DEFAULT_MARK_MASK = 0x1040;

/** Whether a number is exactly two bits, of 32. */
export function isMarkMask(mask: number): boolean {
  return Number.isInteger(mask) && mask > 0 && mask <= 0xffff_ffff && bitsOf(mask).length === 2;
}

/** What is made of two bits. @throws {RangeError} unless they are */
export function marksOf(mask: number): Marks {
  const [envoy = 0, answer = 0] = bitsOf(mask);
  if (!isMarkMask(mask)) throw new RangeError(`Cannot use the mark bits ${mask}: want two bits of 32`);
  return { mask, envoy, answer, answerHere: mask };
}

function bitsOf(mask: number): number[] {
  return Array.from({ length: 32 }, (_, index) => 2 ** index).filter((bit) => (mask & bit) !== 0);
}

/** As nft and ip write it. */
export function renderMark(mark: number): string {
  return `0x${mark.toString(16)}`;
}
