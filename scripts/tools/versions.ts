/**
 * Every pinned outside thing that is not an npm package of the agent (those are in deno.json): one place to read, one place to change.
 * What the agent itself pins at run time, Envoy, is defined in `xds/` and passed on from here.
 * @module
 */

import type { PinnedWheel } from "../../xds/envoy_version.ts";

export { ENVOY_VERSION } from "../../xds/envoy_version.ts";

/** Runs everything; the README and `.ci/run` start it as `npx -y deno@<this>`. */
export const DENO_VERSION = "2.9.6";

/** Generates protos/gen. */
export const TS_PROTO_VERSION = "2.18.0";

/** The descriptors of Envoy's API, as compiled into Python modules. */
export const XDS_PROTOS_WHEEL: PinnedWheel = {
  project: "xds-protos",
  version: "1.85.0",
  platform: "any",
  sha256: "e1e7bfd9936389936b2c85660d9db0dae380f12678a594b983da40dd472f1760",
  sizeBytes: 1_468_218,
};

/** The descriptors of google/protobuf/*.proto, which xds-protos refers to. */
export const PROTOBUF_WHEEL: PinnedWheel = {
  project: "protobuf",
  version: "6.33.6",
  platform: "any",
  sha256: "77179e006c476e69bf8e8ce866640091ec42e1beb80b213c3900006ecfba6901",
  sizeBytes: 170_656,
};

/** kube-apiserver, kube-controller-manager and kube-proxy; the module in `control_plane/` requires the same. */
export const KUBERNETES_VERSION = "1.36.3";

/** Load generator for measurements. */
export const FORTIO_VERSION = "1.66.3";

/** Builds the manifests of deploy/. */
export const KUSTOMIZE_VERSION = "5.8.1";
