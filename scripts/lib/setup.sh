# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Sourced by the scripts, which have set $0: words for a person, the cache folder,
# missing packages, and packages of Debian suites other than the machine's own,
# which are unpacked into the cache and never installed.

set -eu

# the folder above $0 that has this file in it
top=$(
	cd "$(dirname "$0")"
	until [ -e scripts/lib/setup.sh ]; do
		cd ..
	done
	pwd -P
)
cache=${VBALLOON_CACHE:-$top/.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)

say()
{
	printf '%s\n' "$*" >&2
}

die()
{
	say "${0##*/}: $*"
	exit 1
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "needs root or sudo for: $*"
	fi
}

# serialise NAME: from here on this shell is the only one that works on NAME.
serialise()
{
	mkdir -p "$cache/lock"
	exec 9>"$cache/lock/$1"
	flock 9
}

on_debian()
{
	grep -qx 'ID=debian' /etc/os-release 2>/dev/null
}

codename()
{
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# need THING...: install the Debian packages of what is missing. A THING is
# COMMAND, COMMAND:PACKAGE, or /FILE:PACKAGE.
need()
{
	missing=
	for thing; do
		case $thing in
		/*) test -e "${thing%%:*}" ;;
		*) command -v "${thing%%:*}" >/dev/null ;;
		esac || missing="$missing ${thing##*:}"
	done
	[ -z "$missing" ] || install_packages "$missing"
}

install_packages()
{
	on_debian ||
		die "this machine is not Debian; please install what these Debian packages hold:$1"
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
		die "please install, as root, these Debian packages:$1"
	say "Installing missing Debian packages:$1"
	# shellcheck disable=SC2086
	apt_can_install $1 || as_root apt-get -qq update >&2
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
		-o DPkg::Lock::Timeout=300 --no-install-recommends \
		install $1 >"$cache/install.log" 2>&1 </dev/null ||
		die "could not install them: see $cache/install.log"
}

apt_can_install()
{
	apt-get -qq --print-uris --no-install-recommends install "$@" >/dev/null 2>&1
}

# One line for each place that the machine's own apt takes Debian from:
# CODENAME URI OPTIONS (the signed-by and trusted of its entry, if it has any).
machine_sources()
{
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(CODENAME) $(REPO_URI) $(SOURCESENTRY)' \
		'Created-By: Packages' 'Origin: Debian' 'Component: main' |
	while read -r release uri entry; do
		case $release in
		"$(codename)" | "$(codename)-security")
			echo "$release $uri $(source_options "${entry%:*}" "${entry##*:}")" ;;
		esac
	done | sort -u
}

# source_options FILE N: of the Nth stanza of a .sources file, or of line N.
source_options()
{
	case $1 in
	*.sources)
		awk -v RS= -v n="$2" 'NR == n' "$1" |
			sed -n 's/^Signed-By: *\(\/.*\)/signed-by=\1/Ip; s/^Trusted: */trusted=/Ip' ;;
	*)
		sed -n "$2s/^[^[]*\[\([^]]*\)\].*/\1/p" "$1" | tr ' ' '\n' |
			grep -E '^(signed-by|trusted)=' ;;
	esac | tr '\n' ' ' || :
}

# foreign_sources SUITE: the lines of a sources.list for it, on the machine's
# own mirror. A suite brings its security updates, backports come alone.
foreign_sources()
{
	on_debian || die "this machine's apt serves no Debian packages"
	sources=$(machine_sources)
	if [ -z "$sources" ]; then
		as_root apt-get -qq update >&2
		sources=$(machine_sources)
	fi
	echo "$sources" | while read -r release uri options; do
		case $1:$release in
		*:"$(codename)") echo "deb [ $options] $uri $1 main" ;;
		sid:* | *-backports:*) ;;
		*-security) echo "deb [ $options] $uri $1-security main" ;;
		esac
	done
}

# foreign_apt SUITE TOOL ARG...: apt-TOOL on nothing but that suite, with lists
# and state of its own. The first use in an hour fetches
# the suite's index.
foreign_apt()
{
	apt_dir=$cache/apt/$1 apt_tool=apt-$2
	[ -n "$(find "$apt_dir/fresh" -mmin -60 2>/dev/null)" ] || foreign_update "$1"
	shift 2
	"$apt_tool" -c "$apt_dir/apt.conf" "$@"
}

