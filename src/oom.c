// SPDX-License-Identifier: GPL-2.0
/*
 * The guest has run out of memory, and the kernel is about to kill a program.
 * The policy pauses, so that the balloon does not take what the victim frees.
 * With DEFLATE_ON_OOM the balloon gives memory back instead.  What the worker
 * has in its hand goes back in any case: no host has heard of it.  The kernel calls
 * no notifier if only a cgroup has run out of memory.
 */
#include <linux/oom.h>

#include "vballoon.h"

/* Guest pages that one call of the notifier gives back: 2 MiB. */
#define VB_OOM_GIFT	((2UL << 20) >> PAGE_SHIFT)
/*
 * Under MUST_TELL_HOST the notifier waits this long for the host: the kernel
 * holds oom_lock meanwhile.
 */
#define VB_OOM_WAIT	(HZ / 2)

/* Is nothing that was requested still to come? */
static bool vb_oom_settled(struct vb_device *vb)
{
	return atomic_long_read(&vb->transfer.oom_returned) ==
	       atomic_long_read(&vb->oom.requested);
}

static unsigned long vb_oom_wait(struct vb_device *vb, long before)
{
	atomic_long_t *returned = &vb->transfer.oom_returned;

	if (!wait_event_timeout(vb->transfer.wait,
				atomic_long_read(returned) != before ||
				vb_oom_settled(vb) ||
				vb_worker_stopping(&vb->worker), VB_OOM_WAIT))
		vb->oom.stuck = before;
	return atomic_long_read(returned) - before;
}

/*
 * Ask the worker to deflate, since only the worker may use the batches.  What an
 * earlier call has asked for, and not got, is still to come: this call waits for
 * that, and asks for no more.  If the earlier call has waited in vain, and the
 * host has let nothing go since, this one does not wait at all.
 *
 * Return: guest pages that the host let go while this call waited.
 */
static unsigned long vb_oom_ask(struct vb_device *vb)
{
	long before = atomic_long_read(&vb->transfer.oom_returned);

	if (vb_channel_broken(&vb->channel) ||
	    vb_channel_silent_on(&vb->channel, VB_DEFLATE))
		return 0;
	if (vb_oom_settled(vb)) {
		if (!vb_store_held(&vb->store))
			return 0;
		atomic_long_add(VB_OOM_GIFT, &vb->oom.requested);
	} else if (vb->oom.stuck == before) {
		return 0;
	}
	vb_worker_kick(&vb->worker);
	return vb_oom_wait(vb, before);
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
	vb_counters_add(&vb->counters, VB_OOM_PAGES, freed);
	return freed;
}

static int vb_oom_notify(struct notifier_block *nb, unsigned long unused,
			 void *parm)
{
	struct vb_device *vb = container_of(nb, struct vb_device, oom.nb);
	unsigned long *total = parm;
	unsigned long given = vb_supply_give(&vb->store);

	*total += given;
	/* Notifiers of a higher priority, like that of hints, freed enough. */
	if (!given && *total >= VB_OOM_GIFT)
		return NOTIFY_OK;
	set_bit(VB_EVENT_OOM, &vb->worker.events);
	if (*total < VB_OOM_GIFT && vb_deflates_on_oom(vb))
		*total += vb_must_tell(vb) ? vb_oom_ask(vb) : vb_oom_release(vb);
	vb_worker_kick(&vb->worker);
	return NOTIFY_OK;
}

/**
 * vb_oom_due() - how many pages are still to be sent for OOM notifiers?
 * @vb: the device
 *
 * An empty balloon has none to send, so nobody waits for them any more.
 *
 * Context: The worker.
 * Return: guest pages, above 0 under MUST_TELL_HOST only.
 */
unsigned long vb_oom_due(struct vb_device *vb)
{
	unsigned long due = atomic_long_read(&vb->oom.requested) -
			    vb->transfer.oom_sent;

	if (!due || vb_store_held(&vb->store))
		return due;
	/* No notifier asks for more while some are still to come. */
	atomic_long_sub(due, &vb->oom.requested);
	wake_up(&vb->transfer.wait);
	return 0;
}

/**
 * vb_oom_start() - notice an OOM from now on
 * @vb: the device; its queues are open
 *
 * Context: May sleep.
 * Return: 0, or the notifier chain's error.
 */
int vb_oom_start(struct vb_device *vb)
{
	struct vb_oom *oom = &vb->oom;

	atomic_long_set(&oom->requested,
			atomic_long_read(&vb->transfer.oom_returned));
	oom->stuck = -1;
	oom->nb.notifier_call = vb_oom_notify;
	oom->nb.priority = VB_OOM_PRIORITY;
	return register_oom_notifier(&oom->nb);
}

/**
 * vb_oom_stop() - notice no OOM any more; no notifier runs afterwards
 * @vb: the device, stopping
 *
 * Context: May sleep.
 */
void vb_oom_stop(struct vb_device *vb)
{
	wake_up(&vb->transfer.wait);
	unregister_oom_notifier(&vb->oom.nb);
}
