# SPDX-License-Identifier: GPL-2.0
"""Every way in which a device and a driver can be put together."""

from case import not_debug, one_kernel, slow, timeout
from gauge import PAGE, boot, close, free, held, move, noise
from guest import MIB


VERSION_1, RING_PACKED = 32, 34     # feature bits


def exact(ctx, **device):
    """Down, up, statistics; returns the features that were agreed on, "0" or "1"
    for each bit."""
    with boot(ctx, 256, **device) as g:
        g.insmod()
        total, before = g.meminfo()["MemTotal"], free(g)
        g.stats(1)
        for size in (g.mem - 96 * MIB, g.mem - 56 * MIB + 3 * PAGE, g.mem):
            move(g, size)
            assert g.meminfo()["MemTotal"] == total - held(g) == total - (g.mem - size)
            if held(g) == 96 * MIB:
                assert g.ram_rss() <= size
                told = g.poll_stats(fresh=True)
                assert told["stat-total-memory"] == g.meminfo()["MemTotal"], told
        close(free(g), before, noise(g), "free memory")
        features = g.read(g.sysfs() + "/features").strip()
        g.rmmod()
        return features


def test_transport_modern(ctx):
    assert exact(ctx)[VERSION_1] == "1"


@one_kernel
def test_transport_packed(ctx):
    assert exact(ctx, props={"packed": "on"})[RING_PACKED] == "1"


@one_kernel
def test_transport_transitional(ctx):
    """A transitional device, on a PCI slot."""
    assert exact(ctx, balloon="virtio-balloon-pci-transitional")[VERSION_1] == "1"


@not_debug      # pc's interrupt routing takes it too long
def test_transport_legacy(ctx):
    """The device of before virtio 1.0."""
    assert exact(ctx, machine="pc", props={"disable-modern": "on"})[VERSION_1] == "0"


@one_kernel
def test_transport_mmio(ctx):
    """virtio-mmio version 1."""
    assert exact(ctx, machine="microvm", balloon="virtio-balloon-device")[VERSION_1] == "0"


def test_transport_mmio_modern(ctx):
    """virtio-mmio version 2, and packed rings."""
    features = exact(ctx, machine="microvm", balloon="virtio-balloon-device",
                     props={"packed": "on"},
                     extra=["-global", "virtio-mmio.force-legacy=false"])
    assert features[VERSION_1] == features[RING_PACKED] == "1", features


STATS, HINT, POISON, REPORTING = 1, 3, 4, 5
QUEUES = [{"free-page-hint": hint, "free-page-reporting": report, "page-poison": poison}
          for hint in ("on", "off") for report in ("on", "off") for poison in ("on", "off")]


def combined(ctx, props, **device):
    """All that is offered is agreed on, but PAGE_POISON, which this guest does not
    need; and every queue is the one that the host takes it for."""
    props = {**props, **({"iothread": "io0"} if props["free-page-hint"] == "on" else {})}
    features = exact(ctx, props=props, extra=["-object", "iothread,id=io0"], **device)
    for bit, name in ((HINT, "free-page-hint"), (REPORTING, "free-page-reporting")):
        assert features[bit] == ("1" if props[name] == "on" else "0"), (props, features)
    assert features[STATS] == "1" and features[POISON] == "0", (props, features)


@slow
@timeout(480)
def test_transport_queues(ctx):
    """Every combination of the queues that a host may offer, on a modern device."""
    for props in QUEUES:
        combined(ctx, {**props, "disable-legacy": "on"})


@slow
@timeout(300)
@not_debug      # pc's interrupt routing takes it too long
def test_transport_queues_transitional(ctx):
    """The same, beside the ways of before virtio 1.0."""
    for props in QUEUES[::2]:
        combined(ctx, props, machine="pc")


@slow
@timeout(300)
@not_debug
@one_kernel
def test_transport_queues_legacy(ctx):
    """And with no other."""
    for props in QUEUES[::2]:
        combined(ctx, {**props, "disable-modern": "on"}, machine="pc")
