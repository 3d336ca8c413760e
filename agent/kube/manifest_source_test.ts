import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { silentLogger } from "../log.ts";
import { type ManifestProblem, renderManifestProblem } from "./manifest_file.ts";
import { ManifestPathError } from "./manifest_paths.ts";
import { createManifestSource, type ManifestSourceOptions } from "./manifest_source.ts";
import type { ObjectEvent } from "./objects.ts";
import { Awaiter } from "./testing/awaiter.ts";
import { RecordingSink } from "./testing/recording_sink.ts";

/** A source running on paths, with what came out of it. No look at everything unless a test asks for it. */
class Running implements AsyncDisposable {
  readonly problems: ManifestProblem[] = [];
  readonly resolved: ManifestProblem[] = [];
  readonly #sink = new RecordingSink(() => this.#awaiter.notify());
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  readonly #awaiter = new Awaiter();

  constructor(paths: readonly string[], options: Partial<ManifestSourceOptions> = {}) {
    const source = createManifestSource({
      paths,
      logger: silentLogger,
      rescanMs: 3_600_000,
      ...options,
      onProblem: (problem) => (this.problems.push(problem), this.#awaiter.notify()),
      onProblemResolved: (problem) => (this.resolved.push(problem), this.#awaiter.notify()),
    });
    this.#done = source.run(this.#sink, this.#abort.signal);
    this.#done.then(
      () => this.#awaiter.fail(new Error("the source has ended")),
      (error) => this.#awaiter.fail(error),
    );
  }

  get batches(): string[][] {
    return this.#sink.batches.map((batch) => batch.map(describe));
  }

  /** The ports of each Service. */
  get view(): ReadonlyMap<string, string> {
    const view = new Map<string, string>();
    for (const event of this.#sink.batches.flat()) {
      if (event.type === "delete") view.delete(nameOf(event));
      else view.set(nameOf(event), describePorts(event));
    }
    return view;
  }

  until(condition: () => boolean): Promise<void> {
    return this.#awaiter.until(condition);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }
}

function describe(event: ObjectEvent): string {
  return `${event.type === "apply" ? "+" : "-"}${nameOf(event)}`;
}

function nameOf(event: ObjectEvent): string {
  return event.type === "apply" ? event.object.name : event.namespacedName.replace(/^.*\//, "");
}

function describePorts(event: ObjectEvent & { type: "apply" }): string {
  return event.object.ports.map((port) => port.port).join(",");
}

function service(name: string, port = 80): string {
  return `apiVersion: v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n  clusterIP: 10.96.0.1\n` +
    `  ports:\n    - port: ${port}\n`;
}

async function inFolder(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("manifests: what is synced is everything in the folder, without subfolders and other files", () =>
  inFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/a.yaml`, `${service("a")}---\n${service("b")}`);
    await Deno.writeTextFile(
      `${dir}/c.json`,
      JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name: "c" } }),
    );
    await Deno.writeTextFile(`${dir}/notes.txt`, service("text"));
    await Deno.writeTextFile(`${dir}/.a.yaml.swp`, service("hidden"));
    await Deno.mkdir(`${dir}/sub`);
    await Deno.writeTextFile(`${dir}/sub/d.yaml`, service("d"));
    await using source = new Running([dir]);
    await source.until(() => source.batches.length === 1);
    assertEquals(source.batches, [["+a", "+b", "+c"]]);
  }));

Deno.test("manifests: an empty folder is synced without a batch", () =>
  inFolder(async (dir) => {
    await using source = new Running([dir]);
    await source.until(() => source.batches.length === 1);
    assertEquals(source.batches, [[]]);
  }));

Deno.test("manifests: a path that does not exist is one clear sentence", async () => {
  const source = createManifestSource({ paths: ["/nowhere/at/all"], logger: silentLogger });
  await assertRejects(
    () => source.run(new RecordingSink(() => {}), new AbortController().signal),
    ManifestPathError,
    "cannot read manifests from /nowhere/at/all: there is no such file or folder",
  );
});

Deno.test("manifests: writing, replacing by rename and removing files arrive without a look at everything", () =>
  inFolder(async (dir) => {
    await using source = new Running([dir]);
    await source.until(() => source.batches.length === 1);
    await Deno.writeTextFile(`${dir}/a.yaml`, service("a"));
    await source.until(() => source.view.get("a") === "80");
    await Deno.writeTextFile(`${dir}/a.yaml`, service("a", 81));
    await source.until(() => source.view.get("a") === "81");
    await Deno.writeTextFile(`${dir}/a.tmp`, service("a", 82));
    await Deno.rename(`${dir}/a.tmp`, `${dir}/a.yaml`);
    await source.until(() => source.view.get("a") === "82");
    await Deno.remove(`${dir}/a.yaml`);
    await source.until(() => source.view.size === 0);
    assertEquals(source.batches, [[], ["+a"], ["+a"], ["+a"], ["-a"]]);
  }));

Deno.test("manifests: a single file is followed through replacement; its neighbours do not count", () =>
  inFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/a.yaml`, service("a"));
    await using source = new Running([`${dir}/a.yaml`]);
    await source.until(() => source.batches.length === 1);
    await Deno.writeTextFile(`${dir}/b.yaml`, service("b"));
    await Deno.writeTextFile(`${dir}/new`, service("a", 81));
    await Deno.rename(`${dir}/new`, `${dir}/a.yaml`);
    await source.until(() => source.view.get("a") === "81");
    assertEquals([...source.view.keys()], ["a"]);
  }));

Deno.test("manifests: a save without a change of content is silent", () =>
  inFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/a.yaml`, service("a"));
    await using source = new Running([dir]);
    await source.until(() => source.batches.length === 1);
    await Deno.writeTextFile(`${dir}/a.yaml`, `# a comment\n${service("a")}`);
    await Deno.writeTextFile(`${dir}/a.yaml`, `${service("a")}---\n${service("b")}`);
    await source.until(() => source.batches.length === 2);
    assertEquals(source.batches[1], ["+b"]);
  }));

