import { join } from "@std/path/join";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { createLogger, silentLogger } from "../agent/log.ts";
import { ENVOY_VERSION } from "./envoy_version.ts";
import { EnvoyBinaryError, findEnvoy, parseEnvoyVersion } from "./find_envoy.ts";

const [MAJOR, MINOR] = ENVOY_VERSION.split(".");

async function fakeEnvoy(directory: string, version: string): Promise<string> {
  await Deno.mkdir(directory, { recursive: true });
  const path = join(directory, "envoy");
  const printed =
    `envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/${version}/Clean/RELEASE/BoringSSL`;
  await Deno.writeTextFile(path, `#!/bin/sh\necho\necho '${printed}'\n`, { mode: 0o755 });
  return path;
}

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function noFetch(): Promise<string> {
  throw new Error("nothing should be fetched");
}

Deno.test("the version is read from what Envoy prints", () => {
  const commit = "9e5580933739775e8bce696a57a2e1bc99368f23";
  assertEquals(parseEnvoyVersion(`\n./envoy  version: ${commit}/1.40.0/Clean/RELEASE/BoringSSL\n`), "1.40.0");
  assertEquals(parseEnvoyVersion(`envoy  version: ${commit}/1.41.0-dev/Modified/DEBUG/BoringSSL`), "1.41.0");
  assertEquals(parseEnvoyVersion("curl 8.0"), undefined);
});

Deno.test("the user's binary comes before the PATH, the PATH before a fetch", () =>
  inFolder(async (folder) => {
    const [mine, onPath, fetched] = [join(folder, "mine"), join(folder, "bin"), join(folder, "cache")];
    const patch = `${MAJOR}.${MINOR}.7`;
    for (const directory of [mine, onPath, fetched]) await fakeEnvoy(directory, patch);
    const options = { logger: silentLogger, fetch: noFetch, searchPath: `:/nowhere:${onPath}` };
    assertEquals(await findEnvoy({ ...options, explicit: join(mine, "envoy") }), {
      path: join(mine, "envoy"),
      version: patch,
    });
    assertEquals((await findEnvoy({ ...options, explicit: "" })).path, join(onPath, "envoy"));
    const fetch = (): Promise<string> => Promise.resolve(join(fetched, "envoy"));
    assertEquals(
      (await findEnvoy({ ...options, explicit: "", searchPath: "", fetch })).path,
      join(fetched, "envoy"),
    );
  }));

Deno.test("another minor: the user's is refused in one sentence, one on the PATH is passed over", () =>
  inFolder(async (folder) => {
    const old = await fakeEnvoy(join(folder, "old"), `${MAJOR}.${Number(MINOR) - 1}.3`);
    const good = await fakeEnvoy(join(folder, "good"), ENVOY_VERSION);
    const lines: string[] = [];
    const options = {
      logger: createLogger({ level: "warn", format: "text", write: (line) => lines.push(line) }),
      searchPath: join(folder, "old"),
      fetch: () => Promise.resolve(good),
    };
    const error = await assertRejects(() => findEnvoy({ ...options, explicit: old }), EnvoyBinaryError);
    assertEquals(
      error.message,
      `"${old}" is Envoy ${MAJOR}.${
        Number(MINOR) - 1
      }.3, but this Lightpath is made for ${MAJOR}.${MINOR}: name ` +
        `another with --envoy-bin, or none to have ${ENVOY_VERSION} fetched`,
    );
    assertEquals(lines, []);
    assertEquals((await findEnvoy({ ...options, explicit: "" })).path, good);
    assertEquals(lines.length, 1);
  }));

Deno.test("what cannot be run, or is no Envoy, is said in one sentence", () =>
  inFolder(async (folder) => {
    const options = { logger: silentLogger, searchPath: "", fetch: noFetch };
    const messageFor = async (explicit: string): Promise<string> =>
      (await assertRejects(() => findEnvoy({ ...options, explicit }), EnvoyBinaryError)).message;
    assertEquals(
      await messageFor("/no/such/envoy"),
      'cannot run Envoy as "/no/such/envoy": there is no such program',
    );
    const script = join(folder, "script");
    await Deno.writeTextFile(script, "#!/bin/sh\necho hello\n", { mode: 0o644 });
    assertEquals(await messageFor(script), `cannot run Envoy as "${script}": it may not be run`);
    await Deno.chmod(script, 0o755);
    assertEquals(await messageFor(script), `"${script}" does not answer --version as Envoy does: hello`);
  }));
