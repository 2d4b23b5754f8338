// SPDX-License-Identifier: GPL-2.0
/*
 * Memory goes offline.  The kernel moves single pages by itself, but cannot move
 * blocks.  So the worker lets the blocks of the range leave the balloon, and
 * then inflates to the target again from other memory.
 */
#include <linux/memory.h>
#include <linux/mm.h>

#include "vballoon.h"

/* The notifier waits this long for the blocks to leave. */
#define VB_OFFLINE_WAIT	(10 * HZ)

static void vb_offline_set(struct vb_device *vb, unsigned long start,
			   unsigned long nr)
{
	spin_lock(&vb->offline.lock);
	WRITE_ONCE(vb->offline.range.start, start);
	WRITE_ONCE(vb->offline.range.end, start + nr);
	spin_unlock(&vb->offline.lock);
}

/**
 * vb_offline_range() - get the range where no block may stay
 * @vb: the device
 * @range: gets the page frames
 *
 * Context: Process context.
 * Return: false if there is no such place.
 */
bool vb_offline_range(struct vb_device *vb, struct vb_range *range)
{
	/* A range missed here is seen next: the notifier kicks the worker. */
	if (READ_ONCE(vb->offline.range.start) == READ_ONCE(vb->offline.range.end))
		return false;
	spin_lock(&vb->offline.lock);
	*range = vb->offline.range;
	spin_unlock(&vb->offline.lock);
	return range->start != range->end;
}

/**
 * vb_offline_done() - let the notifier go on, since no block is left in a range
 * @vb: the device
 * @range: the page frames.  The notifier may wait for another range by now,
 *         which stays as it is
 *
 * Context: Process context.
 */
void vb_offline_done(struct vb_device *vb, const struct vb_range *range)
{
	spin_lock(&vb->offline.lock);
	if (vb->offline.range.start == range->start &&
	    vb->offline.range.end == range->end) {
		WRITE_ONCE(vb->offline.range.start, 0);
		WRITE_ONCE(vb->offline.range.end, 0);
	}
	spin_unlock(&vb->offline.lock);
	wake_up(&vb->offline.wait);
}

static bool vb_offline_wait(struct vb_device *vb)
{
	struct vb_range range;

	return wait_event_timeout(vb->offline.wait,
				  !vb_offline_range(vb, &range) ||
				  vb_worker_stopping(&vb->worker), VB_OFFLINE_WAIT);
}

/*
 * The kernel has isolated the range (offline_pages()), so the allocator does not
 * hand out blocks that are freed there.  The memory hotplug lock allows one
 * offlining at a time.
 */
static int vb_offline_notify(struct notifier_block *nb, unsigned long action,
			     void *data)
{
	struct vb_device *vb = container_of(nb, struct vb_device, offline.nb);
	struct memory_notify *what = data;
	bool gone;

	if (action != MEM_GOING_OFFLINE || vb_worker_stopping(&vb->worker))
		return NOTIFY_OK;
	vb_offline_set(vb, what->start_pfn, what->nr_pages);
	vb_worker_kick(&vb->worker);
	gone = vb_offline_wait(vb);
	vb_offline_set(vb, 0, 0);
	return gone ? NOTIFY_OK : notifier_from_errno(-EBUSY);
}

/**
 * vb_offline_stop() - wake an offlining that waits for blocks to leave
 * @vb: the device, stopping, so that all blocks leave
 *
 * Context: Any.
 */
void vb_offline_stop(struct vb_device *vb)
{
	wake_up(&vb->offline.wait);
}

/**
 * vb_offline_init() - register the notifier
 * @vb: the device
 *
 * Context: May sleep.
 * Return: 0, or the notifier chain's error.
 */
int vb_offline_init(struct vb_device *vb)
{
	spin_lock_init(&vb->offline.lock);
	init_waitqueue_head(&vb->offline.wait);
	vb->offline.nb.notifier_call = vb_offline_notify;
	return register_memory_notifier(&vb->offline.nb);
}

/**
 * vb_offline_exit() - unregister the notifier; it does not run afterwards
 * @vb: the device, stopped
 *
 * Context: May sleep.
 */
void vb_offline_exit(struct vb_device *vb)
{
	unregister_memory_notifier(&vb->offline.nb);
}
