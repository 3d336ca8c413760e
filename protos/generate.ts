/**
 * Generates the TypeScript messages in protos/gen, or checks that they are what would be generated.
 *
 *     deno task protos          rewrites protos/gen
 *     deno task protos:check    generates elsewhere, compares, names the files that differ; exit code 1 on any
 *
 * The way: pinned wheels (pip) -> FileDescriptorSet (descriptors.py) -> the part in use (select_descriptors.ts) ->
 * CodeGeneratorRequest -> protoc's plugin of ts-proto, run under this Deno -> files. protoc itself is not needed.
 * @module
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  CodeGeneratorRequestSchema,
  CodeGeneratorResponseSchema,
  type FileDescriptorProto,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { dirname } from "@std/path/dirname";
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { cacheDir } from "../scripts/tools/cache_dir.ts";
import { PROTOBUF_WHEEL, TS_PROTO_VERSION, XDS_PROTOS_WHEEL } from "../scripts/tools/versions.ts";
import { fetchWheel, runPython } from "../xds/fetch_wheel.ts";
import { withFileLock } from "../xds/file_lock.ts";
import { selectDescriptors } from "./select_descriptors.ts";

/** The messages Lightpath encodes or decodes itself. What they contain is added. */
const ROOTS: readonly string[] = [
  "envoy.service.discovery.v3.DeltaDiscoveryRequest",
  "envoy.service.discovery.v3.DeltaDiscoveryResponse",
  "envoy.config.cluster.v3.Cluster",
  "envoy.config.endpoint.v3.ClusterLoadAssignment",
  "envoy.config.listener.v3.Listener",
  "envoy.config.route.v3.RouteConfiguration",
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
  "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
  "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
  "xds.type.v3.TypedStruct",
];

/** https://github.com/stephenh/ts-proto#supported-options */
const TS_PROTO_OPTIONS: Readonly<Record<string, string>> = {
  importSuffix: ".ts",
  esModuleInterop: "true",
  env: "browser", // Uint8Array, not Buffer
  forceLong: "number", // no 64-bit field in use exceeds 2^53
  useDate: "false", // Timestamp and Duration as { seconds, nanos }: a Date would round
  useDuration: "string", // in JSON: "0.250s", as Envoy prints it
  useOptionals: "messages",
  useExactTypes: "false",
  unrecognizedEnum: "false",
  outputServices: "none", // server.ts defines its single method itself
  outputJsonMethods: "true",
  outputTypeAnnotations: "static-only", // $type on the codec, not in each message
  outputTypeRegistry: "true", // an Any in JSON shows the message, not base64
  comments: "false",
  annotateFilesWithVersion: "false", // it would say "protoc unknown"
};

const GENERATED = fromFileUrl(new URL("./gen/", import.meta.url));
const PROJECT = fromFileUrl(new URL("../", import.meta.url));

/** Generates all files. Keys are paths relative to protos/gen, values their text. */
export async function generate(): Promise<Map<string, string>> {
  const files = selectDescriptors(await readDescriptors(), ROOTS);
  const request = create(CodeGeneratorRequestSchema, {
    protoFile: files,
    fileToGenerate: files.map((file) => file.name),
    parameter: Object.entries(TS_PROTO_OPTIONS).map(([name, value]) => `${name}=${value}`).join(","),
  });
  const answer = await runPlugin(toBinary(CodeGeneratorRequestSchema, request));
  const response = fromBinary(CodeGeneratorResponseSchema, answer);
  if (response.error !== "") throw new Error(`ts-proto: ${response.error}`);
  return new Map(response.file.map((file) => [file.name, file.content]));
}

/** Compares generated files with those in a directory. Returns the paths that differ, are missing or are too many, sorted. */
export async function differences(
  generated: ReadonlyMap<string, string>,
  directory: string,
): Promise<string[]> {
  const present = new Map<string, string>();
  for await (const path of walk(directory, "")) {
    present.set(path, await Deno.readTextFile(join(directory, path)));
  }
  const paths = new Set([...generated.keys(), ...present.keys()]);
  return [...paths].filter((path) => generated.get(path) !== present.get(path)).sort();
}

async function* walk(directory: string, prefix: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(join(directory, prefix))) {
    const path = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory) yield* walk(directory, path);
    else yield path;
  }
}

async function readDescriptors(): Promise<FileDescriptorProto[]> {
  const cache = cacheDir();
  await Deno.mkdir(cache, { recursive: true });
  const wheels = await withFileLock(join(cache, "descriptors.lock"), async () => {
    const directory = join(cache, "descriptors");
    await Deno.mkdir(directory, { recursive: true });
    return [
      await fetchWheel(PROTOBUF_WHEEL, { directory }),
      await fetchWheel(XDS_PROTOS_WHEEL, { directory }),
    ];
  });
  const script = fromFileUrl(new URL("./descriptors.py", import.meta.url));
  const set = await runPython([script, ...wheels], { purpose: "reading descriptors" });
  return fromBinary(FileDescriptorSetSchema, set).file;
}

async function runPlugin(request: Uint8Array): Promise<Uint8Array> {
  await using plugin = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", `npm:ts-proto@${TS_PROTO_VERSION}/protoc-gen-ts_proto`],
    cwd: PROJECT, // for the lock file, which pins ts-proto's own dependencies
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const [output] = await Promise.all([
    plugin.output(),
    new Blob([request.slice()]).stream().pipeTo(plugin.stdin),
  ]);
  if (!output.success) throw new Error(`ts-proto ended with code ${output.code}`);
  return output.stdout;
}

async function write(generated: ReadonlyMap<string, string>, directory: string): Promise<void> {
  await Deno.remove(directory, { recursive: true }).catch((error: unknown) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  for (const [path, text] of generated) {
    await Deno.mkdir(dirname(join(directory, path)), { recursive: true });
    await Deno.writeTextFile(join(directory, path), text);
  }
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  const generated = await generate();
  if (!Deno.args.includes("--check")) {
    await write(generated, GENERATED);
    say(`protos/gen: ${generated.size} files written`);
  } else {
    const differing = await differences(generated, GENERATED);
    for (const path of differing) say(`protos/gen/${path} is not what deno task protos generates`);
    if (differing.length > 0) Deno.exit(1);
    say(`protos/gen: ${generated.size} files as generated`);
  }
}