foreign_update()
{
	mkdir -p "$apt_dir/lists/partial" "$apt_dir/archives/partial"
	foreign_sources "$1" >"$apt_dir/sources.list"
	[ -s "$apt_dir/sources.list" ] ||
		die "found no entry for Debian $(codename) in this machine's apt sources"
	: >"$apt_dir/status"
	cat >"$apt_dir/apt.conf" <<-END
		Dir::Etc::SourceList "$apt_dir/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::Etc::Preferences "/dev/null";
		Dir::Etc::PreferencesParts "/dev/null";
		Dir::State "$apt_dir";
		Dir::State::Lists "$apt_dir/lists";
		Dir::State::Status "$apt_dir/status";
		Dir::Cache "$apt_dir";
		APT::Sandbox::User "";
		Acquire::Check-Valid-Until "false";
		Acquire::Languages "none";
		#clear APT::Update;
		#clear DPkg::Post-Invoke;
	END
	say "Fetching the package index of Debian $1"
	if flock "$apt_dir/lock" apt-get -c "$apt_dir/apt.conf" -qq update >"$apt_dir/log" 2>&1; then
		touch "$apt_dir/fresh"
	else
		say "$(cat "$apt_dir/log")"
	fi
}

# foreign_download SUITE PACKAGE...: the newest .deb of each into $cache/debs;
# prints their paths.
foreign_download()
{
	download_suite=$1
	shift
	mkdir -p "$cache/debs"
	for package; do
		foreign_deb "$download_suite" "$package"
	done
}

foreign_deb()
{
	deb=$(foreign_apt "$1" cache show --no-all-versions "$2" |
		sed -n "s|^Filename: .*/|$cache/debs/|p")
	[ -n "$deb" ] || die "Debian $1 has no package $2"
	if [ ! -e "$deb" ]; then
		say "Downloading $2 from Debian $1"
		partial=$(mktemp -d "$cache/debs/partial.XXXXXX")
		(cd "$partial" && foreign_apt "$1" get -qq download "$2" >&2) ||
			die "could not download $2 from Debian $1"
		mv "$partial"/*.deb "$deb"
		rmdir "$partial"
	fi
	echo "$deb"
}

# unpack DIR DEB...
unpack()
{
	unpack_dir=$1
	shift
	mkdir -p "$unpack_dir"
	for deb; do
		dpkg -x "$deb" "$unpack_dir"
	done
}

# kernel_list COLUMN [WORD]...: that column of tests/kernels, a line for each
# kernel that has a WORD as its name, or in "runs" or "from"; without, for all.
kernel_list()
{
	kernel_column=$1
	shift
	awk -v column="$kernel_column" -v words=" $* " '
		/^#/ || NF == 0 { next }
		!("name" in at) { for (i = 1; i <= NF; i++) at[$i] = i; next }
		words == "  " || index(words, " " $at["name"] " ") ||
		index(words, " " $at["runs"] " ") ||
		index(words, " " $at["from"] " ") { print $at[column] }
	' "$top/tests/kernels"
}

# commas: the lines of stdin as one, for a person.
commas()
{
	paste -sd, | sed 's/,/, /g'
}

# kernel_source: prints the folder of Debian's source of a kernel: what the debug
# kernel, the kselftests and checkpatch come from. Nothing writes there.
kernel_source()
{
	(
		serialise source
		[ -d "$cache/source" ] || unpack_source
		echo "$cache/source"
	)
}

unpack_source()
{
	package=linux-source-$(kernel_list series debug)
	for suite in $(kernel_list suites debug | tr , ' '); do
		foreign_apt "$suite" cache show "$package" >/dev/null 2>&1 || continue
		deb=$(foreign_download "$suite" "$package")
		say "Unpacking $package"
		rm -rf "$cache/source.part"
		mkdir -p "$cache/source.part"
		dpkg --fsys-tarfile "$deb" |
			tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
			tar -xJ -C "$cache/source.part" --strip-components=1
		mv "$cache/source.part" "$cache/source"
		return
	done
	die "Debian's $package is not available"
}
