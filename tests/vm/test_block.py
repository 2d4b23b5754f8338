# SPDX-License-Identifier: GPL-2.0
"""2 MiB blocks: in the books, and on both ways to the host."""

import time

from books import Books
from case import needs, oldest_and_newest, slow
from gauge import (BLOCK, BLOCK_ORDER, PAGE, REPORTING, balloon, boot, buddies, close,
                   counters, end, free, go_offline, goals, held, in_blocks, memhog, memory_blocks,
                   most_ballooned, move, noise, offline, said, state, wait_free,
                   wait_state, warm, watch_goals)
from guest import MIB, NOTIFY
from machine import script

INFLATE, DEFLATE, RANGES = 0, 1, 3      # queues
WATCHED = 6             # s
# A line about each of the balloon's vm events that is lower than it was.
BACKWARDS = ('/^balloon_/ { if ($2 < last[$1]) { print $1, last[$1], $2; fflush() } '
             'last[$1] = $2 }')


# ---- the books ----

def books(ctx, args="", **device):
    """To odd sizes, up and down, and away: all who count agree."""
    with boot(ctx, 384, **device) as g:
        g.insmod(args)
        ours = Books(g, warm(g)[0])
        full, half = g.mem, g.mem - 150 * MIB
        for size in (half, half + PAGE, half - 5 * MIB, half + 7 * MIB + 511 * PAGE,
                     full - 5 * MIB - PAGE, full - PAGE, full, half):
            move(g, size)
            ctx.log(f"{size / MIB:.3f} MiB: {in_blocks(g) / MIB} of "
                    f"{held(g) / MIB:.3f} in blocks")
            ours.check()
            # there are enough free blocks: single pages are only what is odd
            g.wait(lambda: held(g) - in_blocks(g) < BLOCK, "blocks", 5)
        close(in_blocks(g), held(g), BLOCK, "blocks")
        g.rmmod()
        assert offline(g) == 0, offline(g)
        wait_free(g, ours.free - noise(g))
        assert g.meminfo()["MemTotal"] == ours.total
        assert g.meminfo().get("Balloon", 0) == 0


def test_block_books_pfn(ctx):
    books(ctx)


def test_block_books_range(ctx):
    books(ctx, props=REPORTING)


# ---- which way they go ----

@oldest_and_newest
def test_block_tables(ctx):
    """The tables that the ring allocates for blocks come from no reserve, and fail
    in silence; on the way back there are none."""
    events = "/sys/kernel/tracing/events/kmem/kmalloc"
    with boot(ctx, 384, props=REPORTING) as g:
        for engine in "pfn", "range":
            g.insmod(f"engine={engine}")
            g.write(f"{events}/enable", "1")
            for size in g.mem - 200 * MIB, g.mem:
                g.write("/sys/kernel/tracing/trace", "")
                move(g, size)
                tables = g.sh("grep -E 'call_site=(alloc_indirect|virtqueue_add)' "
                              "/sys/kernel/tracing/trace", check=False).splitlines()
                ctx.log(f"{engine}, {size // MIB} MiB: {len(tables)} tables, {tables[:1]}")
                assert bool(tables) == (size < g.mem), len(tables)
                for line in tables:
                    assert "GFP_NOWAIT" in line and "GFP_ATOMIC" not in line, line
            g.write(f"{events}/enable", "0")
            g.rmmod()


def way(g, args, engine, inside=200 * MIB):
    """What a move in and out costs: notifications of each queue, and elements."""
    g.insmod(args)
    assert balloon(g, "engine") == engine, balloon(g, "engine")
    parameter = g.read("/sys/module/vballoon/parameters/engine").strip()
    assert parameter == (args.partition("=")[2] or "auto"), parameter
    before = g.notified()
    move(g, g.mem - inside)
    assert in_blocks(g) == inside
    into = g.notified() - before
    elements = counters(g)["buffers"]
    move(g, g.mem)
    time.sleep(0.3)                     # until the host has read it
    out = g.notified() - before - into
    assert sum(into.values()) + sum(out.values()) == counters(g)["notifications"]
    g.rmmod()
    return into, out, elements


