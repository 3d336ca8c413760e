/**
 * What a container of the local backend sees, and what it may do. Pure.
 *
 * In: paths of the machine and where the container has them, the container's security context. Out: a command that makes the
 * container's file system in a mount namespace of its own and becomes the program.
 * Invariants: /usr and its like are the machine's, so that no image is needed; /run, /var, /tmp and all else are the
 * container's own. A capability that the manifest does not give is not there.
 * Source: mount_namespaces(7), setpriv(1); Kubernetes "Configure a Security Context for a Pod or Container".
 * @module
 */

/** A file or folder of the machine, and where the container has it. */
export interface ContainerMount {
  readonly from: string;
  readonly to: string;
}

/** Of a container's or pod's security context what has a meaning here. */
export interface SecurityContext {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
}

/** A container's program and what is around it. */
export interface ContainerRoot {
  readonly command: readonly string[];
  /** The whole of it. */
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly ContainerMount[];
  readonly securityContext: SecurityContext;
}

/** The folder is the same for all: each mounts its own there, which the others do not see. */
const ROOT = "/run/container-root";

/** Folders of the machine's programs are links on most of them. */
const SCRIPT = `set -e
readOnly=$1 user=$2 group=$3; shift 3
mkdir -p ${ROOT}
mount -t tmpfs -o mode=755 tmpfs ${ROOT}
cd ${ROOT}
for folder in bin sbin lib lib32 lib64 libx32; do
  if [ -L /$folder ]; then ln -s "$(readlink /$folder)" $folder
  elif [ -d /$folder ]; then mkdir $folder && mount --rbind /$folder $folder
  fi
done
for folder in dev proc etc usr; do mkdir $folder && mount --rbind /$folder $folder; done
mkdir tmp run var
chmod 1777 tmp
ln -s ../run var/run
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir -p ".$2"; else mkdir -p ".$(dirname "$2")"; [ -e ".$2" ] || touch ".$2"; fi
  mount --bind "$1" ".$2"
  shift 2
done
shift
[ "$readOnly" = no ] || mount -o remount,bind,ro ${ROOT}
read -r inside outside users </proc/self/uid_map
# An ordinary user's namespace has one user, who is root there.
[ "$user" = 0 ] || [ "$users" = 1 ] || set -- --reuid="$user" --regid="$group" --clear-groups "$@"
exec chroot ${ROOT} setpriv "$@"`;

/** The command line, to be run in the container's network namespace. */
export function containerCommand({ command, env, mounts, securityContext }: ContainerRoot): string[] {
  const { runAsUser = 0, runAsGroup = runAsUser } = securityContext;
  return [
    ...["unshare", "--mount", "--", "sh", "-c", SCRIPT, "sh"],
    securityContext.readOnlyRootFilesystem === true ? "yes" : "no",
    ...[String(runAsUser), String(runAsGroup)],
    ...mounts.flatMap(({ from, to }) => [from, to]),
    "--",
    ...[...privilegeFlags(securityContext), "--"],
    ...["env", "--ignore-environment", ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
    ...command,
  ];
}

function privilegeFlags({ allowPrivilegeEscalation, capabilities }: SecurityContext): string[] {
  const dropsAll = capabilities?.drop?.includes("ALL") === true;
  const kept = (capabilities?.add ?? []).map((name) => `,+${name.toLowerCase()}`).join("");
  return [
    ...(dropsAll ? [`--bounding-set=-all${kept}`, "--inh-caps=-all"] : []),
    ...(allowPrivilegeEscalation === false ? ["--no-new-privs"] : []),
  ];
}
