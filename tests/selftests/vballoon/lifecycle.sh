#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Load, unload, bind and unbind, at rest and on the way: all memory is back
# each time, and parameters that make no sense are refused.

cd "$(dirname "$0")" || exit 1
. ./vballoon.sh

rounds=3

# The guest as it is without the driver.
baseline()
{
	total=$(vb_meminfo MemTotal)
	free=$(vb_free)
}

expect_back()
{
	vb_same "$1: MemTotal" "$(vb_meminfo MemTotal)" "$total"
	vb_close "$1: MemFree" "$(vb_free)" "$free"
}

cycles()
{
	name=$1 begin=$2 between=$3 end=$4
	for _ in $(seq "$rounds"); do
		if ! { "$begin" && "$between" && "$end"; }; then
			ktap_print_msg "$name: a step failed"
			ktap_test_fail "$name: works $rounds times"
			return
		fi
	done
	ktap_test_pass "$name: works $rounds times"
}

test_refused()
{
	for text in '' junk -1 12Q 0 1M1 99999999999G; do
		if vb_load "reserve=$text" 2>/dev/null; then
			ktap_print_msg "reserve=$text was accepted"
			ktap_test_fail "a bad reserve= is refused"
			rmmod vballoon
			return
		fi
	done
	vb_result "a bad reserve= is refused" [ ! -d /sys/module/vballoon ]
}

test_parameter()
{
	vb_load reserve=96M
	vb_same "reserve= is shown" \
		"$(cat /sys/module/vballoon/parameters/reserve)" $((96 << 20))
	vb_same "reserve= is the device's" "$(vb_read reserve_bytes)" $((96 << 20))
	rmmod vballoon
}

test_unbound()
{
	vb_unbind
	vb_result "unbind: no attributes are left" [ ! -e "$vb_dir" ]
	vb_result "unbind: the module stays" vb_loaded
	vb_result "bind: works" vb_bind
	vb_result "bind: the attributes are back" [ -e "$vb_dir/actual_bytes" ]
}

ktap_print_header
vb_need_bound
ktap_set_plan 17

vb_unload
baseline
cycles "load, unload" vb_load vb_settle vb_unload
expect_back "load, unload"
cycles "load, unload at once" vb_load true vb_unload
expect_back "load, unload at once"
test_refused
test_parameter

vb_load
test_unbound
vb_unbind
cycles "bind, unbind" vb_bind vb_settle vb_unbind
expect_back "bind, unbind"
cycles "bind, unbind at once" vb_bind true vb_unbind
vb_bind
ktap_finished
