/**
 * A folder for as long as it is needed. Processes and namespaces of the lab end with this process, however that ends; a folder has to be
 * removed by hand.
 * @module
 */

/** An empty folder that is removed with `made`, or when this process ends before. @returns its path */
export async function temporaryFolder(made: AsyncDisposableStack, prefix: string): Promise<string> {
  const path = await Deno.makeTempDir({ prefix });
  const remove = (): void => Deno.removeSync(path, { recursive: true });
  globalThis.addEventListener("unload", remove);
  made.defer(() => {
    globalThis.removeEventListener("unload", remove);
    remove();
  });
  return path;
}
