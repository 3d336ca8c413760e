/**
 * What the kernel's errors mean: the same kinds as what nft says of them.
 *
 * Source: errno(3), asm-generic/errno.h; when there is which: the kernel's nf_tables_api.c, nfnetlink.c.
 * @module
 */

import type { RedirectErrorKind } from "../redirect_error.ts";

const ERRORS: Readonly<Record<number, readonly [name: string, kind: RedirectErrorKind]>> = {
  1: ["EPERM", "permission"],
  2: ["ENOENT", "not-found"],
  4: ["EINTR", "busy"],
  11: ["EAGAIN", "busy"],
  12: ["ENOMEM", "other"],
  13: ["EACCES", "permission"],
  16: ["EBUSY", "busy"],
  17: ["EEXIST", "exists"],
  22: ["EINVAL", "other"],
  23: ["ENFILE", "other"],
  34: ["ERANGE", "other"],
  85: ["ERESTART", "busy"],
  90: ["EMSGSIZE", "too-large"],
  93: ["EPROTONOSUPPORT", "unsupported"],
  95: ["EOPNOTSUPP", "unsupported"],
  97: ["EAFNOSUPPORT", "unsupported"],
  105: ["ENOBUFS", "other"],
};

/** An error's name and kind; of one that is not expected its number. */
export function errnoMeaning(
  errno: number | undefined,
): { readonly name: string; readonly kind: RedirectErrorKind } {
  const [name, kind] = ERRORS[errno ?? 0] ??
    [errno === undefined ? "unknown error" : `error ${errno}`, "other"];
  return { name, kind };
}
