import { join } from "@std/path/join";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { delay } from "@std/async/delay";
import { createLogger } from "../agent/log.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { ensureTool } from "../scripts/tools/mod.ts";
import { EnvoyOrphanError } from "./envoy_orphan.ts";
import { type EnvoyState, runEnvoy } from "./envoy_process.ts";

const envoy = await ensureTool("envoy", { onProgress: () => {} });
const realEnvoy = envoy.path ?? "";

/** Runs Envoy (or a script in its place) in a folder of its own, and hands its states out one by one. */
class Bench implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #stop = new AbortController();
  readonly #states: EnvoyState[] = [];
  #wake: () => void = () => {};
  #run: Promise<void> = Promise.resolve();
  #seen = 0;

  private constructor(readonly folder: string) {}

  static async open(): Promise<Bench> {
    return new Bench(await Deno.makeTempDir());
  }

  get runDir(): string {
    return join(this.folder, "run");
  }

  get bootstrapPath(): string {
    return join(this.runDir, "envoy-bootstrap.json");
  }

  async script(body: string): Promise<string> {
    const path = join(this.folder, "envoy");
    await Deno.writeTextFile(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    return path;
  }

  start(binary: string, options: { readonly bootstrap?: string; readonly graceMs?: number } = {}): void {
    this.#run = runEnvoy({
      binary,
      bootstrap: options.bootstrap ?? "{}",
      runDir: this.runDir,
      concurrency: 1,
      logLevel: "info",
      logger: createLogger({
        level: "debug",
        format: "json",
        write: (line) => {
          this.lines.push(line);
          this.#wake();
        },
      }),
      onState: (state) => {
        this.#states.push(state);
        this.#wake();
      },
      graceMs: options.graceMs ?? 5_000,
      shortestBackoffMs: 1,
      longestBackoffMs: 5,
    }, this.#stop.signal);
  }

  /** The next state of this kind; states before it are skipped. */
  async next<K extends EnvoyState["kind"]>(kind: K): Promise<Extract<EnvoyState, { kind: K }>> {
    for (;;) {
      const state = this.#states[this.#seen];
      if (state === undefined) await this.#changed();
      else {
        this.#seen++;
        if (state.kind === kind) return state as Extract<EnvoyState, { kind: K }>;
      }
    }
  }

  /** Waits for a log line that holds this text. */
  async logged(text: string): Promise<void> {
    while (!this.lines.some((line) => line.includes(text))) await this.#changed();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#run;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().finally(() => Deno.remove(this.folder, { recursive: true }));
  }

  async #changed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    // A run that fails must fail the test instead of leaving it waiting.
    await Promise.race([promise, this.#run.then(() => Promise.reject(new Error("runEnvoy() has returned")))]);
  }
}

