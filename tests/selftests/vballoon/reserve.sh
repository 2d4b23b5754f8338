#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The guest keeps its reservation, whatever the host wants.

cd "$(dirname "$0")" || exit 1
. ./vballoon.sh

settled()
{
	vb_settle
	actual=$(vb_read actual_bytes)
	state=$(vb_read state)
	limit=$(vb_read limited_by)
	ktap_print_msg "target $target actual $actual reserve $(vb_read reserve_bytes): $state, $limit"
}

# Memory of the guest with an empty balloon.
total_bytes()
{
	bytes=$(vb_meminfo MemTotal)
	! vb_shrinks_total || bytes=$((bytes + $(vb_read actual_bytes)))
	echo "$bytes"
}

reload()
{
	vb_unload
	vb_load "reserve=$1"
}

ktap_print_header
vb_need_bound
vb_wanted || vb_skip_all "the host sets no target"
[ "$(vb_read state)" = idle ] || vb_skip_all "the target is out of reach"
ktap_set_plan 9

target=$(vb_read target_bytes)
half=$((target / 2 / 65536 * 65536))
total=$(total_bytes)

reload $((total - half))
settled
vb_same "stops at the reservation" "$actual" "$half"
vb_same "and is limited" "$state" limited
vb_same "by it" "$limit" reserve

half=$((half / 2 / 65536 * 65536))
echo $((total - half)) >"$vb_dir/reserve_bytes"
settled
vb_result "a larger one takes nothing back" [ "$actual" -gt "$half" ]
vb_same "and is the limit" "$limit" reserve

echo auto >"$vb_dir/reserve_bytes"
settled
vb_same "the default one lets the target be reached" "$actual" "$target"
vb_same "and the driver rests" "$state" idle
vb_same "limited by nothing" "$limit" none

vb_unload
vb_same "memory is back" "$(vb_meminfo MemTotal)" "$total"
vb_load
vb_settle
ktap_finished
