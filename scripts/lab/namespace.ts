/**
 * Linux network namespaces for tests and the demo: made, entered and removed without leaving a trace on the host.
 *
 * A namespace is held by a process of ours, not by a name under /run/netns. The first one (`create`) also has its own
 * PID and mount namespace, and as an ordinary user its own user namespace; the ones made from it (`child`) share
 * those and differ in the network only, like the pods of a node.
 * In: commands. Out: their results.
 * Invariants: whatever runs inside ends with the namespace, and the namespace ends with this process, even when it
 * is killed: the holder is init of the PID namespace and reads a pipe that only this process holds open; at the end
 * of file it exits, and the kernel kills the rest. Inside, /proc is the namespace's own and /run an empty tmpfs.
 * Source: namespaces(7), user_namespaces(7), pid_namespaces(7), unshare(1), nsenter(1).
 * @module
 */

import { type Holder, holdNetwork, holdNode } from "./holder.ts";
import { LabProcess, processIds, type SpawnOptions } from "./process.ts";
import { type ExecOptions, type ExecResult, outside, runToEnd, succeeded } from "./run_command.ts";

/** Kernel settings by their path below /proc/sys, e.g. `net/ipv4/ip_forward`. */
export type Sysctls = Readonly<Record<string, string>>;

/** A network namespace; see the module's comment. */
export class Namespace implements AsyncDisposable {
  /** For messages, and for the names of interfaces that lead here. */
  readonly name: string;
  /** Process id of the holder as the host sees it: what `nsenter --target` takes. */
  readonly pid: number;
  readonly #holder: Holder;
  /** The namespace whose user, PID and mount namespaces this one shares; itself for the first. */
  readonly #root: Namespace;
  readonly #children: Namespace[] = [];
  readonly #processes = new Set<LabProcess>();
  #disposed = false;

  private constructor(name: string, options: { holder: Holder; root: Namespace | undefined }) {
    this.name = name;
    this.pid = options.holder.pid;
    this.#holder = options.holder;
    this.#root = options.root ?? this;
  }

  /**
   * A namespace of its own, with the loopback interface up.
   * @throws {Error} With the reason and what would help, when this machine does not allow it.
   */
  static async create(options: { readonly name: string }): Promise<Namespace> {
    return new Namespace(options.name, { holder: await holdNode(), root: undefined });
  }

  /** Another network namespace that shares everything else with this one; it ends with this one at the latest. */
  async child(options: { readonly name: string }): Promise<Namespace> {
    const holder = await holdNetwork((command) => this.#root.enter(command));
    const child = new Namespace(options.name, { holder, root: this.#root });
    this.#root.#children.push(child);
    return child;
  }

  /** The argument vector that runs `command` in here, for this process or for a person at a shell. */
  enter(command: readonly string[]): string[] {
    return [...this.#enterFlags(), "-m", "-p", "--", ...command];
  }

  /** Runs a command to its end. A code other than 0 is a result, not an error. */
  async exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return await runToEnd(this.enter(command), options);
  }

  /**
   * Runs a command to its end and returns its standard output.
   * @throws {Error} When it ends with another code than 0; the message holds its standard error.
   */
  async run(command: readonly string[], options: ExecOptions = {}): Promise<string> {
    return succeeded(await this.exec(command, options), `${command.join(" ")} in ${this.name}`);
  }

  /** Starts a command; it is killed with the namespace at the latest. */
  spawn(command: readonly string[], options: SpawnOptions = {}): LabProcess {
    const child = outside(this.enter(command), { ...options, stdin: "null" }).spawn();
    const process = new LabProcess(child, { title: `${this.name}: ${command[0]}`, onLine: options.onLine });
    this.#processes.add(process);
    process.closed.finally(() => this.#processes.delete(process)).catch(() => {});
    return process;
  }

  /**
   * Runs lines of iproute2's batch language (`link add …`, `addr add …`) in one process, stopping at the first fault.
   * Process ids in them (`netns PID`) are those of the host.
   * @throws {Error} With iproute2's message.
   */
  async ip(lines: readonly string[]): Promise<void> {
    // Not entering the PID namespace: the kernel looks `netns PID` up in the caller's.
    const argv = [...this.#enterFlags(), "--", "ip", "-batch", "-"];
    succeeded(await runToEnd(argv, { stdin: lines.join("\n") + "\n" }), `ip in ${this.name}`);
  }

  /**
   * Sets kernel parameters of this namespace.
   * @throws {Error} When one does not exist or does not take the value.
   */
  async sysctl(values: Sysctls): Promise<void> {
    const script = `while read -r path value; do echo "$value" >"/proc/sys/$path" || exit 1; done`;
    const stdin = Object.entries(values).map(([path, value]) => `${path} ${value}\n`).join("");
    await this.run(["sh", "-c", script], { stdin });
  }

  /** Ends everything in here, the namespaces made from this one included, and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const spawned = [...this.#processes];
    if (this.#root === this) {
      // The end of init kills all others, those in the children included.
      await this.#holder.end();
      for (const child of this.#children) await child[Symbol.asyncDispose]();
    } else {
      await this.#killAll();
      await this.#holder.end();
    }
    await Promise.all(spawned.map((process) => process.closed));
  }

  /** Kills what runs in this network namespace, orphans included, its holder excepted. */
  async #killAll(): Promise<void> {
    const network = await networkOf(this.pid);
    if (network === undefined) return; // Ended with its root.
    for (const pid of processIds()) {
      if (pid === this.pid || await networkOf(pid) !== network) continue;
      try {
        Deno.kill(pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }

  #enterFlags(): string[] {
    const target = String(this.#root.pid);
    const user = this.#root.#holder.inUserNamespace ? ["-U", "--preserve-credentials"] : [];
    return ["nsenter", "-t", target, ...user, this === this.#root ? "-n" : `--net=/proc/${this.pid}/ns/net`];
  }
}

/**
 * Why no namespaces can be made here, in one sentence that says what would help; undefined when they can.
 * Found out once per process, by making two and a link between them.
 */
export function namespacesUnavailable(): Promise<string | undefined> {
  return unavailableReason ??= probe();
}

let unavailableReason: Promise<string | undefined> | undefined;

async function probe(): Promise<string | undefined> {
  try {
    await using node = await Namespace.create({ name: "probe" });
    const pod = await node.child({ name: "probe-pod" });
    await node.ip([`link add probe0 type veth peer name probe1 netns ${pod.pid}`]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Identifies a process's network namespace; undefined when it has ended or belongs to somebody else. */
async function networkOf(pid: number): Promise<string | undefined> {
  return await Deno.readLink(`/proc/${pid}/ns/net`).catch(() => undefined);
}