Deno.test("manifests: what does not parse keeps the last good state and names file, line and reason", () =>
  inFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/a.yaml`, `${service("a")}---\n${service("b")}`);
    await using source = new Running([dir]);
    await source.until(() => source.batches.length === 1);
    await Deno.writeTextFile(`${dir}/a.yaml`, `${service("a", 81)}---\nkind: Service\n  metadata: {\n`);
    await source.until(() => source.problems.length === 1);
    assertEquals([source.problems[0]!.file, source.problems[0]!.line], [`${dir}/a.yaml`, 10]);
    assertMatch(
      renderManifestProblem(source.problems[0]!),
      /a\.yaml:10: does not parse, so what it held before stays: /,
    );
    await Deno.writeTextFile(`${dir}/z.yaml`, service("z"));
    await source.until(() => source.view.has("z"));
    assertEquals(Object.fromEntries(source.view), { a: "80", b: "80", z: "80" });
    await Deno.writeTextFile(`${dir}/a.yaml`, service("a", 82));
    await source.until(() => source.view.get("a") === "82");
    assertEquals(Object.fromEntries(source.view), { a: "82", z: "80" });
    assertEquals(source.resolved, source.problems);
  }));

Deno.test("manifests: of a duplicate the first by file name counts, until it goes", () =>
  inFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/b.yaml`, service("x", 2));
    await Deno.writeTextFile(`${dir}/a.yaml`, service("x", 1));
    await using source = new Running([dir]);
    await source.until(() => source.batches.length === 1);
    assertEquals(Object.fromEntries(source.view), { x: "1" });
    assertEquals(source.problems.map(renderManifestProblem), [
      `${dir}/b.yaml:1: Service default/x stands in ${dir}/a.yaml:1 already, which counts; this one is left out`,
    ]);
    await Deno.remove(`${dir}/a.yaml`);
    await source.until(() => source.view.get("x") === "2");
    assertEquals(source.resolved.length, 1);
    assertEquals(source.batches.slice(1), [["+x"]]);
  }));

Deno.test("manifests: an object without a name is a problem, the rest of the file counts", () =>
  inFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/a.yaml`, `apiVersion: v1\nkind: Service\n---\n${service("a")}`);
    await using source = new Running([dir]);
    await source.until(() => source.batches.length === 1);
    assertEquals(source.batches, [["+a"]]);
    assertEquals(source.problems.map(renderManifestProblem), [
      `${dir}/a.yaml:1: Service without metadata.name: left out`,
    ]);
  }));

Deno.test("manifests: a file that is empty or gone for a moment only loses nothing", () =>
  inFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/a.yaml`, service("a"));
    await using source = new Running([dir], { debounceMs: 1, confirmMs: 60_000 });
    await source.until(() => source.batches.length === 1);
    await Deno.writeTextFile(`${dir}/a.yaml`, "");
    await Deno.writeTextFile(`${dir}/z1.yaml`, service("z1"));
    await source.until(() => source.view.has("z1"));
    await Deno.remove(`${dir}/a.yaml`);
    await Deno.writeTextFile(`${dir}/z2.yaml`, service("z2"));
    await source.until(() => source.view.has("z2"));
    await Deno.writeTextFile(`${dir}/a.yaml`, service("a", 81));
    await source.until(() => source.view.get("a") === "81");
    assertEquals(source.batches.flat().filter((event) => event.startsWith("-")), []);
  }));

