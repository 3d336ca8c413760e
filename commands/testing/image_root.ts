/**
 * The image's file system but for the program, as docker makes it by deploy/image/make_root.sh.
 *
 * In: the script, and an archive of Debian's packages. Out: a folder in the cache, to be copied and not changed.
 * @module
 */
import { join } from "@std/path/join";
import { fromFileUrl } from "@std/path/from-file-url";
import { cacheDir } from "../../scripts/tools/cache_dir.ts";
import { ProgramError, runProgram } from "../../scripts/tools/run_program.ts";
import { withFileLock } from "../../xds/file_lock.ts";

const MAKE_ROOT = fromFileUrl(new URL("../../deploy/image/make_root.sh", import.meta.url));
/** Where this machine is no Debian. */
const ARCHIVE = "http://deb.debian.org/debian";

/** One of both. */
export interface ImageRoot {
  readonly path?: string;
  /** One sentence for people. */
  readonly unavailable?: string;
}

/** The image's file system, made once for each version of the script; or why it cannot be made here. */
export async function ensureImageRoot(
  { onProgress }: { readonly onProgress: (line: string) => void },
): Promise<ImageRoot> {
  const script = await Deno.readTextFile(MAKE_ROOT);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(script));
  const version = new Uint8Array(digest).toHex().slice(0, 16);
  const architecture = Deno.build.arch === "x86_64" ? "amd64" : "arm64";
  const path = join(cacheDir(), `image-root-${architecture}-${version}`);
  await Deno.mkdir(cacheDir(), { recursive: true });
  try {
    await withFileLock(`${path}.lock`, async () => {
      if (await Deno.stat(path).then(() => true, () => false)) return;
      onProgress("making the image's file system of Debian's packages …");
      const draft = `${path}.draft`;
      await Deno.remove(draft, { recursive: true }).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
      await runProgram("sh", [MAKE_ROOT, architecture, draft], {
        env: { DEBIAN_ARCHIVE: await debianArchive() },
      });
      await Deno.rename(draft, path);
    }, { onWait: () => onProgress("waiting for another process that makes it …") });
    return { path };
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    return { unavailable: `the image cannot be made of Debian's packages: ${error.message}` };
  }
}

/** The archive that this machine has its own packages from, if they are Debian's. */
async function debianArchive(): Promise<string> {
  const targets = await runProgram("apt-get", ["indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"]);
  return /^Debian Debian (\S+)$/m.exec(targets)?.[1] ?? ARCHIVE;
}
