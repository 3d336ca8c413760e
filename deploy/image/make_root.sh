#!/bin/sh
# Makes the image's file system but for the program itself: the C library, and the programs by which Lightpath programs the kernel.
# Packages of Debian are unpacked and nothing of them is run, so it works for any architecture on any, and without root.
#
# make_root.sh ARCHITECTURE FOLDER    e.g. amd64 /rootfs
# DEBIAN_ARCHIVE: where packages come from; one of snapshot.debian.org makes the same of it each time.
set -eu

architecture=$1
root=$2
archive=${DEBIAN_ARCHIVE:?an archive of Debian, e.g. http://deb.debian.org/debian}
release=trixie

# libgcc-s1: what Deno is linked with beside the C library.
wanted='nftables iptables ipset conntrack iproute2 libgcc-s1'
programs='nft conntrack ipset ip iptables ip6tables xtables-nft-multi xtables-legacy-multi'
# What only other programs of these packages need, or their installation.
unwanted='gcc-14-base debconf perl-base dpkg tar libcap2-bin libdb5.3t64 libtirpc-common libtirpc3t64 libgssapi-krb5-2 libkrb5-3
  libkrb5support0 libk5crypto3 libcom-err2 libkeyutils1 libssl3t64 openssl-provider-legacy'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/debs"
# As if nothing were installed: so all that the packages need is found.
: >"$work/status"
for keys in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
  [ ! -e "$keys" ] || signed_by=$keys
done
source="deb [arch=$architecture signed-by=${signed_by:?install debian-archive-keyring} check-valid-until=no] $archive $release main"
echo "$source" >"$work/sources.list"
apt() {
  apt-get --quiet=2 --no-install-recommends \
    -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" \
    -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o "Dir::State::Lists=$work/lists" -o "Dir::State::status=$work/status" \
    -o "Dir::Cache=$work" -o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache= \
    -o APT::Sandbox::User= -o Debug::NoLocking=1 "$@"
}
apt update
kept=
# shellcheck disable=SC2086
for package in $(apt --simulate install $wanted | sed -n 's/^Inst \([^ ]*\) .*/\1/p'); do
  case " $(echo $unwanted) " in
  *" $package "*) ;;
  *) kept="$kept $package" ;;
  esac
done
# shellcheck disable=SC2086
(cd "$work/debs" && apt download $kept)

# Debian's programs and libraries are in /usr; loaders and scripts are asked for by the old paths.
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/usr/sbin"
for folder in bin lib lib64 sbin; do ln -sfn "usr/$folder" "$root/$folder"; done
for deb in "$work"/debs/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --no-same-owner
done

# What nobody here reads or runs. Licences stay: usr/share/doc/*/copyright.
for path in "$root"/usr/bin/* "$root"/usr/sbin/*; do
  # iptables-nft-save and its kin are links to the two multi programs.
  case " $programs " in
  *" $(basename "$path") "*) ;;
  *) case "$(readlink "$path")" in
    xtables-nft-multi | xtables-legacy-multi) ;;
    *) rm "$path" ;;
    esac ;;
  esac
done
rm -rf "$root"/etc "$root"/usr/include "$root"/usr/lib/systemd "$root"/usr/lib/tmpfiles.d "$root"/usr/lib/*/gconv "$root"/var
find "$root/usr/share" -mindepth 1 -maxdepth 1 ! -name doc -exec rm -rf {} +
find "$root/usr/share/doc" ! -type d ! -name copyright -delete
find "$root" -type d -empty -delete

# update-alternatives would do this, in a Debian that is installed.
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
  ln -sfn xtables-nft-multi "$root/usr/sbin/$name"
done
# What is mounted.
mkdir -p "$root/etc/lightpath" "$root/run/lightpath" "$root/var/lib/lightpath" "$root/proc" "$root/dev" "$root/host/proc/sys/net"
ln -sfn ../run "$root/var/run"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
# ipset looks protocols up by their names.
printf 'icmp 1\ntcp 6\nudp 17\nipv6-icmp 58\nsctp 132\n' >"$root/etc/protocols"
printf 'root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/:/\n' >"$root/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
