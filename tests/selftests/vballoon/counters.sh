#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# All that counts agrees: the driver's attributes and counters, the kernel's
# vmstat and meminfo.

cd "$(dirname "$0")" || exit 1
. ./vballoon.sh

# The driver is fresh, its counters count from zero; vmstat's do not.
start()
{
	vb_unbind
	total=$(vb_meminfo MemTotal)
	free=$(vb_free)
	inflate=$(vb_vmstat balloon_inflate)
	deflate=$(vb_vmstat balloon_deflate)
	balloon=$(vb_meminfo Balloon)
	vb_bind
	vb_settle
	vb_fold
	target=$(vb_read target_bytes)
	actual=$(vb_read actual_bytes)
}

moved()
{
	echo $((($(vb_read stats/inflated_pages) - $(vb_read stats/deflated_pages)) * vb_page))
}

# An inflation that the host did not ask for did not happen either.
test_driver()
{
	vb_result "actual is not above the target" [ "$actual" -le "$target" ]
	vb_same "inflated - deflated is actual" "$(moved)" "$actual"
	vb_same "nothing is given back for want of memory" \
		"$(vb_read stats/oom_pages)" 0
	vb_same "the host was never silent" "$(vb_read stats/silences)" 0
}

test_vmstat()
{
	if [ -z "$inflate" ]; then
		ktap_test_skip "vmstat agrees: this kernel does not count"
		return
	fi
	inflate=$(($(vb_vmstat balloon_inflate) - inflate))
	deflate=$(($(vb_vmstat balloon_deflate) - deflate))
	vb_same "vmstat: balloon_inflate - balloon_deflate is actual" \
		$(((inflate - deflate) * vb_page)) "$actual"
}

test_meminfo()
{
	if vb_shrinks_total; then
		vb_same "MemTotal is less by actual" \
			$((total - $(vb_meminfo MemTotal))) "$actual"
	else
		vb_same "MemTotal is as before (DEFLATE_ON_OOM)" \
			"$(vb_meminfo MemTotal)" "$total"
	fi
	vb_close "MemFree is less by actual" $((free - $(vb_free))) "$actual"
	if [ -z "$balloon" ]; then
		ktap_test_skip "meminfo: this kernel has no Balloon:"
	else
		vb_same "meminfo: Balloon: is more by actual" \
			$(($(vb_meminfo Balloon) - balloon)) "$actual"
	fi
}

test_traffic()
{
	buffers=$(vb_read stats/buffers)
	kicks=$(vb_read stats/notifications)
	if [ "$actual" = 0 ]; then
		ktap_test_skip "buffers: the host sets no target"
		ktap_test_skip "notifications: the host sets no target"
		ktap_test_skip "actual_writes: the host sets no target"
		return
	fi
	# 2 MiB of PFNs, a block or single pages; or up to 32 blocks in ranges
	most=21
	[ "$(vb_read engine)" != range ] || most=26
	vb_result "buffers carried them" [ $((buffers << most)) -ge "$actual" ]
	vb_result "no notification was for nothing" [ "$kicks" -le "$buffers" ]
	vb_result "actual was written" [ "$(vb_read stats/actual_writes)" -ge 1 ]
}

test_statistics()
{
	if vb_feature 1; then
		vb_result "the host has statistics" \
			[ "$(vb_read stats/statistics)" -ge 1 ]
	else
		vb_same "no statistics without STATS_VQ" \
			"$(vb_read stats/statistics)" 0
	fi
}

ktap_print_header
vb_need_bound
ktap_set_plan 12
start
test_driver
test_vmstat
test_meminfo
test_traffic
test_statistics
ktap_finished