def test_block_engine(ctx):
    """Blocks travel as they are told to, where the host can take that."""
    inside = 200 * MIB
    with boot(ctx, 384, props=REPORTING, trace=[NOTIFY]) as g:
        for args in "", "engine=range", "engine=auto":
            into, out, elements = way(g, args, "range")
            ctx.log(f"{args}: {into}, {out}, {elements}")
            assert into[RANGES] and not into[INFLATE] and not into[DEFLATE], into
            assert not out, out
            assert elements <= inside // BLOCK, elements
        into, out, elements = way(g, "engine=pfn", "pfn")
        ctx.log(f"pfn: {into}, {out}, {elements}")
        assert into[INFLATE] and out[DEFLATE] and not into[RANGES] + out[RANGES]
        assert elements == inside // BLOCK, elements     # QEMU reads whole chains
        assert said(g, "takes no ranges") == 0
        for bad in "blocks", "1", "":
            rc, text = g.run(f"insmod /vballoon.ko engine={bad}")
            assert rc and "nvalid" in text, (rc, text)
            assert said(g, f"engine={bad}: give auto, pfn or range") >= 1


@oldest_and_newest
def test_block_engine_none(ctx):
    """A host that takes no ranges gets PFNs, and a wish for ranges a word."""
    inside = 200 * MIB
    props = {"page-poison": "off"}      # such a host may read heads of chains only
    with boot(ctx, 384, props=props, trace=[NOTIFY]) as g:
        for args, words in ("", 0), ("engine=pfn", 0), ("engine=range", 1):
            into, out, elements = way(g, args, "pfn")
            ctx.log(f"{args}: {into}, {out}, {elements}")
            assert into[INFLATE] and out[DEFLATE]
            assert elements == 2 * inside // BLOCK, elements
            assert said(g, "takes no ranges") == words


# ---- memory that goes offline ----

def test_block_offline(ctx):
    """Memory with blocks in it goes offline: the balloon takes others."""
    with boot(ctx, 1024, append="nokaslr") as g:
        g.insmod()
        total, size = g.meminfo()["MemTotal"], g.mem - 400 * MIB
        move(g, size)
        assert in_blocks(g) == held(g)
        block = int(g.read("/sys/devices/system/memory/block_size_bytes"), 16)
        gone = []
        for number in most_ballooned(g):
            if len(gone) == 2:
                break
            inside = memory_blocks(g)[number]
            start = time.monotonic()
            rc = go_offline(g, number)
            ctx.log(f"memory{number} {[n // MIB for n in inside]}: {rc}, "
                    f"{time.monotonic() - start:.1f} s")
            if rc:      # something else is in it
                continue
            gone.append(number)
            g.wait(lambda: held(g) == g.mem - size, "the balloon's size")
            g.wait_actual(size)
            wait_state(g, "idle")
            # (7.x shows what is offline too, as neither)
            assert memory_blocks(g).get(number, (0, 0, 0))[:2] == (0, 0)
            assert offline(g) == held(g), (offline(g), held(g))
            assert g.meminfo()["MemTotal"] == total - len(gone) * block - held(g)
            assert g.ram_rss() <= size
        assert gone, "no memory block could go"
        for number in gone:
            assert go_offline(g, number, "online") == 0
        move(g, g.mem)
        assert g.meminfo()["MemTotal"] == total
        assert offline(g) == 0


@oldest_and_newest
def test_block_broken_up(ctx):
    """A block is broken up: no vm event runs backwards, and what enters less what leaves is held."""
    with boot(ctx, 384, smp=2) as g:
        g.insmod()
        size, left = g.mem - 100 * MIB, 0
        move(g, size)
        assert in_blocks(g) == held(g)
        # pages that enter the balloon one by one take their time
        g.push(script("scripts/module", "--slow", ctx.kernel), "/tmp/slow.ko")
        g.sh("insmod /tmp/slow.ko at=vb_single_join:200:1")
        g.sh(f"cat >/tmp/watch <<'END'\n{BACKWARDS}\nEND")
        before = g.vmstat()
        watch = g.bg("while cat /proc/vmstat; do :; done | awk -f /tmp/watch >/tmp/seen")
        for pages in 1, 511, 1, 512, 511:
            left += pages
            move(g, size + left * PAGE)
            assert offline(g) == held(g)
        g.kill(watch)
        assert g.read("/tmp/seen") == ""
        g.write("/proc/sys/vm/stat_refresh", "1")
        after = g.vmstat()
        entered, went = (after[f"balloon_{way}"] - before[f"balloon_{way}"]
                         for way in ("inflate", "deflate"))
        assert went - entered == left
        assert g.meminfo().get("Balloon", held(g)) == held(g)


