/**
 * Makes a program of a Debian package usable without installing the package and without root.
 *
 * apt works on lists of its own in the cache, tells which packages are missing for the program, downloads and verifies
 * them; they are unpacked side by side, and a wrapper starts the program with the libraries beside it. A program of a later
 * release comes with that release's C library as well, and is started by its loader.
 * In: a package, and the program's path in it. Out: the wrapper's path. A complete program appears by one rename.
 * Source: apt.conf(5), sources.list(5), apt-get(8) on `indextargets`, dpkg-deb(1), ld.so(8).
 * @module
 */

import { basename } from "@std/path/basename";
import { dirname } from "@std/path/dirname";
import { join } from "@std/path/join";
import { withFileLock } from "../../xds/file_lock.ts";
import { findProgram, isExecutable } from "./find_program.ts";
import { ProgramError, runProgram } from "./run_program.ts";
import type { ToolSource } from "./tool_sources.ts";

/** Where to keep, and whom to tell. */
export interface FetchOptions {
  readonly cacheDir: string;
  /** Called with a line for people when something takes time. */
  readonly onProgress: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

type DebianSource = Extract<ToolSource, { kind: "debian" }>;

/**
 * Fetches a program's package and the packages it lacks on this machine, once per release and architecture.
 * @returns the path of a wrapper that runs the program
 * @throws {ProgramError} when there is no apt, or it fails; the signal's reason when aborted
 */
export async function fetchDebianProgram(source: DebianSource, options: FetchOptions): Promise<string> {
  if (await findProgram("apt-get") === undefined || await findProgram("dpkg-deb") === undefined) {
    throw new ProgramError(`install the package ${source.package} (no apt here to fetch it from)`);
  }
  const running = parseOsRelease(await Deno.readTextFile("/etc/os-release"));
  const cache = join(options.cacheDir, `${source.release ?? running}-${Deno.build.arch}`);
  const name = basename(source.path);
  const places: Places = { cache, name, directory: join(cache, name) };
  const wrapper = join(places.directory, "bin", name);
  if (await isComplete(source, places)) return wrapper;
  await Deno.mkdir(cache, { recursive: true });
  await withFileLock(join(cache, "lock"), async () => {
    if (!(await isComplete(source, places))) await fetchProgram(source, places, options);
  }, {
    onWait: () => options.onProgress(`waiting for another process that fetches packages …`),
    signal: options.signal,
  });
  return wrapper;
}

interface Places {
  /** For this release and architecture. */
  readonly cache: string;
  /** The program's name. */
  readonly name: string;
  /** What the program ends up in: `root/`, the unpacked packages, and `bin/`, the wrapper. */
  readonly directory: string;
}

/** The program's path in the package, and those of its companions. */
function programPaths({ path, companions = [] }: DebianSource): string[] {
  return [path, ...companions.map((name) => join(dirname(path), name))];
}

async function isComplete(source: DebianSource, { directory }: Places): Promise<boolean> {
  const present = await Promise.all(
    programPaths(source).map((path) => isExecutable(join(directory, "bin", basename(path)))),
  );
  return !present.includes(false);
}

async function fetchProgram(source: DebianSource, places: Places, options: FetchOptions): Promise<void> {
  const work = await Deno.makeTempDir({ dir: places.cache, prefix: "fetch-" });
  try {
    options.onProgress(`fetching Debian package ${source.package} …`);
    const debs = join(work, "debs");
    const complete = join(work, "complete");
    const root = join(complete, "root");
    await Deno.mkdir(debs);
    await Deno.mkdir(root, { recursive: true });
    await download(source, { debs, apt: join(places.cache, "apt") }, options.signal);
    for await (const { name } of Deno.readDir(debs)) {
      await runProgram("dpkg-deb", ["-x", join(debs, name), root], { signal: options.signal });
    }
    await Deno.mkdir(join(complete, "bin"));
    for (const path of programPaths(source)) {
      const wrapper = join(complete, "bin", basename(path));
      const text = await wrapperText({ ...source, path }, root, join(places.directory, "root"));
      await Deno.writeTextFile(wrapper, text);
      await Deno.chmod(wrapper, 0o755);
    }
    // One that lacks a companion was made by a version that did not know of it.
    await Deno.rename(places.directory, join(work, "before")).catch(ignoreNotFound);
    await Deno.rename(complete, places.directory);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function download(
  { package: name, release }: DebianSource,
  places: { readonly debs: string; readonly apt: string },
  signal: AbortSignal | undefined,
): Promise<void> {
  const lists = join(places.apt, "lists");
  const archives = join(places.apt, "cache");
  await Deno.mkdir(join(lists, "partial"), { recursive: true });
  await Deno.mkdir(join(archives, "archives", "partial"), { recursive: true });
  const state = [
    ...privateState(lists, archives),
    ...(release === undefined ? [] : await otherRelease(release, places.apt)),
  ];
  const apt = (...args: string[]): Promise<string> =>
    runProgram("apt-get", [...state, ...args], {
      cwd: places.debs,
      env: { LC_ALL: "C" },
      signal,
    });
  const fetch = async (): Promise<void> => {
    const missing = parseSimulation(await apt("--simulate", "--no-install-recommends", "install", name));
    // There is nothing to install when dpkg believes the package is there; its program was not found, so fetch it.
    await apt("download", ...new Set([name, ...missing]));
  };
  try {
    await fetch();
  } catch (error) {
    // No lists yet, or lists that name versions the mirror no longer has.
    if (!(error instanceof ProgramError)) throw error;
    await apt("update");
    await fetch();
  }
}

/** Options that keep apt off the machine's own state, and off locks and users that need root. */
function privateState(lists: string, archives: string): string[] {
  // deno-fmt-ignore
  return [
    "--quiet",
    "-o", `Dir::State::Lists=${lists}`,
    "-o", `Dir::Cache=${archives}`,
    // Container images switch this cache off, which makes each call seconds slower.
    "-o", "Dir::Cache::pkgcache=pkgcache.bin",
    "-o", "APT::Sandbox::User=",
    "-o", "Debug::NoLocking=1",
  ];
}

/** Options that let apt see another release of the same archive, on a machine where nothing is installed. */
async function otherRelease(release: string, folder: string): Promise<string[]> {
  const running = await Deno.readTextFile("/etc/os-release");
  const codename = running.match(/^VERSION_CODENAME="?(\w+)"?$/m)?.[1];
  const targets = await runProgram("apt-get", [
    "indextargets",
    "--format",
    "$(RELEASE) $(COMPONENT) $(REPO_URI)",
  ]);
  const archive = codename && targets.split("\n")
    .find((line) => line.startsWith(`${codename} main `))?.split(" ")[2];
  if (!archive) throw new ProgramError(`no archive that would have the release ${release}`);
  const sources = join(folder, "sources.list");
  const status = join(folder, "status");
  await Deno.writeTextFile(sources, `deb [signed-by=${ARCHIVE_KEYS}] ${archive} ${release} main\n`);
  await Deno.writeTextFile(status, "");
  // deno-fmt-ignore
  return [
    "-o", `Dir::Etc::sourcelist=${sources}`,
    "-o", "Dir::Etc::sourceparts=/dev/null",
    "-o", `Dir::State::status=${status}`,
  ];
}

/** Where Debian machines have the keys of all its releases that are still signed for. */
const ARCHIVE_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** The wrapper for a program unpacked in `root`, which will be moved to `finalRoot`. */
async function wrapperText(source: DebianSource, root: string, finalRoot: string): Promise<string> {
  // A release may have merged /bin into /usr/bin since.
  const paths = [source.path, `usr/${source.path}`];
  const found = await Promise.all(paths.map((path) => isExecutable(join(root, path))));
  const program = paths[found.indexOf(true)];
  if (program === undefined) throw new ProgramError(`package ${source.package} has no ${source.path}`);
  const libraries = await libraryDirectories(root);
  const searchPath = (inner: string): string =>
    libraries.map((directory) => join(finalRoot, directory, inner)).join(":");
  const environment = Object.entries(source.directories ?? {}).map((
    [name, inner],
  ) => [name, searchPath(inner)]);
  if (source.release !== undefined) {
    // The loader of this machine may be older than the libraries.
    const loader = join(finalRoot, await loaderPath(root));
    const command = [loader, "--library-path", searchPath(""), join(finalRoot, program)];
    return renderWrapper(command, Object.fromEntries(environment));
  }
  return renderWrapper([join(finalRoot, program)], {
    LD_LIBRARY_PATH: searchPath(""),
    ...Object.fromEntries(environment),
  });
}

/** The loader among unpacked packages, e.g. `usr/lib64/ld-linux-x86-64.so.2`. */
async function loaderPath(root: string): Promise<string> {
  for (const parent of ["usr/lib64", "usr/lib", "lib64", "lib"]) {
    try {
      for await (const { name } of Deno.readDir(join(root, parent))) {
        if (name.startsWith("ld-linux-")) return `${parent}/${name}`;
      }
    } catch (error) {
      ignoreNotFound(error);
    }
  }
  throw new ProgramError("the release's C library has no loader");
}

/** Directories for libraries of this architecture (`usr/lib/x86_64-linux-gnu`) in unpacked packages. */
async function libraryDirectories(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const parent of ["usr/lib", "lib"]) {
    try {
      for await (const entry of Deno.readDir(join(root, parent))) {
        if (entry.isDirectory && entry.name.includes("-linux-gnu")) found.push(`${parent}/${entry.name}`);
      }
    } catch (error) {
      ignoreNotFound(error);
    }
  }
  return found;
}

/** A shell script that runs `command` with more environment. Each variable replaces the caller's. */
export function renderWrapper(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
): string {
  const settings = Object.entries(environment)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}=${quote(value)}\nexport ${name}\n`);
  return `#!/bin/sh\n${settings.join("")}exec ${command.map(quote).join(" ")} "$@"\n`;
}

/** The packages that `apt-get --simulate install` would install or upgrade, in its order. */
export function parseSimulation(output: string): string[] {
  return output.split("\n").flatMap((line) => line.match(/^Inst (\S+)/)?.[1] ?? []);
}

/** `debian-12` from os-release(5). */
export function parseOsRelease(text: string): string {
  const values = new Map(
    text.split("\n").map((line) => line.match(/^(\w+)="?([^"]*)"?$/)).map((
      found,
    ) => [found?.[1], found?.[2]]),
  );
  return `${values.get("ID") ?? "linux"}-${
    values.get("VERSION_ID") ?? values.get("VERSION_CODENAME") ?? "rolling"
  }`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
