import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { connect } from "./links.ts";
import { Namespace } from "./namespace.ts";
import { testInNamespace, testUnless } from "./testing.ts";

const LISTENER = `const l = Deno.listen({ hostname: Deno.args[0], port: 7000 });
console.log("listening");
for await (const c of l) { await c.write(new TextEncoder().encode(c.remoteAddr.hostname)); c.close(); }`;
const DIALER = `const c = await Deno.connect({ hostname: Deno.args[0], port: 7000 });
await c.readable.pipeTo(Deno.stdout.writable);`;

function deno(script: string, ...args: string[]): string[] {
  return [Deno.execPath(), "eval", script, ...args];
}

testInNamespace("two namespaces talk TCP over a link, on both families", async () => {
  await using node = await Namespace.create({ name: "node" });
  const pod = await node.child({ name: "pod" });
  const link = await connect(node, pod, {
    a: ["10.1.0.1/24", "fd00:1::1/64"],
    b: ["10.1.0.2/24", "fd00:1::2/64"],
  });
  assertEquals(link, { a: "pod", b: "node" });
  for (const [server, client] of [["10.1.0.2", "10.1.0.1"], ["fd00:1::2", "fd00:1::1"]] as const) {
    const listener = pod.spawn(deno(LISTENER, server));
    await listener.waitForLine(/listening/);
    assertEquals(await node.run(deno(DIALER, server)), client);
    await listener.stop();
  }
});

testInNamespace("nothing of the host is seen inside, and settings inside do not reach the host", async () => {
  const forward = "/proc/sys/net/ipv4/ip_forward";
  const before = await Deno.readTextFile(forward);
  await using node = await Namespace.create({ name: "node" });
  const links = JSON.parse(await node.run(["ip", "-j", "link"])) as { ifname: string; flags: string[] }[];
  // Some kernels put tunnel devices of their own into each namespace; none of them is up.
  assertEquals(links.filter((link) => link.flags.includes("UP")).map((link) => link.ifname), ["lo"]);
  assertEquals(await node.run(["ls", "-A", "/run"]), "");
  await node.sysctl({ "net/ipv4/ip_forward": before.trim() === "1" ? "0" : "1" });
  assertEquals(await Deno.readTextFile(forward), before);
  assert((await node.run(["cat", forward])) !== before);
});

testInNamespace("a command's code, output and input pass; run() throws with its complaint", async () => {
  await using node = await Namespace.create({ name: "node" });
  assertEquals(await node.exec(["sh", "-c", "cat; echo no >&2; exit 3"], { stdin: "hello" }), {
    code: 3,
    stdout: "hello",
    stderr: "no\n",
  });
  await assertRejects(() => node.run(["sh", "-c", "echo no >&2; exit 3"]), Error, "code 3: no");
  await assertRejects(() => node.ip(["link add"]), Error, "ip in node");
  await assertRejects(() => node.sysctl({ "net/none": "1" }), Error, "net/none");
});

