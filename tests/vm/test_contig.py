# SPDX-License-Identifier: GPL-2.0
"""Somebody wants memory that blocks of the balloon lie in (alloc_contig_range())."""

from gauge import held, in_blocks, wait_state
from guest import MIB

VMEM = "/machine/peripheral/vmem0"
PLUGGED = 512 * MIB
INSIDE = 240 * MIB
# What virtio-mem cannot have for other reasons: 2 to 4 MiB, as with the in-tree driver.
STUCK = 32 * MIB


def plugged(g):
    return g.qmp("qom-get", path=VMEM, property="size")


def ask(g, size):
    g.qmp("qom-set", path=VMEM, property="requested-size", value=size)


def test_contig_unplug(ctx):
    """virtio-mem unplugs memory with blocks in it: the balloon takes others.

    Compaction, which wants no range, leaves the blocks alone.
    """
    extra = ["-m", f"maxmem={2 * PLUGGED // MIB + 256}M,slots=1",
             "-object", f"memory-backend-ram,id=vmem,size={PLUGGED}",
             "-device", "virtio-mem-pci,id=vmem0,memdev=vmem,block-size=2M,"
                        f"requested-size={PLUGGED}"]
    with ctx.guest(mem=768 if ctx.debug else 512, extra=extra,
                   append="nokaslr memhp_default_state=online_kernel") as g:
        g.sh("modprobe virtio_mem")
        g.wait(lambda: plugged(g) == PLUGGED, "virtio-mem's memory", 60)
        g.insmod()
        total = g.meminfo()["MemTotal"] - INSIDE
        g.set_balloon(g.mem - INSIDE)
        g.wait(lambda: in_blocks(g) == held(g) == INSIDE, "the balloon")
        g.write("/proc/sys/vm/compact_memory", "1")
        assert in_blocks(g) == held(g) == INSIDE, (in_blocks(g), held(g))
        before = g.vmstat()
        ask(g, 0)
        g.wait(lambda: plugged(g) <= STUCK, "the unplugging", 60)
        g.wait(lambda: held(g) == INSIDE, "the balloon's size")
        ask(g, plugged(g))
        wait_state(g, "idle")
        after = g.vmstat()
        moved = {name: after[name] - before[name] for name in ("balloon_inflate",
                                                               "balloon_deflate")}
        left = plugged(g)
        ctx.log(f"{left // MIB} MiB stay; {moved} pages")
        assert moved["balloon_inflate"] == moved["balloon_deflate"] > 0, moved
        assert g.actual() == g.mem - INSIDE, g.actual()
        # whatever left and came, the sizes are exact
        g.write("/proc/sys/vm/stat_refresh", "1")
        info = g.meminfo()
        assert info["MemTotal"] == total - PLUGGED + left, (info, left)
        assert info.get("Balloon", INSIDE) == INSIDE, info
        g.set_balloon(g.mem)
        g.wait(lambda: held(g) == 0, "the balloon's end")
        assert g.meminfo().get("Balloon", 0) == 0
        g.rmmod()
