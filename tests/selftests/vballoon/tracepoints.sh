#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The tracepoints are there, have their fields, and tell what happens.

cd "$(dirname "$0")" || exit 1
. ./vballoon.sh

find_tracing()
{
	for tracing in /sys/kernel/tracing /sys/kernel/debug/tracing; do
		[ ! -d "$tracing/events" ] || return 0
	done
	vb_skip_all "no tracefs is mounted"
}

# has_fields EVENT FIELD...
has_fields()
{
	format=$tracing/events/vballoon/$1/format
	shift
	for field; do
		grep -q "field:.* $field;" "$format" || return 1
	done
}

# traced EVENT: its lines
traced()
{
	grep " $1: " "$tracing/trace"
}

# The sum of a field=NUMBER over lines.
sum()
{
	sed -n "s/.* $1=\([0-9]*\).*/\1/p" | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

trace_on()
{
	size=$(cat "$tracing/buffer_size_kb")
	: >"$tracing/trace"
	echo 4096 >"$tracing/buffer_size_kb"
	echo 1 >"$tracing/events/vballoon/enable"
}

# Tracing is as before.
trace_off()
{
	echo 0 >"$tracing/events/vballoon/enable"
	: >"$tracing/trace"
	echo "${size%% *}" >"$tracing/buffer_size_kb" 2>/dev/null
}

# What came in so far and has not left, in bytes.
traced_inside()
{
	in=$(traced vballoon_moved | grep ' inflate ' | sum bytes)
	out=$(traced vballoon_moved | grep ' deflate ' | sum bytes)
	echo $((in - out))
}

test_moved()
{
	actual=$(vb_read actual_bytes)
	if [ "$actual" = 0 ]; then
		ktap_test_skip "vballoon_moved fires: the host sets no target"
		ktap_test_skip "vballoon_moved adds up: the host sets no target"
		ktap_test_skip "vballoon_moved tells of an unbind: the host sets no target"
		return
	fi
	inside=$(traced_inside)
	vb_result "vballoon_moved fires" [ "$inside" -gt 0 ]
	vb_same "vballoon_moved adds up to actual" "$inside" "$actual"
	vb_unbind
	vb_same "vballoon_moved tells of an unbind" "$(traced_inside)" 0
	vb_bind
}

ktap_print_header
vb_need_bound
find_tracing
[ -d "$tracing/events/vballoon" ] || [ -d "$tracing/events/sched" ] ||
	vb_skip_all "this kernel has no trace events"
ktap_set_plan 7

vb_result "vballoon_goal has its fields" has_fields vballoon_goal \
	index target held available reserve step delay limited_by
vb_result "vballoon_moved has its fields" has_fields vballoon_moved \
	index inflate bytes
vb_unbind
trace_on
vb_bind
vb_settle
vb_result "vballoon_goal fires" eval 'traced vballoon_goal >/dev/null'
vb_same "vballoon_goal knows the target" \
	"$(traced vballoon_goal | tail -n 1 | sum target)" "$(vb_read target_bytes)"
test_moved
trace_off
ktap_finished