async function lives(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+Z/m.test(await Deno.readTextFile(`/proc/${pid}/status`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test("an Envoy that ends is started again and again, and its last error is told", async () => {
  await using bench = await Bench.open();
  bench.start(await bench.script('echo "critical main cannot bind" >&2; echo "info main bye" >&2; exit 3'));
  for (let round = 0; round < 3; round++) {
    const { restartInMs, ...exited } = await bench.next("exited");
    assertEquals(exited, { kind: "exited", how: "exit code 3", lastError: "cannot bind" });
    assert(restartInMs <= 7);
  }
  const logged = bench.lines.map((line) => JSON.parse(line)).find((line) =>
    line.from === "envoy" && line.level === "error"
  );
  assertEquals([logged?.message, logged?.component], ["cannot bind", "main"]);
});

Deno.test("abort ends it with SIGTERM and leaves nothing behind", async () => {
  await using bench = await Bench.open();
  bench.start(
    await bench.script(
      'trap "echo info main term >&2; exit 0" TERM; echo info main up >&2; while :; do sleep 0.05; done',
    ),
  );
  const { pid } = await bench.next("running");
  await bench.logged('"message":"up"');
  await bench.stop();
  await bench.next("stopped");
  await bench.logged('"message":"term"');
  assertEquals(await lives(pid), false);
  assertEquals([...Deno.readDirSync(bench.runDir)].map(({ name }) => name), ["envoy-bootstrap.json"]);
});

Deno.test("one that ignores SIGTERM is killed after the grace", async () => {
  await using bench = await Bench.open();
  bench.start(await bench.script('trap "" TERM; echo info main up >&2; while :; do sleep 0.05; done'), {
    graceMs: 50,
  });
  const { pid } = await bench.next("running");
  await bench.logged('"message":"up"');
  await bench.stop();
  assertEquals(await lives(pid), false);
  await bench.logged("is killed");
});

Deno.test("bootstrap and folder are the owner's alone", async () => {
  await using bench = await Bench.open();
  bench.start(await bench.script("exec sleep 60"), { bootstrap: '{"node":{}}' });
  await bench.next("running");
  assertEquals(await Deno.readTextFile(bench.bootstrapPath), '{"node":{}}');
  assertEquals(((await Deno.stat(bench.bootstrapPath)).mode ?? 0) & 0o777, 0o600);
  assertEquals(((await Deno.stat(bench.runDir)).mode ?? 0) & 0o777, 0o700);
});

Deno.test("an Envoy left behind by a killed agent is ended before the next one starts", async () => {
  await using bench = await Bench.open();
  await Deno.mkdir(bench.runDir);
  // The shell ends at once, so the process it started has lost the parent the note speaks of.
  const stubborn = 'trap "" TERM; while :; do sleep 0.05; done';
  const script = await bench.script(`sh -c '${stubborn}' sh "$2" >/dev/null 2>&1 & echo $!`);
  const { stdout } = await new Deno.Command(script, { args: ["-c", bench.bootstrapPath] }).output();
  const orphan = Number(new TextDecoder().decode(stdout));
  try {
    assertEquals(await lives(orphan), true);
    await Deno.writeTextFile(join(bench.runDir, "envoy.pid"), `{"envoy":${orphan},"agent":1234567}\n`);
    bench.start(await bench.script("exec sleep 60"), { graceMs: 50 });
    await bench.next("running");
    assertEquals(await lives(orphan), false);
  } finally {
    if (await lives(orphan)) Deno.kill(orphan, "SIGKILL");
  }
});

Deno.test("the note of a process id that somebody else has now is no reason to end that one", async () => {
  await using bench = await Bench.open();
  await Deno.mkdir(bench.runDir);
  const other = new Deno.Command("sleep", { args: ["60"] }).spawn();
  await Deno.writeTextFile(join(bench.runDir, "envoy.pid"), `{"envoy":${other.pid},"agent":1}\n`);
  bench.start(await bench.script("exec sleep 60"));
  await bench.next("running");
  assertEquals(await lives(other.pid), true);
  other.kill();
  await other.status;
});

Deno.test("a second agent in the same folder is refused while the first one lives", async () => {
  await using bench = await Bench.open();
  bench.start(await bench.script("while :; do sleep 0.05; done"));
  const { pid } = await bench.next("running");
  await assertRejects(
    () =>
      runEnvoy({
        binary: "true",
        bootstrap: "{}",
        runDir: bench.runDir,
        concurrency: 1,
        logLevel: "info",
        logger: createLogger({ level: "error", format: "text" }),
      }, AbortSignal.abort()),
    EnvoyOrphanError,
  );
  assertEquals(await lives(pid), true);
});

testUnless("a real Envoy starts, is started again after a crash, and ends on abort", {
  unavailable: [envoy.unavailable],
}, async () => {
  await using bench = await Bench.open();
  const admin = join(bench.folder, "admin.sock");
  bench.start(realEnvoy, {
    bootstrap: JSON.stringify({ admin: { address: { pipe: { path: admin, mode: 0o600 } } } }),
  });
  const first = await bench.next("running");
  await bench.logged("starting main dispatch loop");
  assertEquals(((await Deno.stat(admin)).mode ?? 0) & 0o777, 0o600);
  Deno.kill(first.pid, "SIGKILL");
  assertEquals((await bench.next("exited")).how, "signal SIGKILL");
  const second = await bench.next("running");
  await bench.stop();
  assertEquals([await lives(first.pid), await lives(second.pid)], [false, false]);
});

testUnless("a real Envoy with a bad bootstrap says why", { unavailable: [envoy.unavailable] }, async () => {
  await using bench = await Bench.open();
  bench.start(realEnvoy, { bootstrap: '{"static_resources":{"listenrs":[]}}' });
  const exited = await bench.next("exited");
  assertEquals(exited.how, "exit code 1");
  assert(exited.lastError.includes("listenrs"), exited.lastError);
});

const guard = await new Deno.Command("setpriv", { args: ["--pdeathsig", "KILL", "--", "true"] }).output()
  .then(
    ({ success }) => success ? undefined : "setpriv cannot set a parent's death signal",
    () => "there is no setpriv",
  );

testUnless("Envoy does not outlive an agent that is killed", { unavailable: [guard] }, async () => {
  await using bench = await Bench.open();
  const script = await bench.script("exec sleep 600");
  const program = `
    import { runEnvoy } from ${JSON.stringify(new URL("./envoy_process.ts", import.meta.url).href)};
    import { silentLogger } from ${JSON.stringify(new URL("../agent/log.ts", import.meta.url).href)};
    await runEnvoy({ binary: ${JSON.stringify(script)}, bootstrap: "{}", runDir: ${
    JSON.stringify(bench.runDir)
  },
      concurrency: 1, logLevel: "info", logger: silentLogger,
      onState: (state) => state.kind === "running" && Deno.stdout.writeSync(new TextEncoder().encode(state.pid + "\\n")),
    }, new AbortController().signal);`;
  const file = join(bench.folder, "agent.ts");
  await Deno.writeTextFile(file, program);
  const config = new URL("../deno.json", import.meta.url).pathname;
  const agent = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, file],
    stdout: "piped",
  }).spawn();
  const reader = agent.stdout.getReader();
  const pid = Number(new TextDecoder().decode((await reader.read()).value));
  assertEquals(await lives(pid), true);
  agent.kill("SIGKILL");
  await agent.status;
  await reader.cancel();
  // The kernel sends the signal at once; only how soon it is carried out is open.
  for (let look = 0; look < 500 && await lives(pid); look++) await delay(10);
  const outlived = await lives(pid);
  if (outlived) Deno.kill(pid, "SIGKILL");
  assertEquals(outlived, false);
});