# ---- from single pages to blocks ----

def looks_at_rest(g):
    """How often the policy is asked while nobody does anything."""
    watch_goals(g)
    time.sleep(WATCHED)
    return goals(g)


@slow
@oldest_and_newest
def test_block_exchange(ctx):
    """A guest that was fragmented once does not stay so."""
    with boot(ctx, 512) as g:
        g.insmod()
        warm(g)
        # the kernel's own efforts would make free blocks all the time
        g.write("/proc/sys/vm/compaction_proactiveness", "0")
        total, before = g.meminfo()["MemTotal"], free(g)
        job = memhog(g, f"fragment {before // MIB - 60}M")
        size = g.mem - 140 * MIB
        move(g, size)
        whole = in_blocks(g)
        assert whole < 70 * MIB, whole
        # no free block: it looks again, less and less often
        exchanged = counters(g)["exchanged_pages"]
        looks = looks_at_rest(g)
        found = counters(g)["exchanged_pages"] - exchanged
        ctx.log(f"{whole / MIB} MiB in blocks; {looks} looks in {WATCHED} s, "
                f"{found} pages exchanged")
        assert looks <= 8 + 4 * found * PAGE // BLOCK, looks
        exchanged, whole = counters(g)["exchanged_pages"], in_blocks(g)
        end(g, job)
        states = set()

        def done():
            states.add(state(g))
            return held(g) - in_blocks(g) < BLOCK and held(g) == g.mem - size
        g.wait(done, "blocks", 60, poll=0.1)
        g.wait_actual(size)
        count = counters(g)
        ctx.log(f"{in_blocks(g) / MIB} MiB in blocks; {count}")
        assert states == {"idle"}, states
        close((count["exchanged_pages"] - exchanged) * PAGE, in_blocks(g) - whole,
              0, "exchanged")
        g.write("/proc/sys/vm/stat_refresh", "1")
        info = g.meminfo()
        assert info["MemTotal"] == total - held(g), info
        assert info.get("Balloon", held(g)) == held(g), info
        assert offline(g) == held(g)
        assert g.ram_rss() <= size      # the host was told of each
        assert looks_at_rest(g) <= 1, "it finds no rest"
        move(g, g.mem)
        close(free(g), before, noise(g), "free memory")


# ---- not the last ones ----

def nodes_free(g):
    """Free memory of each node, and the part of it in blocks."""
    found = {}
    for node, _, sizes in buddies(g):
        free_now, blocks = found.get(node, (0, 0))
        found[node] = free_now + sum(sizes), blocks + sum(sizes[BLOCK_ORDER:])
    return found


def left(ctx, g, size, node):
    """Shrink a fragmented guest, and grow it again: NODE keeps free blocks, and nobody
    has to make some."""
    free_now, blocks = nodes_free(g)[node]
    # (as the other engine left it, when it is the second's turn: 13.8 % was seen)
    assert blocks > 0.12 * free_now, "not the guest that is wanted"
    before = g.vmstat()

    def at(size, seconds):
        move(g, size)
        time.sleep(seconds)
        free_now, blocks = nodes_free(g)[node]
        moved = g.vmstat()["pgmigrate_success"] - before["pgmigrate_success"]
        ctx.log(f"{in_blocks(g) // MIB} of {held(g) // MIB} MiB in blocks; of free memory "
                f"{blocks / free_now:.1%} is blocks; {moved} pages migrated")
        assert blocks > 0.1 * free_now, (blocks, free_now)
        assert moved < 64, moved
    at(size, WATCHED)
    assert in_blocks(g) > 32 * MIB, in_blocks(g)
    # Stop where all single pages could have left; kcompactd looks twice a second.
    single = (held(g) - in_blocks(g)) // BLOCK * BLOCK
    if single:
        at(size + single, 2)
    at(g.mem, 2)


