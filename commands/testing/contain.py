"""Runs a command as a container runtime does: in a root of its own, read-only, with the mounts, user and capabilities that it is given.

In: a JSON text, {root, mounts: [{source, target, writable}], capabilities, user, env, command}; root "/" keeps the file system.
To be run in a mount namespace of its own (unshare -m). What a runtime also has, and this has not: seccomp, cgroups.
Source: capabilities(7), "Capability bounding set"; prctl(2); mount(8).
"""
import ctypes
import json
import os
import subprocess
import sys

PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 23, 24, 38
CAPABILITIES = {"NET_ADMIN": 12, "NET_RAW": 13}


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def bind(source, target, writable):
    (os.makedirs if os.path.isdir(source) else touch)(target, exist_ok=True)
    mount("--rbind", source, target)
    if not writable:
        mount("-o", "remount,bind,ro", target)


def touch(path, exist_ok):
    os.makedirs(os.path.dirname(path), exist_ok=exist_ok)
    open(path, "a").close()


def enter(root, mounts):
    mount("--bind", root, root)
    bind("/proc", root + "/proc", True)
    # As runtimes have it: kernel settings cannot be written by their usual path.
    bind("/proc/sys", root + "/proc/sys", False)
    bind("/dev", root + "/dev", True)
    for one in mounts:
        bind(one["source"], root + one["target"], one["writable"])
    mount("-o", "remount,bind,ro", root)
    os.chroot(root)
    os.chdir("/")


def limit(capabilities, user):
    libc = ctypes.CDLL(None, use_errno=True)
    kept = {CAPABILITIES[name] for name in capabilities}
    for number in range(64):
        if libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) < 0:
            break
        if number not in kept and libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            raise OSError(ctypes.get_errno(), "a capability cannot be dropped")
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main():
    spec = json.loads(sys.argv[1])
    if spec["root"] != "/":
        enter(spec["root"], spec["mounts"])
    limit(spec["capabilities"], spec["user"])
    command = spec["command"] + sys.argv[2:]
    os.execve(command[0], command, spec["env"])


main()
