import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { VERSION } from "../../agent/version.ts";
import { makeBundle, renderRunner } from "./bundle.ts";
import { notCompiled } from "./compile.ts";
import { TARGETS } from "./options.ts";
import { permissionFlags } from "./permissions.ts";

async function withFolder(action: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lightpath-build-" });
  try {
    await action(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args], env }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

function compile(args: readonly string[], env: Record<string, string>): Promise<Ended> {
  const script = fromFileUrl(new URL("./compile.ts", import.meta.url));
  return run(Deno.execPath(), ["run", "--allow-all", script, ...args], env);
}

Deno.test("nothing is permitted without a limit but the network; what a build adds stands beside the rest", () => {
  const flags = permissionFlags({ folders: ["/srv/lightpath"], programs: ["aws"] });
  assertEquals(flags.filter((flag) => flag.startsWith("--allow-") && !flag.includes("=")), ["--allow-net"]);
  assertEquals(flags.some((flag) => /all$/.test(flag)), false);
  const values = (name: string): readonly string[] =>
    flags.find((flag) => flag.startsWith(`--allow-${name}=`))?.split("=")[1]?.split(",") ?? [];
  for (const name of ["read", "write"]) assertEquals(values(name).includes("/srv/lightpath"), true, name);
  assertEquals(
    values("run").filter((name) => ["nft", "ip", "ip6tables-legacy-restore", "aws"].includes(name)).length,
    4,
  );
});

Deno.test("the script beside the bundle runs it with exactly these permissions", async () => {
  await withFolder(async (folder) => {
    const output = join(folder, "lightpath");
    await makeBundle({ output });
    const env = { DENO: Deno.execPath() };
    const version = await run(output, ["version"], env);
    assertMatch(version.stdout, new RegExp(`^lightpath ${VERSION}\n`));
    assertEquals(version.stderr, "");
    // A path that it was not given, and one that it was.
    const refused = await run(output, ["bootstrap", `--output=${folder}/envoy.yaml`], env);
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /--output.*Requires write access to ".*envoy\.yaml"/);
    await Deno.writeTextFile(output, renderRunner("lightpath.js", permissionFlags({ folders: [folder] })));
    assertEquals(await run(output, ["bootstrap", `--output=${folder}/envoy.yaml`], env), {
      code: 0,
      stdout: "",
      stderr: "",
    });
  });
});

Deno.test("where denort cannot be fetched the mend is said", () => {
  const words =
    `\x1b[0m\x1b[1m\x1b[31merror\x1b[0m: Writing deno compile executable to temporary file 'lightpath.tmp-73d0'

Caused by:
    0: Setting up base binary.
    1: error sending request for url (https://dl.deno.land/release/v2.9.6/denort-x86_64-unknown-linux-gnu.zip): client error (Connect): dns error
    2: client error (Connect)
    3: failed to lookup address information: Name or service not known

Stack backtrace:
   0: <unknown>
`;
  assertMatch(
    notCompiled(words, TARGETS.aarch64).message,
    /cannot be fetched \(failed to lookup .* not known\)\. Fetch https:\S+aarch64\S+\.zip .*DENORT_BIN.*deno task bundle$/,
  );
  assertEquals(
    notCompiled("error: Module not found", TARGETS.x86_64).message,
    "Deno could not compile it: error: Module not found",
  );
});

Deno.test("a base that is none, or for another machine, makes no executable, and what was there before stays", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "lightpath");
    const output = `--output=${path}`;
    // As `deno task bundle` leaves it there by default.
    await Deno.writeTextFile(path, "a script");
    const absent = await compile([output], { DENORT_BIN: "/nowhere/denort" });
    assertEquals([absent.code, absent.stderr], [1, "DENORT_BIN names /nowhere/denort, which is no file\n"]);
    const deno = await compile([output], { DENORT_BIN: Deno.execPath() });
    assertEquals(deno.code, 1);
    assertMatch(deno.stderr, /^DENORT_BIN names .* is no denort .*\(A deno is none/);
    const foreign = TARGETS[Deno.build.arch === "x86_64" ? "aarch64" : "x86_64"];
    const other = await compile([output, `--target=${foreign}`], { DENORT_BIN: Deno.execPath() });
    assertEquals(other.code, 1);
    assertMatch(other.stderr, /which is not for (aarch64|x86_64)-unknown-linux-gnu/);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["lightpath"]);
    assertEquals(await Deno.readTextFile(path), "a script");
    const unknown = await compile(["--target=riscv"], {});
    assertEquals(unknown.code, 2);
    assertMatch(unknown.stderr, /--target is "riscv": wanted one of/);
  });
});
