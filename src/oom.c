// SPDX-License-Identifier: GPL-2.0
/*
 * Deflate on OOM: the guest has run out of memory, and the kernel is about to
 * kill a program.
 */
#include <linux/oom.h>

#include "vballoon.h"

/* Guest pages that one call of the notifier gives back: 4 MiB. */
#define VB_OOM_GIFT	((4UL << 20) >> PAGE_SHIFT)
/* Under MUST_TELL_HOST the notifier waits this long for the host. */
#define VB_OOM_WAIT	HZ

/* The worker deflates, since only the worker may use the batches. */
static unsigned long vb_oom_ask(struct vb_device *vb)
{
	long before = atomic_long_read(&vb->transfer.returned);

	if (!vb_store_held(&vb->store) || vb_channel_broken(&vb->channel) ||
	    vb_channel_silent_on(&vb->channel, VB_DEFLATE))
		return 0;
	atomic_long_set(&vb->oom.wanted, VB_OOM_GIFT);
	vb_worker_kick(&vb->worker);
	wait_event_timeout(vb->transfer.wait,
			   atomic_long_read(&vb->transfer.returned) != before ||
			   vb_worker_stopping(&vb->worker), VB_OOM_WAIT);
	atomic_long_set(&vb->oom.wanted, 0);
	return atomic_long_read(&vb->transfer.returned) - before;
}

static unsigned long vb_oom_release(struct vb_device *vb)
{
	unsigned long freed = 0;
	unsigned long nr;

	while (freed < VB_OOM_GIFT) {
		nr = vb_deflate_now(vb, VB_OOM_GIFT - freed);
		if (!nr)
			break;
		freed += nr;
	}
	return freed;
}

static int vb_oom_notify(struct notifier_block *nb, unsigned long unused,
			 void *parm)
{
	struct vb_device *vb = container_of(nb, struct vb_device, oom.nb);
	unsigned long *total = parm;
	unsigned long freed;

	/* Notifiers of a higher priority, like that of hints, freed enough. */
	if (*total >= VB_OOM_GIFT)
		return NOTIFY_OK;
	set_bit(VB_EVENT_OOM, &vb->worker.events);
	freed = vb_must_tell(vb) ? vb_oom_ask(vb) : vb_oom_release(vb);
	vb_counters_add(&vb->counters, VB_OOM_PAGES, freed);
	vb_worker_kick(&vb->worker);
	*total += freed;
	return NOTIFY_OK;
}

/**
 * vb_oom_wanted() - how many pages does an OOM notifier wait for?
 * @vb: the device
 *
 * Context: Any.
 * Return: guest pages; 0 if no notifier waits.
 */
unsigned long vb_oom_wanted(struct vb_device *vb)
{
	return atomic_long_read(&vb->oom.wanted);
}

/**
 * vb_oom_served() - the worker has sent a batch for the notifier
 * @vb: the device
 *
 * Context: The worker.
 */
void vb_oom_served(struct vb_device *vb)
{
	atomic_long_set(&vb->oom.wanted, 0);
}

/**
 * vb_oom_start() - deflate on OOM from now on, if DEFLATE_ON_OOM is negotiated
 * @vb: the device; its queues are open
 *
 * Context: May sleep.
 * Return: 0, or the notifier chain's error.
 */
int vb_oom_start(struct vb_device *vb)
{
	if (!vb_deflates_on_oom(vb))
		return 0;
	vb->oom.nb.notifier_call = vb_oom_notify;
	vb->oom.nb.priority = VB_OOM_PRIORITY;
	return register_oom_notifier(&vb->oom.nb);
}

/**
 * vb_oom_stop() - deflate on OOM no more; no notifier runs afterwards
 * @vb: the device, stopping
 *
 * Context: May sleep.
 */
void vb_oom_stop(struct vb_device *vb)
{
	if (!vb_deflates_on_oom(vb))
		return;
	wake_up(&vb->transfer.wait);
	unregister_oom_notifier(&vb->oom.nb);
}
