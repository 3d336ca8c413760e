/**
 * Joins the objects of all manifest files into one set, and tells what a changed file changes.
 *
 * In: for each file its objects, or that it is gone. Out: `ObjectEvent`s and the problems that came or went.
 * Invariants: of an object that stands in several places the first counts, by file name, then by line, and the others
 * are reported; when it goes, the next one takes its place. Content that did not change yields no event. The cost of
 * a change is proportional to the objects of the changed file.
 * @module
 */
import {
  type ManifestFile,
  type ManifestObject,
  type ManifestProblem,
  renderManifestProblem,
} from "./manifest_file.ts";
import type { KubeObject, NamespacedName, ObjectEvent, Service } from "./objects.ts";

/** What an update did. */
export interface ManifestChange {
  readonly events: readonly ObjectEvent[];
  readonly appeared: readonly ManifestProblem[];
  readonly resolved: readonly ManifestProblem[];
}

interface Claim extends ManifestObject {
  readonly file: string;
}

interface FileState {
  readonly objects: readonly ManifestObject[];
  readonly problems: readonly ManifestProblem[];
}

/** All files' objects. */
export class ManifestSet {
  readonly #files = new Map<string, FileState>();
  /** By `kind/namespace/name`, sorted; the first claim is served. */
  readonly #claims = new Map<string, Claim[]>();
  readonly #problems = new Map<string, ManifestProblem>();

  /** Paths of all files known. */
  files(): string[] {
    return [...this.#files.keys()];
  }

  /** The Service of that name that counts. */
  service(name: NamespacedName): Service | undefined {
    const object = this.#claims.get(`Service/${name}`)?.[0]?.object;
    return object?.kind === "Service" ? object : undefined;
  }

  /** Takes the new state of some files; undefined means that the file is gone. */
  update(files: ReadonlyMap<string, ManifestFile | undefined>): ManifestChange {
    const touched = new Map<string, KubeObject | undefined>();
    const stale: ManifestProblem[] = [];
    for (const [file, content] of files) {
      const before = this.#files.get(file);
      stale.push(...before?.problems ?? []);
      // What does not parse leaves the last good objects where they are.
      const objects = content === undefined ? [] : content.objects ?? before?.objects ?? [];
      if (objects !== before?.objects) {
        for (const { object } of before?.objects ?? []) this.#remember(touched, object);
        for (const { object } of objects) this.#remember(touched, object);
        this.#replaceClaims(file, before?.objects ?? [], objects);
      }
      if (content === undefined) this.#files.delete(file);
      else this.#files.set(file, { objects, problems: content.problems });
    }
    const fresh = [...files].flatMap(([, content]) => content?.problems ?? []);
    return { events: this.#diff(touched), ...this.#updateProblems({ stale, fresh, touched }) };
  }

  /** Notes what was served for a key before anything changes. */
  #remember(touched: Map<string, KubeObject | undefined>, object: KubeObject): void {
    const key = keyOf(object);
    if (!touched.has(key)) touched.set(key, this.#claims.get(key)?.[0]?.object);
  }

  #replaceClaims(file: string, before: readonly ManifestObject[], after: readonly ManifestObject[]): void {
    for (const { object } of before) {
      const key = keyOf(object);
      const rest = (this.#claims.get(key) ?? []).filter((claim) => claim.file !== file);
      if (rest.length === 0) this.#claims.delete(key);
      else this.#claims.set(key, rest);
    }
    for (const { object, line } of after) {
      const key = keyOf(object);
      const claims = [...this.#claims.get(key) ?? [], { object, line, file }];
      claims.sort((a, b) => a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1);
      this.#claims.set(key, claims);
    }
  }

  #diff(touched: ReadonlyMap<string, KubeObject | undefined>): ObjectEvent[] {
    const deleted: ObjectEvent[] = [];
    const applied: ObjectEvent[] = [];
    for (const [key, before] of touched) {
      const after = this.#claims.get(key)?.[0]?.object;
      if (after !== undefined) {
        if (after.resourceVersion !== before?.resourceVersion) applied.push({ type: "apply", object: after });
      } else if (before !== undefined) {
        deleted.push({ type: "delete", kind: before.kind, namespacedName: before.namespacedName });
      }
    }
    // Deletions first: a VIP that moved from one object to another must not look claimed twice.
    return [...deleted, ...applied];
  }

  #updateProblems(change: {
    readonly stale: readonly ManifestProblem[];
    readonly fresh: readonly ManifestProblem[];
    readonly touched: ReadonlyMap<string, KubeObject | undefined>;
  }): Pick<ManifestChange, "appeared" | "resolved"> {
    const next = new Map<string, ManifestProblem>();
    for (const problem of change.fresh) next.set(renderManifestProblem(problem), problem);
    const gone = new Map<string, ManifestProblem>();
    for (const problem of change.stale) gone.set(renderManifestProblem(problem), problem);
    for (const key of change.touched.keys()) {
      for (const known of this.#duplicates.get(key) ?? []) gone.set(renderManifestProblem(known), known);
      const duplicates = (this.#claims.get(key) ?? []).slice(1).map((claim) => this.#duplicateOf(key, claim));
      if (duplicates.length === 0) this.#duplicates.delete(key);
      else this.#duplicates.set(key, duplicates);
      for (const problem of duplicates) next.set(renderManifestProblem(problem), problem);
    }
    const resolved = [...gone].filter(([text]) => !next.has(text)).map(([, problem]) => problem);
    const appeared = [...next].filter(([text]) => !this.#problems.has(text)).map(([, problem]) => problem);
    for (const text of gone.keys()) this.#problems.delete(text);
    for (const [text, problem] of next) this.#problems.set(text, problem);
    return { appeared, resolved };
  }

  readonly #duplicates = new Map<string, readonly ManifestProblem[]>();

  #duplicateOf(key: string, claim: Claim): ManifestProblem {
    const first = this.#claims.get(key)![0]!;
    const [kind, namespace, name] = key.split("/");
    const reason =
      `${kind} ${namespace}/${name} stands in ${first.file}:${first.line} already, which counts; ` +
      "this one is left out";
    return { file: claim.file, line: claim.line, reason };
  }
}

function keyOf(object: KubeObject): string {
  return `${object.kind}/${object.namespacedName}`;
}
