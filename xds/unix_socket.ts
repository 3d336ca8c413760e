/**
 * Puts a listening Unix socket where only its owner can reach it.
 *
 * In: the path at which Envoy will connect. Out: a path to bind to first, and the steps that make it appear at its place.
 * Invariants: at no moment can another user connect (the socket is bound inside a directory of mode 0700, gets mode
 * 0600 there, and only then is renamed to its place); a socket that someone still serves is never replaced; what is not
 * a socket is never removed. The process's umask stays as it is: it would be shared with everything else that runs.
 * Source: unix(7); the length limit is `sun_path` with its terminating zero.
 * @module
 */
import { dirname } from "@std/path/dirname";
import { join } from "@std/path/join";
import { AdsAddressError } from "./ads_address_error.ts";

/** Longest directory for a socket: `bind` takes 107 bytes on Linux, and the socket is born one directory below. */
const MAX_DIRECTORY_BYTES = 107 - "/.lp-0123456789abcdef/s".length;
/** Longest path that `connect` takes. */
const MAX_PATH_BYTES = 107;

/** A socket on its way to its place. */
export interface SocketPlace {
  /** Where to bind. */
  readonly bindPath: string;
  /** Call once the socket listens: moves it to its place. */
  publish(): Promise<void>;
  /** Removes the socket, unless someone else's is there by now, and whatever a failed start left behind. */
  remove(): Promise<void>;
}

/**
 * Prepares the place: creates the directory (mode 0700) if it is missing, and makes sure nobody serves there.
 *
 * @throws {AdsAddressError} when another process serves the path, something that is not a socket is there, the path is
 * too long for a socket, or the directory cannot be written to.
 */
export async function prepareSocketPlace(path: string): Promise<SocketPlace> {
  const directory = dirname(path);
  if (byteLength(directory) > MAX_DIRECTORY_BYTES || byteLength(path) > MAX_PATH_BYTES) {
    throw new AdsAddressError(
      `the socket path ${path} is too long: at most ${MAX_DIRECTORY_BYTES} bytes for its directory and ${MAX_PATH_BYTES} in all`,
    );
  }
  const nursery = await makeNursery(directory, () => refuseIfServed(path));
  const bindPath = join(nursery, "s");
  let published: Deno.FileInfo | undefined;

  async function remove(): Promise<void> {
    await Deno.remove(nursery, { recursive: true }).catch(ignoreNotFound);
    if (published === undefined) return;
    const found = await Deno.lstat(path).catch(ignoreNotFound);
    if (found?.ino === published.ino && found.dev === published.dev) {
      await Deno.remove(path).catch(ignoreNotFound);
    }
  }

  async function publish(): Promise<void> {
    await Deno.chmod(bindPath, 0o600);
    published = await Deno.lstat(bindPath);
    await Deno.rename(bindPath, path);
    await Deno.remove(nursery);
  }

  return { bindPath, publish, remove };
}

/** Makes the directory the socket is born in, inside the one where it will live. */
async function makeNursery(directory: string, check: () => Promise<void>): Promise<string> {
  try {
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    await check();
    return await Deno.makeTempDir({ dir: directory, prefix: ".lp-" });
  } catch (error) {
    if (error instanceof AdsAddressError) throw error;
    throw new AdsAddressError(`cannot make a socket in ${directory}: ${describe(error)}`, { cause: error });
  }
}

/** A socket nobody accepts on is left from a process that died; `publish` replaces it. */
async function refuseIfServed(path: string): Promise<void> {
  const found = await Deno.lstat(path).catch(ignoreNotFound);
  if (found === undefined) return;
  if (found.isSocket !== true) {
    throw new AdsAddressError(
      `${path} exists and is not a socket: remove it or choose another socket path`,
    );
  }
  try {
    const connection = await Deno.connect({ transport: "unix", path });
    connection.close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound) return;
    throw new AdsAddressError(`cannot find out whether another agent serves ${path}: ${describe(error)}`, {
      cause: error,
    });
  }
  throw new AdsAddressError(
    `another agent serves ${path}: stop it, or give this one another socket path`,
  );
}

function ignoreNotFound(error: unknown): undefined {
  if (error instanceof Deno.errors.NotFound) return undefined;
  throw error;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
