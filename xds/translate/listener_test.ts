import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { OwnListener } from "../../agent/model/mod.ts";
import { servicePort } from "../../agent/model/testing/service_ports.ts";
import { Listener, TypedStruct, typeUrlOf } from "../../protos/mod.ts";
import { httpFilterChains, type NetworkFilter, tcpFilterChains } from "../listeners.ts";
import { assertGolden } from "../testing/golden.ts";
import { translateListener } from "./listener.ts";

const DESTINATION = { address: "10.96.0.10", port: 80 };

function translate(own: OwnListener): Listener {
  const port = servicePort({ port: "web" });
  return Listener.decode(Listener.encode(translateListener(port, own, DESTINATION)).finish());
}

/** The filters as they stand in the bootstrap. */
function filtersOf(listener: Listener): NetworkFilter[] {
  return listener.filterChains.flatMap(({ filters }) =>
    filters.map(({ name, typedConfig }) => {
      assertEquals(typedConfig?.typeUrl, typeUrlOf(TypedStruct));
      const { typeUrl, value } = TypedStruct.decode(typedConfig?.value ?? new Uint8Array());
      return { name, typed_config: { "@type": typeUrl, ...value } };
    })
  );
}

Deno.test("translateListener() has the constant listener's filters, but for the idle timeout", () => {
  const options = { mode: "on-demand", idleTimeoutMs: 1_500 } as const;
  for (
    const [kind, { filter_chains: [chain] }] of [
      ["tcp", tcpFilterChains(options)],
      ["http", httpFilterChains({ ...options, settings: "of-all" })],
    ] as const
  ) {
    const filters = filtersOf(translate({ kind, idleTimeoutMs: 1_500 }));
    assertEquals<unknown>(filters, chain?.filters);
    assert(JSON.stringify(filters).includes('"idle_timeout":"1.5s"'));
  }
});

Deno.test("translateListener() of redis", async () => {
  await assertGolden("listener_redis", Listener.toJSON(translate({ kind: "redis" })));
});

Deno.test("translateListener() gives equal bytes for equal input", () => {
  const encode = (): Uint8Array => Listener.encode(translate({ kind: "http", idleTimeoutMs: 0 })).finish();
  assertEquals(encode(), encode());
});
