/**
 * The processes that hold namespaces open.
 *
 * In: what to unshare. Out: a `Holder`, which lives until `end` or until this process is gone: it reads a pipe whose
 * other end only this process has.
 * Source: unshare(1), pid_namespaces(7) ("the init process of a PID namespace").
 * @module
 */

import { childOf } from "./process.ts";
import { outside, runToEnd } from "./run_command.ts";

// Duplicate address detection would keep an IPv6 address unusable for a second, and nobody else is on these links.
const SETTLE = `ip link set lo up || exit 1
for scope in all default; do
  [ ! -e /proc/sys/net/ipv6 ] || echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad || exit 1
done
echo ready`;

/** Becomes init of a PID namespace, with its own /proc and an empty /run. */
// With SIGCHLD ignored, the kernel reaps the orphans that init inherits; `cat` would not.
const INIT = `trap '' CHLD
mount -t proc proc /proc && mount -t tmpfs -o mode=755 tmpfs /run || exit 1
${SETTLE}
exec cat >/dev/null`;

/** Holds a network namespace inside of that. */
const INIT_CHILD = `${SETTLE}
exec cat >/dev/null`;

/** A process whose namespaces can be entered. */
export interface Holder {
  /** As the host sees it. */
  readonly pid: number;
  /** Whether it also has a user namespace of its own, which has to be entered first. */
  readonly inUserNamespace: boolean;
  /** Ends it and waits for that. */
  end(): Promise<void>;
}

/**
 * Holds new network, mount, PID and, where needed, user namespaces.
 * @throws {Error} With the reason and what would help, when this machine does not allow it.
 */
export async function holdNode(): Promise<Holder> {
  return await startHolder(["unshare", ...await unshareFlags(), "--", "sh", "-c", INIT]);
}

/** Holds a new network namespace; `enter` is what enters the namespaces that it is made in. */
export async function holdNetwork(enter: (command: readonly string[]) => readonly string[]): Promise<Holder> {
  return await startHolder(enter(["unshare", "-n", "--", "sh", "-c", INIT_CHILD]));
}

let knownFlags: Promise<readonly string[]> | undefined;

/** Root makes namespaces directly; everyone else, and root without CAP_SYS_ADMIN, inside a user namespace. */
function unshareFlags(): Promise<readonly string[]> {
  return knownFlags ??= (async () => {
    const flags = ["-n", "-m", "-p", "--fork", "--kill-child"];
    const direct = await tryUnshare(flags);
    if (direct === undefined) return flags;
    const mapped = ["-U", "-r", ...flags];
    const reason = await tryUnshare(mapped);
    if (reason === undefined) return mapped;
    throw new Error(
      `this machine allows no network namespaces (${reason}): run as root, ` +
        `or allow unprivileged user namespaces (sysctl user.max_user_namespaces, ` +
        `kernel.apparmor_restrict_unprivileged_userns=0)`,
    );
  })();
}

async function tryUnshare(flags: readonly string[]): Promise<string | undefined> {
  const result = await runToEnd(["unshare", ...flags, "--", "sh", "-c", "mount -t proc proc /proc"], {});
  return result.code === 0 ? undefined : result.stderr.trim() || `unshare ended with code ${result.code}`;
}

async function startHolder(argv: readonly string[]): Promise<Holder> {
  const child = outside(argv, { stdin: "piped" }).spawn();
  const pid = await readLine(child.stdout) === "ready" ? childOf(child.pid) : undefined;
  const end = async (): Promise<void> => {
    // Broken pipe: it has ended already, which is what is wanted.
    await child.stdin.close().catch(() => {});
    await child.status;
  };
  if (pid === undefined) {
    const complaint = new Response(child.stderr).text();
    await end();
    throw new Error(`no namespace could be made: ${(await complaint).trim() || `${argv[0]} failed`}`);
  }
  await child.stderr.cancel();
  return { pid, inUserNamespace: argv.includes("-U"), end };
}

/** The first line of a stream, or what there was of it; the rest is dropped. */
async function readLine(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  return text.split("\n")[0] ?? "";
}