testInNamespace("stop() lets a command end in its own way, and kills one that will not", async () => {
  await using node = await Namespace.create({ name: "node" });
  const polite = node.spawn([
    "sh",
    "-c",
    "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done",
  ]);
  await polite.waitForLine(/up/);
  assertEquals((await polite.stop()).code, 7);
  assertMatch(polite.recentOutput(), /bye/);
  const deaf = node.spawn(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"]);
  await deaf.waitForLine(/up/);
  assertEquals((await deaf.stop({ graceMs: 100 })).signal, "SIGKILL");
  await assertRejects(() => deaf.waitForLine(/never/), Error, "before it printed");
});

testInNamespace("everything inside ends with the namespace, orphans included", async () => {
  const node = await Namespace.create({ name: "node" });
  const pod = await node.child({ name: "pod" });
  const orphan = pod.spawn(["sh", "-c", "setsid sleep 4711 & echo $!"]);
  assertEquals((await orphan.status).code, 0);
  const busy = pod.spawn(["yes"]);
  await node[Symbol.asyncDispose]();
  await busy.closed;
  assertEquals(await processesWith("sleep\x004711"), []);
  await assertRejects(() => Deno.stat(`/proc/${pod.pid}/ns/net`), Deno.errors.NotFound);
});

testInNamespace(
  "everything inside ends with the process that made it, even when that is killed",
  async () => {
    const script = `import { Namespace } from ${JSON.stringify(import.meta.resolve("./namespace.ts"))};
const node = await Namespace.create({ name: "node" });
node.spawn(["sleep", "4712"]);
console.log(node.pid);
await new Promise(() => setInterval(() => {}, 1000));`;
    const maker = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--config", new URL("../../deno.json", import.meta.url).pathname, script],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const lines = maker.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const holder = Number((await lines.read()).value);
    assert((await Deno.stat(`/proc/${holder}`)).isDirectory);
    maker.kill("SIGKILL");
    await maker.status;
    await lines.cancel();
    for (;;) {
      if ((await processesWith("sleep\x004712")).length === 0 && !(await exists(`/proc/${holder}`))) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
);

const AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

testUnless(
  "an ordinary user can do it too",
  { unavailable: [await namespacesUnavailableToNobody()] },
  async () => {
    const home = await Deno.makeTempDir();
    try {
      await Deno.chmod(home, 0o777);
      // The checkout, the cache and the program may be closed to that user: it gets copies and an empty cache.
      for (const file of ["namespace.ts", "holder.ts", "process.ts", "run_command.ts", "links.ts"]) {
        await Deno.copyFile(new URL(file, import.meta.url), `${home}/${file}`);
      }
      const program = `${home}/deno`;
      await Deno.copyFile(Deno.execPath(), program);
      await Deno.writeTextFile(
        `${home}/main.ts`,
        `import { Namespace } from "./namespace.ts";
import { connect } from "./links.ts";
await using node = await Namespace.create({ name: "node" });
const pod = await node.child({ name: "pod" });
await connect(node, pod, { a: ["10.1.0.1/24"], b: ["10.1.0.2/24"] });
await node.sysctl({ "net/ipv4/ip_forward": "1" });
const server = pod.spawn([Deno.execPath(), "eval", ${JSON.stringify(LISTENER)}, "10.1.0.2"]);
await server.waitForLine(/listening/);
console.log(Deno.uid(), await node.run([Deno.execPath(), "eval", ${JSON.stringify(DIALER)}, "10.1.0.2"]));`,
      );
      // As root, become somebody else; an ordinary user stays what it is.
      const [first = program, ...args] = [...(Deno.uid() === 0 ? AS_NOBODY : []), program];
      const result = await new Deno.Command(first, {
        args: [...args, "run", "-A", "--no-config", `${home}/main.ts`],
        env: { HOME: home, DENO_DIR: `${home}/cache`, TMPDIR: home },
        cwd: home,
        stdout: "piped",
        stderr: "piped",
      }).output();
      const text = new TextDecoder();
      assertEquals(
        text.decode(result.stdout),
        `${Deno.uid() || 65534} 10.1.0.1\n`,
        text.decode(result.stderr),
      );
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
);

testInNamespace("a child ends alone, with its orphans, and the rest goes on", async () => {
  await using node = await Namespace.create({ name: "node" });
  const pod = await node.child({ name: "pod" });
  const orphan = pod.spawn(["sh", "-c", "setsid sleep 4713 &"]);
  await orphan.status;
  const other = node.spawn(["sleep", "4714"]);
  await pod[Symbol.asyncDispose]();
  assertEquals(await processesWith("sleep\x004713"), []);
  assertEquals((await processesWith("sleep\x004714")).length, 1);
  assertEquals((await other.stop()).signal, "SIGTERM");
});

async function processesWith(commandLine: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const text = await Deno.readTextFile(`/proc/${entry.name}/cmdline`).catch(() => "");
    if (text.startsWith(commandLine)) found.push(entry.name);
  }
  return found;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function namespacesUnavailableToNobody(): Promise<string | undefined> {
  if (Deno.uid() !== 0) return undefined; // This is the ordinary user, and the other tests are the probe.
  const [setpriv = "", ...args] = AS_NOBODY;
  const { success } = await new Deno.Command(setpriv, {
    args: [...args, "unshare", "-U", "-r", "-n", "true"],
    stderr: "null",
  }).output();
  return success ? undefined : "ordinary users may not make namespaces on this machine";
}
