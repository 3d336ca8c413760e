/**
 * Which files the given paths stand for, and what a file system event means for them.
 *
 * In: the paths given by the user; folder listings; events. Out: manifest files, folders to watch.
 * Reads folders and links, never a manifest.
 * @module
 */
import { basename, dirname, join, resolve } from "node:path";

/** A path as given, resolved. */
export interface ManifestRoot {
  /** As the user wrote it; the prefix of file names in messages. */
  readonly path: string;
  readonly isFolder: boolean;
  /** Where the folder, or the file's folder, really is. Changes when a link on the way is swapped. */
  readonly realFolder: string;
  /** Device and inode of that folder: another one in the same place has no watch on it yet. */
  readonly folderIdentity: string;
}

/** A path that stands for no manifests. No retry can mend that at start. */
export class ManifestPathError extends Error {
  override readonly name = "ManifestPathError";
}

/**
 * Looks at one of the given paths.
 * @throws {ManifestPathError} when there is no such file or folder, or it may not be read.
 */
export async function resolveRoot(path: string): Promise<ManifestRoot> {
  try {
    const { isDirectory } = await Deno.stat(path);
    const realFolder = await Deno.realPath(isDirectory ? path : dirname(path));
    const { dev, ino } = await Deno.stat(realFolder);
    return { path, isFolder: isDirectory, realFolder, folderIdentity: `${dev}:${ino}` };
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound
      ? "there is no such file or folder"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new ManifestPathError(`cannot read manifests from ${path}: ${why}`, { cause: error });
  }
}

/** The manifest files a root stands for, sorted. @throws {Error} when the folder cannot be listed. */
export async function listFiles(root: ManifestRoot): Promise<string[]> {
  if (!root.isFolder) return [root.path];
  const files: string[] = [];
  for await (const entry of Deno.readDir(root.path)) {
    // Links are followed; a folder with such a name fails to read and is reported.
    if (!entry.isDirectory && isManifestName(entry.name)) files.push(join(root.path, entry.name));
  }
  return files.sort();
}

/** The folders whose events matter and which exist: of the manifests, and of a link that may be swapped. */
export async function foldersToWatch(roots: readonly ManifestRoot[]): Promise<string[]> {
  const folders = new Set<string>();
  for (const { path, realFolder } of roots) {
    try {
      const { isSymlink } = await Deno.lstat(path);
      if (isSymlink) folders.add(await Deno.realPath(dirname(resolve(path))));
      if ((await Deno.stat(realFolder)).isDirectory) folders.add(realFolder);
    } catch (error) {
      // Gone since: the next look at everything finds it when it is back.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return [...folders];
}

/** What a path in an event stands for: a manifest file, or a reason to look at everything, or nothing. */
export function classifyEventPath(
  roots: readonly ManifestRoot[],
  eventPath: string,
): { readonly file: string } | "rescan" | "nothing" {
  const folder = dirname(eventPath);
  const name = basename(eventPath);
  for (const root of roots) {
    // The folder itself, or the link that leads to it.
    if (eventPath === root.realFolder) return "rescan";
    if (root.isFolder && name === basename(resolve(root.path)) && folder !== root.realFolder) return "rescan";
    if (folder !== root.realFolder) continue;
    // `..data` of a mounted ConfigMap: everything behind it has changed.
    if (name.startsWith("..")) return "rescan";
    if (root.isFolder ? isManifestName(name) : name === basename(root.path)) {
      return { file: root.isFolder ? join(root.path, name) : root.path };
    }
  }
  return "nothing";
}

function isManifestName(name: string): boolean {
  return !name.startsWith(".") && /\.(?:ya?ml|json)$/.test(name);
}
