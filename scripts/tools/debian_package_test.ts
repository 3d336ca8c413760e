import { assertEquals } from "@std/assert/equals";
import { join } from "@std/path/join";
import { parseOsRelease, parseSimulation, renderWrapper } from "./debian_package.ts";
import { runProgram } from "./run_program.ts";

Deno.test("parseSimulation() lists what would be installed, and nothing that would only be configured", () => {
  const output = `NOTE: This is only a simulation!
The following NEW packages will be installed:
  libnftables1 libnftnl11 nftables
Inst libnftnl11 (1.2.4-2 Debian:12.7/stable [amd64])
Inst libnftables1 [1.0.5-1] (1.0.6-2+deb12u2 Debian:12.7/stable [amd64]) []
Inst nftables (1.0.6-2+deb12u2 Debian:12.7/stable [amd64])
Conf libnftnl11 (1.2.4-2 Debian:12.7/stable [amd64])
Conf nftables (1.0.6-2+deb12u2 Debian:12.7/stable [amd64])
`;
  assertEquals(parseSimulation(output), ["libnftnl11", "libnftables1", "nftables"]);
  assertEquals(parseSimulation("nftables is already the newest version (1.0.6-2+deb12u2).\n"), []);
});

Deno.test("parseOsRelease() names a release, with and without quotes and versions", () => {
  assertEquals(parseOsRelease(`PRETTY_NAME="Debian 12"\nVERSION_ID="12"\nID=debian\n`), "debian-12");
  assertEquals(parseOsRelease(`ID=ubuntu\nVERSION_ID="24.04"\n`), "ubuntu-24.04");
  assertEquals(parseOsRelease(`ID=debian\nVERSION_CODENAME=forky\n`), "debian-forky");
  assertEquals(parseOsRelease(`ID=debian\n`), "debian-rolling");
});

Deno.test("a wrapper passes arguments and code on, sets its variables, and bears quotes in paths", async () => {
  const directory = await Deno.makeTempDir({ prefix: "it's a 'tool' " });
  try {
    const program = join(directory, "program");
    await Deno.writeTextFile(program, `#!/bin/sh\necho "$0|$#|$2|$LD_LIBRARY_PATH"\n`);
    const wrapper = join(directory, "wrapper");
    await Deno.writeTextFile(wrapper, renderWrapper([program], { LD_LIBRARY_PATH: `${directory}/lib` }));
    await Promise.all([program, wrapper].map((path) => Deno.chmod(path, 0o755)));
    assertEquals(await runProgram(wrapper, ["a", "b c"]), `${program}|2|b c|${directory}/lib\n`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
