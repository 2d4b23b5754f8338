# SPDX-License-Identifier: GPL-2.0
"""What an inflation leaves free: on each node, and where reclaim does not deliver."""

import re
import time

from case import oldest_and_newest
from gauge import boot, buddies, counters, end, free, held, in_blocks, memhog, move, wait_state
from guest import MIB

NODE = 1024             # MiB
CLOSE = 0.9             # what the one node has free, of what the other has: 0.97 to 0.99
                        # seen; without levels 0.04
JOB = 10                # MiB that a program takes
LIVES = 30              # programs, one after the other
FLOOR = 16 * MIB        # what an inflation leaves free
BOUND = "echo $$ >/cg/job/cgroup.procs && exec"


def two_nodes(ctx):
    # the last machine whose nodes need no memory backends of their own
    return boot(ctx, 2 * NODE, machine="pc-i440fx-5.0", extra=[
        "-numa", f"node,nodeid=0,cpus=0,mem={NODE}M", "-numa", f"node,nodeid=1,mem={NODE}M"])


def nodes(g):
    """Free memory of each node."""
    found = {}
    for node, _, sizes in buddies(g):
        found[node] = found.get(node, 0) + sum(sizes)
    return found


def level(ctx, g, what):
    """The nodes have the same left."""
    found = nodes(g)
    ctx.log(f"{what}: {[size // MIB for size in found.values()]} MiB free")
    assert min(found.values()) > CLOSE * max(found.values()), found


def cgroup(g, controller, setting, value):
    """A cgroup for jobs that are BOUND to it."""
    g.sh("mkdir /cg && mount -t cgroup2 cgroup /cg && mkdir /cg/job && "
         f"echo +{controller} >/cg/cgroup.subtree_control && "
         f"echo {value} >/cg/job/{setting}")


def reclaimed(g):
    """How much reclaim has looked at, and how often a program had to do it."""
    return sum(count for name, count in g.vmstat().items()
               if re.match("pgscan_(kswapd|direct)$|allocstall", name))


@oldest_and_newest
def test_node_shares(ctx):
    """Blocks and single pages come from both nodes; a job that is bound to one of them
    has its half, and nobody reclaims."""
    with two_nodes(ctx) as g:
        g.insmod()
        before = reclaimed(g)
        move(g, 1100 * MIB)
        level(ctx, g, "blocks")
        g.sh("modprobe lzo-rle; modprobe zram && echo 512M >/sys/block/zram0/disksize && "
             "mkswap /dev/zram0 && swapon /dev/zram0")
        cgroup(g, "cpuset", "cpuset.mems", 0)
        for node in 0, 1:
            g.write("/cg/job/cpuset.mems", f"{node}")
            g.sh(f"sh -c '{BOUND} memhog touch 380M'")
        assert g.vmstat()["pswpout"] == 0
        assert reclaimed(g) == before, reclaimed(g) - before
        move(g, g.mem)
        # what is free now is in pieces
        job = memhog(g, f"fragment {free(g) // MIB - 100}M")
        move(g, g.mem - 500 * MIB)
        assert in_blocks(g) < held(g) // 2, in_blocks(g)
        level(ctx, g, "single pages")
        end(g, job)


@oldest_and_newest
def test_node_protected(ctx):
    """Memory that is available and cannot be had: enough stays free for programs. When
    it can be had, the host gets it."""
    disk = ctx.log_dir / "disk"
    with open(disk, "wb") as file:
        file.truncate(400 * MIB)
    with boot(ctx, 512, extra=["-drive", f"file={disk},if=none,id=disk,format=raw",
                               "-device", "virtio-blk-pci,drive=disk"]) as g:
        g.insmod()
        cgroup(g, "memory", "memory.min", "280M")
        g.sh("modprobe virtio_blk; modprobe ext4; mke2fs /dev/vda && mkdir /mnt && "
             "mount -t ext4 /dev/vda /mnt && dd if=/dev/zero of=/mnt/file bs=1M count=300 && "
             "sync && echo 3 >/proc/sys/vm/drop_caches && "
             f"sh -c '{BOUND} cat /mnt/file >/dev/null'", 120)
        g.set_balloon(180 * MIB)
        for _ in range(LIVES):
            g.sh(f"memhog touch {JOB}M")
            time.sleep(0.1)
        wait_state(g, "limited")
        count = counters(g)
        ctx.log(f"{held(g) // MIB} MiB; {free(g) // MIB} MiB free; {count}")
        assert g.vmstat()["oom_kill"] == 0
        assert free(g) > FLOOR, free(g)
        assert held(g) > 64 * MIB, held(g)
        g.write("/cg/job/memory.min", "0")
        move(g, 181 * MIB)
