# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Sourced after setup.sh: what modules are built with; for kernels whose tools
# do not run on this machine, a small Debian 13 in the cache.

# shellcheck disable=SC2154
builder=$cache/builder
builder_packages=make,gcc-14,pahole,libelf1t64,libssl3t64,perl

# compiler_of BUILD-TREE: the compiler that the kernel was built with.
compiler_of()
{
	sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ ]*\) .*/\1/p' "$1/.config" |
		sed "s/^$(uname -m)-linux-gnu-//"
}

# make_builder: fails if there can be none (no such suite, no right to mount).
make_builder()
{
	(
		serialise builder
		[ ! -d "$builder" ] || exit 0
		need mmdebstrap mount
		say "Making a Debian 13 chroot to build in (about a minute, 250 MB)"
		as_root rm -rf "$builder.part"
		foreign_sources trixie | as_root mmdebstrap --quiet \
			--variant=essential --include="$builder_packages" \
			--aptopt='Acquire::Check-Valid-Until "false"' \
			--dpkgopt='path-exclude=/usr/share/doc/*' \
			--dpkgopt='path-exclude=/usr/share/man/*' \
			--dpkgopt='path-exclude=/usr/share/locale/*' \
			trixie "$builder.part" - >"$cache/builder.log" 2>&1 &&
			as_root mv "$builder.part" "$builder"
	) && in_builder true
}

# in_builder COMMAND...: run it there, as this user. The cache and the sources
# are where they are here; the mounts have a namespace of their own, so that
# they are gone with the command.
in_builder()
{
	# shellcheck disable=SC2016,SC2154
	as_root unshare --mount sh -euc '
		root=$1
		for dir in "$2" "$3"; do
			mkdir -p "$root$dir"
			mount --bind "$dir" "$root$dir"
		done
		mount --rbind /proc "$root/proc"
		user=$4
		shift 4
		exec chroot --userspec="$user" "$root" "$@"
	' in_builder "$builder" "$top" "$cache" "$(id -u):$(id -g)" "$@"
}
