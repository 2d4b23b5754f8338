// SPDX-License-Identifier: GPL-2.0
/*
 * How blocks travel: as ranges on the reporting queue, or as PFNs on the
 * inflate queue.
 *
 * Every host takes PFNs.  Ranges need free page reporting (virtio 1.3,
 * 5.5.6.7), and no poison: of a guest that poisons free pages with a pattern,
 * QEMU acknowledges reports without discarding anything.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "wire/wire.h"

/* Blocks in a batch that travels as PFNs: one notification's worth, 8 MiB. */
#define VB_PFN_BLOCKS	(VB_BATCH_PFNS / VB_BUFFER_PFNS)
/*
 * Blocks in a batch that travels as ranges, where the allocator zeroes blocks.
 * Zeroing makes the host give memory to a block.  The host takes that memory
 * back once the batch is full and sent.  If the batch is small, the host is
 * likely to give the next batch the same memory, still in the CPU's cache.
 */
#define VB_WARM_BLOCKS	2U

static const char *const vb_engine_names[] = {
	[VB_ENGINE_AUTO] = "auto",
	[VB_ENGINE_PFN] = "pfn",
	[VB_ENGINE_RANGE] = "range",
};

static enum vb_engine vb_engine_param;

static int vb_engine_set(const char *val, const struct kernel_param *kp)
{
	int i = sysfs_match_string(vb_engine_names, val);

	if (i < 0) {
		pr_err("vballoon: engine=%s: give auto, pfn or range\n", val);
		return i;
	}
	vb_engine_param = i;
	return 0;
}

static int vb_engine_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", vb_engine_names[vb_engine_param]);
}

static const struct kernel_param_ops vb_engine_ops = {
	.set = vb_engine_set,
	.get = vb_engine_get,
};
module_param_cb(engine, &vb_engine_ops, NULL, 0444);
MODULE_PARM_DESC(engine, "how 2 MiB blocks travel: range (on the reporting queue), pfn, or auto (range where that can be)");

/**
 * vb_engine_name() - what a person calls an engine
 * @engine: the engine
 *
 * Context: Any.
 * Return: its name.
 */
const char *vb_engine_name(enum vb_engine engine)
{
	return vb_engine_names[engine];
}

/**
 * vb_engine_choose() - choose how blocks travel
 * @vdev: the device, its features negotiated
 *
 * Warns if the module's parameter asks for ranges and the host takes none.
 *
 * Context: Process context.
 * Return: VB_ENGINE_PFN or VB_ENGINE_RANGE.
 */
enum vb_engine vb_engine_choose(struct virtio_device *vdev)
{
	bool ranges = vb_poison_allows_reports(vdev);

	if (vb_engine_param == VB_ENGINE_RANGE && !ranges)
		dev_warn(&vdev->dev,
			 "engine=range: the host takes no ranges (free page reporting is off, or pages are poisoned); blocks travel as PFNs\n");
	if (vb_engine_param == VB_ENGINE_PFN)
		ranges = false;
	return ranges ? VB_ENGINE_RANGE : VB_ENGINE_PFN;
}

/**
 * vb_engine_blocks() - get the size of a batch of blocks
 * @engine: VB_ENGINE_PFN or VB_ENGINE_RANGE
 *
 * Context: Any.
 * Return: the number of blocks that an inflation puts into one batch.
 */
unsigned int vb_engine_blocks(enum vb_engine engine)
{
	if (engine == VB_ENGINE_PFN)
		return VB_PFN_BLOCKS;
	return vb_pages_come_touched() ? VB_WARM_BLOCKS : VB_BATCH_BLOCKS;
}