@slow
@oldest_and_newest
def test_block_left(ctx):
    """A fragmented guest keeps a part of its free blocks, whichever way they go."""
    with boot(ctx, 1024, props=REPORTING) as g:
        job = memhog(g, f"fragment {g.mem * 4 // 5 // MIB}M")
        for engine in "range", "pfn":
            g.insmod(f"engine={engine}")
            left(ctx, g, g.mem * 5 // 8, "0")
            g.rmmod()
        end(g, job)


@oldest_and_newest
def test_block_left_node(ctx):
    """So does each node, though another has more."""
    # the last machine whose nodes need no memory backends of their own
    with boot(ctx, 1024, machine="pc-i440fx-5.0", extra=[
            "-numa", "node,nodeid=0,cpus=0,mem=512M",
            "-numa", "node,nodeid=1,mem=512M"]) as g:
        # (a node's own memory is taken first, and there is one CPU)
        job = memhog(g, "fragment 380M")
        g.insmod()
        left(ctx, g, g.mem - 200 * MIB, "0")
        end(g, job)


@oldest_and_newest
def test_block_share(ctx):
    """Programs in a fragmented guest keep at least half of their huge pages."""
    with boot(ctx, 1024) as g:
        job = memhog(g, "fragment 400M")
        g.insmod()
        free_now, blocks = nodes_free(g)["0"]
        before = blocks / free_now
        move(g, g.mem // 2)
        time.sleep(2)                       # exchanges would follow at once
        free_now, blocks = nodes_free(g)["0"]
        ctx.log(f"{before:.1%} of free memory in blocks, then {blocks / free_now:.1%}; "
                f"{in_blocks(g) // MIB} of {held(g) // MIB} MiB in blocks")
        assert blocks / free_now > before / 2, (blocks, free_now, before)
        # what that leaves for the host: 82 % seen
        assert in_blocks(g) > 0.75 * held(g), in_blocks(g)
        end(g, job)


# ---- in need ----

@oldest_and_newest
def test_block_oom(ctx):
    """With DEFLATE_ON_OOM a job lives on what was in blocks, on either way."""
    inside, more = 150 * MIB, 80 * MIB
    with boot(ctx, 384, props={"deflate-on-oom": "on", **REPORTING}) as g:
        for engine in "range", "pfn":
            g.insmod(f"engine={engine}")
            move(g, g.mem - inside)
            assert in_blocks(g) == inside
            g.sh(f"memhog touch {(free(g) + more) // MIB}M")
            assert g.vmstat()["oom_kill"] == 0
            given = counters(g)["oom_pages"] * PAGE
            ctx.log(f"{engine}: {given / MIB:.1f} MiB given")
            assert more // 2 <= given <= more + 32 * MIB + noise(g), given
            assert held(g) == inside - given == offline(g), (held(g), offline(g))
            g.rmmod()


def kernel_memory(ctx, g, where):
    """The kernel has enough for itself, whatever programs could still have."""
    ctx.log(f"{where}: {in_blocks(g) // MIB} of {held(g) // MIB} MiB in blocks, "
            f"{g.meminfo()['MemAvailable'] // MIB} MiB available")
    g.sh("mkdir /tmp/d && cd /tmp/d && seq 10000 | xargs mkdir", 120)
    ctx.log(f"{g.meminfo()['Slab'] // MIB} MiB of slab")
    assert g.vmstat()["oom_kill"] == 0


@slow
@oldest_and_newest
def test_block_movable_zone(ctx):
    """Blocks come from where the kernel's own memory comes from: some is left there,
    though the guest has more that only programs can use, or their files."""
    disk = ctx.log_dir / "disk"
    with open(disk, "wb") as file:
        file.truncate(500 * MIB)
    with boot(ctx, 768, append="movablecore=576M nokaslr", extra=[
            "-drive", f"file={disk},if=none,id=disk,format=raw",
            "-device", "virtio-blk-pci,drive=disk"]) as g:
        g.insmod()
        move(g, g.mem - 350 * MIB)
        whole = in_blocks(g)
        assert BLOCK <= whole < held(g) // 2
        g.sh("modprobe virtio_blk; modprobe ext4; mke2fs /dev/vda; mkdir /mnt; "
             "mount -t ext4 /dev/vda /mnt; dd if=/dev/zero of=/mnt/file bs=1M count=420", 120)
        time.sleep(WATCHED)
        assert in_blocks(g) == whole, "single pages were exchanged"
        kernel_memory(ctx, g, "with a full cache")


@needs("cma")
def test_block_cma(ctx):
    """The same, of memory that is set aside for devices and lent to programs."""
    # a kernel in the middle would leave no 400 MiB in one piece
    with boot(ctx, 768, append="cma=400M nokaslr") as g:
        g.insmod()
        move(g, g.mem - 300 * MIB)
        assert BLOCK <= in_blocks(g) < held(g) * 3 // 4, (in_blocks(g), held(g))
        kernel_memory(ctx, g, "with CMA")
