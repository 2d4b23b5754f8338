# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Sourced by the tests, which run in this folder. The tests load, unload, bind
# and unbind the driver, so the guest should have nothing better to do; they
# leave it bound.
#
# VBALLOON_KO names the module where modprobe does not find it.

# shellcheck disable=SC1091
. ../kselftest/ktap_helpers.sh

vb_driver=/sys/bus/virtio/drivers/vballoon
vb_ko=${VBALLOON_KO:-/vballoon.ko}
vb_page=$(getconf PAGESIZE 2>/dev/null || echo 4096)
vb_slack=$((8 << 20))	# other users of memory may differ by that much

# vb_skip_all REASON: the whole test cannot run here.
vb_skip_all()
{
	ktap_skip_all "$*"
	exit "$KSFT_SKIP"
}

# vb_result NAME COMMAND...: one test, passed if the command is true.
vb_result()
{
	vb_name=$1
	shift
	if "$@"; then
		ktap_test_pass "$vb_name"
	else
		ktap_test_fail "$vb_name"
	fi
}

# vb_same NAME A B, vb_close NAME A B: numbers, within 0 or $vb_slack bytes.
vb_same()
{
	[ "$2" = "$3" ] || ktap_print_msg "$1: $2 is not $3"
	vb_result "$1" [ "$2" = "$3" ]
}

vb_close()
{
	vb_apart=$(($2 - $3))
	vb_apart=${vb_apart#-}
	[ "$vb_apart" -le "$vb_slack" ] ||
		ktap_print_msg "$1: $2 and $3 are $vb_apart bytes apart"
	vb_result "$1" [ "$vb_apart" -le "$vb_slack" ]
}

# Sets vb_device, the balloon's virtio device, whoever drives it.
vb_find_device()
{
	for vb_device in /sys/bus/virtio/devices/*; do
		[ "$(cat "$vb_device/device" 2>/dev/null)" != 0x0005 ] || return 0
	done
	vb_skip_all "no virtio balloon device"
}

vb_bound()
{
	[ -e "$vb_driver/${vb_device##*/}" ]
}

vb_loaded()
{
	[ -d /sys/module/vballoon ]
}

# vb_load [PARAMETER=VALUE]
# shellcheck disable=SC2120
vb_load()
{
	modprobe -q vballoon "$@" 2>/dev/null || insmod "$vb_ko" "$@"
}

vb_unload()
{
	! vb_loaded || rmmod vballoon
}

vb_bind()
{
	echo "${vb_device##*/}" 2>/dev/null >"$vb_driver/bind"
}

vb_unbind()
{
	echo "${vb_device##*/}" >"$vb_driver/unbind"
}

# Have the driver loaded and bound, or skip the whole test.
vb_need_bound()
{
	[ "$(id -u)" = 0 ] || vb_skip_all "needs root"
	vb_find_device
	vb_other=$(readlink "$vb_device/driver" || :)
	case ${vb_other##*/} in
	'' | vballoon) ;;
	*) vb_skip_all "${vb_device##*/} is bound to ${vb_other##*/}" ;;
	esac
	# shellcheck disable=SC2119
	vb_loaded || vb_load >/dev/null 2>&1 ||
		vb_skip_all "vballoon is not loaded, and neither modprobe nor $vb_ko loads it"
	vb_bound || vb_bind || vb_skip_all "${vb_device##*/} cannot be bound"
	vb_dir=$vb_device/balloon
}

# vb_read ATTRIBUTE
vb_read()
{
	read -r vb_value <"$vb_dir/$1" && echo "$vb_value"
}

# What the host wants, and what is in the balloon, have not moved for half a
# second, and the driver says that it is done.
vb_settle()
{
	vb_last='' vb_still=0 vb_left=600
	while [ "$vb_still" -lt 5 ]; do
		vb_left=$((vb_left - 1))
		if [ "$vb_left" = 0 ]; then
			ktap_print_msg "the balloon does not settle: $vb_now"
			return 1
		fi
		sleep 0.1
		vb_now="$(vb_read target_bytes) $(vb_read actual_bytes) $(vb_read state)"
		case $vb_now in
		"$vb_last") vb_still=$((vb_still + 1)) ;;
		*) vb_still=0 ;;
		esac
		case $vb_now in
		*idle | *limited) vb_last=$vb_now ;;
		*) vb_last='' ;;
		esac
	done
}

# Does the host want anything in the balloon? (A selftest cannot ask it to.)
vb_wanted()
{
	vb_settle && [ "$(vb_read target_bytes)" -gt 0 ]
}

# vb_feature BIT: was it negotiated?
vb_feature()
{
	[ "$(cut -c$(($1 + 1)) "$vb_device/features")" = 1 ]
}

# Without DEFLATE_ON_OOM, what is ballooned is off MemTotal.
vb_shrinks_total()
{
	! vb_feature 2
}

# vb_meminfo FIELD: in bytes; vb_vmstat FIELD
vb_meminfo()
{
	awk -v field="$1:" '$1 == field { printf "%.0f\n", $2 * 1024 }' /proc/meminfo
}

vb_vmstat()
{
	awk -v field="$1" '$1 == field { print $2 }' /proc/vmstat
}

# Have what each CPU counts for itself added to the whole.
vb_fold()
{
	cat /proc/sys/vm/stat_refresh >/dev/null 2>&1 || sleep 2
}

# Free memory in bytes: MemFree, and what the CPUs hold back for themselves,
# which may be an eighth of all.
vb_free()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
	vb_fold
	vb_held_back=$(awk '$1 == "count:" { n += $2 } END { print n }' /proc/zoneinfo)
	echo $(($(vb_meminfo MemFree) + vb_held_back * vb_page))
}
