import { assertEquals } from "@std/assert/equals";
import { join } from "@std/path/join";
import { Namespace } from "../../lab/mod.ts";
import { testInNamespace } from "../../lab/testing.ts";
import { containerCommand, type SecurityContext } from "./container_root.ts";

/** The capability by its number (linux/capability.h). */
const NET_ADMIN = 1n << 12n;

testInNamespace(
  "a container has its mounts, its environment and no more rights than its manifest gives",
  async (t) => {
    await using node = await Namespace.create({ name: "node" });
    const dir = await Deno.makeTempDir({ prefix: "lp-" });
    try {
      await Deno.writeTextFile(join(dir, "said"), "hello\n");
      const run = async (script: string, securityContext: SecurityContext = {}): Promise<string> => {
        const { stdout } = await node.exec(containerCommand({
          command: ["sh", "-c", `{ ${script}; } 2>&1`],
          env: { PATH: "/usr/bin:/bin", GIVEN: "a b" },
          mounts: [{ from: dir, to: "/data/here" }, { from: join(dir, "said"), to: "/etc-of-ours/said" }],
          securityContext,
        }));
        return stdout.trim();
      };

      await t.step("files and folders are where they are mounted, and the rest is its own", async () => {
        assertEquals(
          await run("cat /data/here/said /etc-of-ours/said; ls /run /tmp"),
          "hello\nhello\n/run:\n\n/tmp:",
        );
        assertEquals(await run("env | grep -v ^PWD= | sort"), "GIVEN=a b\nPATH=/usr/bin:/bin");
        await run("echo more >>/data/here/said; touch /run/mine");
        assertEquals(await Deno.readTextFile(join(dir, "said")), "hello\nmore\n");
        assertEquals(await run("ls /run"), "");
      });

      await t.step("a root file system that is read-only is", async () => {
        assertEquals(await run("touch /mine /data/mine && echo made"), "made");
        const refused = await run("touch /mine /tmp/mine", { readOnlyRootFilesystem: true });
        assertEquals(refused.match(/Read-only file system/g)?.length, 2);
        assertEquals(
          await run("touch /data/here/mine && echo made", { readOnlyRootFilesystem: true }),
          "made",
        );
      });

      await t.step("another user is, where this machine has more than one to give", async () => {
        const [, , users] = (await run("cat /proc/self/uid_map")).split(/\s+/);
        assertEquals(
          await run("id -u; id -g", { runAsUser: 65532 }),
          users === "1" ? "0\n0" : "65532\n65532",
        );
      });

      await t.step("a capability that is not added is not there", async () => {
        const bounding = async (securityContext: SecurityContext): Promise<bigint> =>
          BigInt(`0x${await run("sed -n 's/^CapBnd:\\s*//p' /proc/self/status", securityContext)}`);
        const capabilities = { drop: ["ALL"], add: ["NET_ADMIN"] };
        assertEquals(await bounding({ capabilities }), NET_ADMIN);
        assertEquals(await bounding({ capabilities: { drop: ["ALL"] } }), 0n);
        const noNewPrivileges = await run("sed -n 's/^NoNewPrivs:\\s*//p' /proc/self/status", {
          allowPrivilegeEscalation: false,
        });
        assertEquals(noNewPrivileges, "1");
      });
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);
