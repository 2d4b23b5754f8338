# SPDX-License-Identifier: GPL-2.0
"""What scripts/style refuses: each rule of the house, broken in a copy of it."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from case import one_kernel, timeout
from machine import TOP

ABI = "Documentation/ABI/testing/sysfs-driver-vballoon"

# what is written, where, and what each checker then says of it
BROKEN = (
    ("doors", "src/worker.c", "#include \"vballoon.h\"\n",
     "#include \"vballoon.h\"\n#include \"wire/batchq.h\"\n",
     "src/worker.c:11: includes wire/batchq.h: that is a header for the rooms of wire alone"),
    ("doors", "src/store/spare.c", "#include \"store/store.h\"\n",
     "#include \"store/store.h\"\n#include \"wire/wire.h\"\n",
     "store and wire do not know each other"),
    ("doors", "src/wire/engine.c", "#include \"wire/wire.h\"\n",
     "#include \"wire/wire.h\"\n#include \"vballoon.h\"\n",
     "no arrow runs up: wire does not know top"),
    ("doors", "src/policy.c", "#include \"policy.h\"\n",
     "#include \"policy.h\"\n#include \"batch.h\"\n", "compiled in user space"),
    ("doors", "src/oom.c", "\treturn freed;\n", "\tvirtqueue_kick(NULL);\n\treturn freed;\n",
     "virtqueue_kick: only wire/ works on virtqueues"),
    ("doors", "src/state.c", "void vb_state_set(", "void vb_set_state(",
     "vb_set_state(): what others call begins with vb_state_"),
    ("doors", "src/state.h", "#endif\n", "\n" * 200 + "#endif\n", "a door shows what others need"),
    ("stairs", "src/transfer.c", "\tlist_add(&batch->node, &vb->transfer.idle);\n",
     "\tvb_migrate_settle(vb);\n", "transfer.c -> migrate.c: vb_migrate_settle"),
    ("stairs", "src/store/store.c", "\tstore->adjust = adjust;\n",
     "\tvb_channel_silent(NULL);\n", "calls vb_channel_silent of wire/channel.c"),
    ("tables", "src/counters.h", "shortages)", "shortfalls)",
     "balloon/stats/ does not explain shortfalls"),
    ("tables", "src/state.h", "\"silent\"", "\"mute\"", "explains silent, which src/state.h"),
    ("tables", ABI, "\t\toom      the", "\t\tkilled   the",
     "balloon/limited_by does not explain oom"),
)


def copy(to):
    for path in ("src", "scripts/style.d", "Documentation/ABI"):
        shutil.copytree(TOP / path, to / path,
                        ignore=shutil.ignore_patterns("*.o", "*.mod*", ".*.cmd"))


def run(house, checker):
    """(exit code, what it says) of a checker in a copy of the house."""
    done = subprocess.run([house / f"scripts/style.d/{checker}.py"], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


@one_kernel
@timeout(60)
def test_style_house(ctx):
    """Each rule of src/'s floors, doors and tables is broken once, and told by name."""
    with tempfile.TemporaryDirectory() as folder:
        house = Path(folder)
        copy(house)
        for checker in ("doors", "stairs", "tables"):
            assert run(house, checker) == (0, ""), run(house, checker)
        for checker, path, before, after, says in BROKEN:
            file = house / path
            text = file.read_text(encoding="ascii")
            assert before in text, (path, before)
            file.write_text(text.replace(before, after, 1), encoding="ascii")
            rc, output = run(house, checker)
            ctx.log(f"{path}: {output}")
            assert rc == 1 and says in output, (rc, output, says)
            file.write_text(text, encoding="ascii")
