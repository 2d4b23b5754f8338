# SPDX-License-Identifier: GPL-2.0
"""The tags of the statistics, and the same numbers in the guest's own /proc."""

from guest import MIB

KIB = 1024
# Between the guest's own look and the driver's an agent answers and a kernel
# thread runs: a few pages come and go.
SLACK = MIB

TAGS_7_2 = {"swap-in", "swap-out", "major-faults", "minor-faults", "free-memory",
            "total-memory", "available-memory", "disk-caches", "htlb-pgalloc",
            "htlb-pgfail"}
TAGS_10_0 = TAGS_7_2 | {"oom-kills", "alloc-stalls", "async-scans", "direct-scans",
                        "async-reclaims", "direct-reclaims"}


def own(g):
    """The same numbers from the guest's /proc, under the tags' names."""
    info, vm = g.meminfo(), g.vmstat()
    page = 4 * KIB
    return {
        "swap-in": vm["pswpin"] * page,
        "swap-out": vm["pswpout"] * page,
        "major-faults": vm["pgmajfault"],
        "minor-faults": vm["pgfault"],
        "free-memory": info["MemFree"],
        "total-memory": info["MemTotal"],
        "available-memory": info["MemAvailable"],
        "disk-caches": info["Cached"] + info["Buffers"] + info["SwapCached"],
        "htlb-pgalloc": vm["htlb_buddy_alloc_success"],
        "htlb-pgfail": vm["htlb_buddy_alloc_fail"],
        "oom-kills": vm["oom_kill"],
        "alloc-stalls": sum(n for name, n in vm.items() if name.startswith("allocstall_")),
        "async-scans": vm["pgscan_kswapd"] * page,
        "direct-scans": vm["pgscan_direct"] * page,
        "async-reclaims": vm["pgsteal_kswapd"] * page,
        "direct-reclaims": vm["pgsteal_direct"] * page,
    }
