/** The generated messages against the wire: field numbers read by hand, presence, JSON and determinism. */

import { BinaryReader } from "@bufbuild/protobuf/wire";
import { assertEquals } from "@std/assert/equals";
import {
  type Any,
  Cluster,
  Cluster_DiscoveryType,
  DeltaDiscoveryRequest,
  HttpProtocolOptions,
  packAny,
  PreviousHostsPredicate,
} from "./mod.ts";

const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** The field numbers of a message's bytes, in the order of appearance. */
function fieldNumbers(bytes: Uint8Array): number[] {
  const reader = new BinaryReader(bytes);
  const numbers: number[] = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    numbers.push(number);
    reader.skip(wireType);
  }
  return numbers;
}

function retryingOptions(): HttpProtocolOptions {
  return HttpProtocolOptions.create({
    explicitHttpConfig: { http2ProtocolOptions: {} },
    retryPolicy: {
      retryOn: "5xx,connect-failure",
      numRetries: 2,
      perTryTimeout: { nanos: 250_000_000 },
      retryHostPredicate: [{
        name: "envoy.retry_host_predicates.previous_hosts",
        typedConfig: packAny(PreviousHostsPredicate, PreviousHostsPredicate.create()),
      }],
    },
  });
}

function retryingCluster(options: HttpProtocolOptions): Cluster {
  return Cluster.create({
    name: "10.0.0.1:80",
    type: Cluster_DiscoveryType.EDS,
    connectTimeout: { seconds: 5 },
    typedExtensionProtocolOptions: { [HTTP_PROTOCOL_OPTIONS]: packAny(HttpProtocolOptions, options) },
  });
}

Deno.test("the cluster-level policies are fields 8 to 11 of HttpProtocolOptions", () => {
  const retry = HttpProtocolOptions.create({ retryPolicy: { retryOn: "5xx" } });
  const hash = HttpProtocolOptions.create({ hashPolicy: [{ terminal: true }] });
  const mirror = HttpProtocolOptions.create({ requestMirrorPolicies: [{ cluster: "10.0.0.2:80" }] });
  const outliers = HttpProtocolOptions.create({ outlierDetection: {} });
  const numbers = [outliers, mirror, hash, retry].map((options) =>
    fieldNumbers(HttpProtocolOptions.encode(options).finish())
  );
  assertEquals(numbers, [[8], [9], [10], [11]]);
});

Deno.test("a Cluster with HttpProtocolOptions, retry policy and previous_hosts survives the wire", () => {
  const cluster = retryingCluster(retryingOptions());
  const decoded = Cluster.decode(Cluster.encode(cluster).finish());
  assertEquals(Cluster.toJSON(decoded), Cluster.toJSON(cluster));
  const packed: Any | undefined = decoded.typedExtensionProtocolOptions[HTTP_PROTOCOL_OPTIONS];
  assertEquals(packed?.typeUrl, `type.googleapis.com/${HTTP_PROTOCOL_OPTIONS}`);
  const policy = HttpProtocolOptions.decode(packed?.value ?? new Uint8Array()).retryPolicy;
  assertEquals(policy?.numRetries, 2);
  assertEquals(policy?.perTryTimeout, { seconds: 0, nanos: 250_000_000 });
  assertEquals(policy?.retryHostPredicate[0]?.typedConfig?.value.length, 0);
});

Deno.test("JSON is the canonical form: enum names, durations as text, an Any shows its message", () => {
  assertEquals(Cluster.toJSON(retryingCluster(retryingOptions())), {
    name: "10.0.0.1:80",
    type: "EDS",
    connectTimeout: "5s",
    typedExtensionProtocolOptions: {
      [HTTP_PROTOCOL_OPTIONS]: {
        "@type": `type.googleapis.com/${HTTP_PROTOCOL_OPTIONS}`,
        explicitHttpConfig: { http2ProtocolOptions: {} },
        retryPolicy: {
          retryOn: "5xx,connect-failure",
          numRetries: 2,
          perTryTimeout: "0.250s",
          retryHostPredicate: [{
            name: "envoy.retry_host_predicates.previous_hosts",
            typedConfig: {
              "@type":
                "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            },
          }],
        },
      },
    },
  });
});

Deno.test("a oneof member set to its zero value is on the wire, unset it is not", () => {
  // STATIC is 0 and `type` the first member of the first oneof: lost if the descriptors' presence is.
  const set = Cluster.encode(Cluster.create({ type: Cluster_DiscoveryType.STATIC })).finish();
  assertEquals(fieldNumbers(set), [2]);
  assertEquals(fieldNumbers(Cluster.encode(Cluster.create()).finish()), []);
});

Deno.test("equal messages encode to equal bytes", () => {
  const [first, second] = [retryingCluster(retryingOptions()), retryingCluster(retryingOptions())];
  assertEquals(Cluster.encode(first).finish(), Cluster.encode(second).finish());
});

Deno.test("a DeltaDiscoveryRequest with a NACK survives the wire", () => {
  const request = DeltaDiscoveryRequest.create({
    typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    resourceNamesSubscribe: ["10.0.0.1:80", "[fd00::1]:80"],
    initialResourceVersions: { "10.0.0.1:80": "a1" },
    responseNonce: "7",
    errorDetail: { code: 13, message: "no such field" },
  });
  assertEquals(DeltaDiscoveryRequest.decode(DeltaDiscoveryRequest.encode(request).finish()), request);
});
