import { assertEquals } from "@std/assert/equals";
import { join } from "@std/path/join";
import { createLogger } from "../agent/log.ts";
import { until } from "./testing/envoy_fixture.ts";
import { openWorkingSet, type WorkingSetFile } from "./working_set_file.ts";

/** A folder, and what was logged about it. */
class Place implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly directory: string;
  readonly #parent: string;

  private constructor(parent: string) {
    this.#parent = parent;
    this.directory = join(parent, "state");
  }

  static async create(): Promise<Place> {
    return new Place(await Deno.makeTempDir({ prefix: "lp-" }));
  }

  get file(): string {
    return join(this.directory, "working-set.json");
  }

  async open(directory = this.directory): Promise<WorkingSetFile> {
    const write = (line: string): void => void this.lines.push(line);
    const logger = createLogger({ level: "warn", format: "text", write, now: () => 0 });
    // Written at the end only, unless a test wants it otherwise.
    return await openWorkingSet({ directory, logger, writeDelayMs: 3_600_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#parent, { recursive: true });
  }
}

async function use(place: Place, ...names: readonly string[]): Promise<void> {
  await using set = await place.open();
  set.used(names);
}

async function names(place: Place): Promise<string[]> {
  await using set = await place.open();
  return set.names();
}

Deno.test("openWorkingSet(): what one agent noted, the next one knows; only the owner can read it", async () => {
  await using place = await Place.create();
  await use(place, "a", "b");
  assertEquals(await names(place), ["b", "a"]);
  const mode = async (path: string): Promise<number> => ((await Deno.stat(path)).mode ?? 0) & 0o777;
  assertEquals([await mode(place.directory), await mode(place.file)], [0o700, 0o600]);
  assertEquals([...Deno.readDirSync(place.directory)].map(({ name }) => name), ["working-set.json"]);
  assertEquals(place.lines, []);
});

Deno.test("openWorkingSet(): many changes within the delay are one writing, without an end of the agent", async () => {
  await using place = await Place.create();
  const logger = createLogger({ level: "warn", format: "text", write: () => {} });
  await using set = await openWorkingSet({ directory: place.directory, logger, writeDelayMs: 20 });
  for (let index = 0; index < 100; index++) set.used([`n${index}`]);
  await until("the file is there", () => Deno.stat(place.file).then(() => true, () => false));
  assertEquals((await names(place)).length, 100);
});

for (
  const [what, text] of [["broken", "{"], ["foreign", '{"version": 1}'], ["empty", ""]] as const
) {
  Deno.test(`openWorkingSet(): a ${what} file is said once and replaced`, async () => {
    await using place = await Place.create();
    await use(place, "a");
    await Deno.writeTextFile(place.file, text);
    await use(place, "b");
    assertEquals(place.lines.length, 1);
    assertEquals(place.lines[0]?.includes(place.file), true, place.lines[0]);
    assertEquals(await names(place), ["b"]);
  });
}

Deno.test("openWorkingSet(): a folder that cannot be is said once for reading and once for writing, and no more", async () => {
  await using place = await Place.create();
  await Deno.writeTextFile(place.directory, "a file");
  {
    const logger = createLogger({ level: "warn", format: "text", write: (line) => place.lines.push(line) });
    await using set = await openWorkingSet({ directory: place.directory, logger, writeDelayMs: 0 });
    for (let round = 0; round < 3; round++) {
      set.used([`n${round}`]);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assertEquals(set.names(), ["n2", "n1", "n0"]);
  }
  const said = place.lines.map((line) => /cannot be (?:read|kept)/.exec(line)?.[0]);
  assertEquals(said, ["cannot be read", "cannot be kept"], place.lines.join("\n"));
});

Deno.test("openWorkingSet(): without a folder nothing is read or written", async () => {
  await using place = await Place.create();
  {
    await using set = await place.open("");
    set.used(["a"]);
    assertEquals(set.names(), ["a"]);
  }
  assertEquals(place.lines, []);
});

Deno.test("openWorkingSet(): what carries traffic moves to the front, in its order", async () => {
  await using place = await Place.create();
  await use(place, "a", "b", "c", "d");
  {
    await using set = await place.open();
    set.refresh((name) => name === "a" || name === "c" || name === "unknown");
  }
  assertEquals(await names(place), ["c", "a", "d", "b"]);
});

Deno.test("openWorkingSet(): what nobody changed is not written", async () => {
  await using place = await Place.create();
  await use(place, "a");
  const { mtime, ino } = await Deno.stat(place.file);
  {
    await using set = await place.open();
    set.held(["a"]);
  }
  const after = await Deno.stat(place.file);
  assertEquals([after.mtime, after.ino], [mtime, ino]);
});