Deno.test("manifests: a file emptied for good loses its objects", () =>
  inFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/a.yaml`, service("a"));
    await using source = new Running([dir], { confirmMs: 20 });
    await source.until(() => source.batches.length === 1);
    await Deno.writeTextFile(`${dir}/a.yaml`, "");
    await source.until(() => source.view.size === 0);
    assertEquals(source.batches, [["+a"], ["-a"]]);
  }));

Deno.test("manifests: a mounted ConfigMap's swap of all files is one batch", () =>
  inFolder(async (dir) => {
    async function writeVersion(version: string, files: Record<string, string>): Promise<void> {
      await Deno.mkdir(`${dir}/${version}`);
      for (const [name, text] of Object.entries(files)) {
        await Deno.writeTextFile(`${dir}/${version}/${name}`, text);
      }
      await Deno.symlink(version, `${dir}/..data_tmp`);
      await Deno.rename(`${dir}/..data_tmp`, `${dir}/..data`);
    }
    await writeVersion("..v1", { "a.yaml": service("a"), "b.yaml": service("b") });
    await Deno.symlink("..data/a.yaml", `${dir}/a.yaml`);
    await Deno.symlink("..data/b.yaml", `${dir}/b.yaml`);
    await using source = new Running([dir]);
    await source.until(() => source.batches.length === 1);
    await writeVersion("..v2", { "a.yaml": service("a", 81), "b.yaml": service("b", 81) });
    await source.until(() => source.view.get("a") === "81");
    assertEquals(source.batches, [["+a", "+b"], ["+a", "+b"]]);
  }));

Deno.test("manifests: a folder that is a link is followed when the link is swapped", () =>
  inFolder(async (dir) => {
    for (const [version, port] of [["v1", 1], ["v2", 2]] as const) {
      await Deno.mkdir(`${dir}/${version}`);
      await Deno.writeTextFile(`${dir}/${version}/a.yaml`, service("a", port));
    }
    await Deno.symlink("v1", `${dir}/current`);
    await using source = new Running([`${dir}/current`]);
    await source.until(() => source.batches.length === 1);
    await Deno.symlink("v2", `${dir}/next`);
    await Deno.rename(`${dir}/next`, `${dir}/current`);
    await source.until(() => source.view.get("a") === "2");
    // The watch has moved along.
    await Deno.writeTextFile(`${dir}/v2/a.yaml`, service("a", 3));
    await source.until(() => source.view.get("a") === "3");
  }));

Deno.test("manifests: a folder that is removed and made again is watched again", () =>
  inFolder(async (dir) => {
    await Deno.mkdir(`${dir}/m`);
    await Deno.writeTextFile(`${dir}/m/a.yaml`, service("a"));
    await using source = new Running([`${dir}/m`], { rescanMs: 30, confirmMs: 1 });
    await source.until(() => source.batches.length === 1);
    await Deno.remove(`${dir}/m`, { recursive: true });
    await source.until(() => source.view.size === 0);
    await Deno.mkdir(`${dir}/m`);
    await Deno.writeTextFile(`${dir}/m/a.yaml`, service("a", 81));
    await source.until(() => source.view.get("a") === "81");
  }));

Deno.test("manifests: what has no events is found by the look at everything", () =>
  inFolder(async (dir) => {
    await Deno.mkdir(`${dir}/elsewhere`);
    await Deno.mkdir(`${dir}/m`);
    await Deno.writeTextFile(`${dir}/elsewhere/a.yaml`, service("a"));
    await Deno.symlink("../elsewhere/a.yaml", `${dir}/m/a.yaml`);
    await using source = new Running([`${dir}/m`], { rescanMs: 20 });
    await source.until(() => source.batches.length === 1);
    await Deno.writeTextFile(`${dir}/elsewhere/a.yaml`, service("a", 8080));
    await source.until(() => source.view.get("a") === "8080");
  }));

Deno.test("manifests: a relative path works, and messages name it as given", () =>
  inFolder(async (dir) => {
    const before = Deno.cwd();
    Deno.chdir(dir);
    try {
      await Deno.mkdir("m");
      await using source = new Running(["m/"]);
      await source.until(() => source.batches.length === 1);
      await Deno.writeTextFile("m/a.yaml", "{");
      await source.until(() => source.problems.length === 1);
      assertEquals(source.problems[0]!.file, "m/a.yaml");
    } finally {
      Deno.chdir(before);
    }
  }));

Deno.test("manifests: an aborted source ends", () =>
  inFolder(async (dir) => {
    const abort = new AbortController();
    const source = createManifestSource({ paths: [dir], logger: silentLogger });
    const sink = new RecordingSink(() => abort.abort());
    await source.run(sink, abort.signal);
    assertEquals(sink.batches, [[]]);
    // A source that started would tell it again.
    await source.run(sink, abort.signal);
  }));
