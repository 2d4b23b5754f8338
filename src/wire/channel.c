// SPDX-License-Identifier: GPL-2.0
/*
 * Batches on their way to the host, and what becomes of them.
 *
 * A batch belongs to the channel from vb_channel_send() until the host has read
 * all of it.  Then the worker collects it, a caller that sleeps for it is
 * woken, or the channel frees it: see enum vb_kind.
 */
#include <linux/jiffies.h>

#include "wire/wire.h"

static struct vb_batchq *vb_channel_queue(struct vb_channel *channel,
					  const struct vb_batch *batch)
{
	if (batch->kind == VB_KIND_REPORT)
		return &channel->queue[VB_RANGES];
	/* The reporting queue says nothing of deflates: those travel as PFNs. */
	if (batch->order && batch->op == VB_INFLATE &&
	    channel->engine == VB_ENGINE_RANGE)
		return &channel->queue[VB_RANGES];
	return &channel->queue[batch->op];
}

/* PFNs for which a queue's buffers have room; see vb_post_pfns(). */
static const unsigned int vb_channel_pfns[VB_NR_BATCHQS] = {
	[VB_INFLATE] = VB_BUFFER_PFNS,
	[VB_DEFLATE] = VB_DESC_PFNS,
	[VB_RANGES] = 0,
};

/* The worker must run again for such a batch; else the sender sleeps for it. */
static bool vb_channel_is_workers(const struct vb_batch *batch)
{
	return batch->kind == VB_KIND_PAGES || batch->kind == VB_KIND_NOTICE;
}

/* Change a count of batches that is read without the lock. */
static void vb_channel_count(unsigned int *count, int batches)
{
	WRITE_ONCE(*count, *count + batches);
}

/* Deflate notices stay in their list, for vb_batch_free_notices(). */
static void vb_channel_settle(struct vb_channel *channel,
			      struct vb_batch *batch)
{
	lockdep_assert_held(&channel->lock);

	vb_channel_count(&channel->unacked[batch->op], -1);
	if (batch->kind == VB_KIND_NOTICE)
		vb_channel_count(&channel->owed, -1);
	else
		list_del_init(&batch->node);
}

static void vb_channel_wake(struct vb_channel *channel, struct vb_batch *batch)
{
	/* Pairs with the acquire in vb_batch_acknowledged(). */
	smp_store_release(&batch->acknowledged, true);
	/* The caller that slept may have freed the batch: do not touch it. */
	wake_up(&channel->wait);
}

/* The host has read all of a batch. */
static void vb_channel_finish(struct vb_channel *channel,
			      struct vb_batch *batch)
{
	enum vb_kind kind = batch->kind;

	vb_channel_settle(channel, batch);
	if (kind == VB_KIND_PAGES)
		list_add_tail(&batch->node, &channel->acked);
	else if (kind != VB_KIND_NOTICE)
		vb_channel_wake(channel, batch);
}

/*
 * The device was reset, so that the host will never read a batch.  Free page
 * reporting is woken, since it has no other way out.  A migration is not: it
 * has left already, because the driver stops.
 */
static void vb_channel_drop(struct vb_channel *channel, struct vb_batch *batch)
{
	enum vb_kind kind = batch->kind;

	vb_channel_settle(channel, batch);
	if (kind == VB_KIND_PAGES)
		vb_channel_count(&channel->owed, -1);
	if (kind == VB_KIND_REPORT)
		vb_channel_wake(channel, batch);
}

/**
 * vb_channel_send() - send a batch
 * @channel: the channel
 * @batch: a batch with at least one run and its operation set, in no list
 *
 * The batch belongs to the channel until the host has read it.  It only waits
 * in a list until vb_channel_pump() posts it.
 *
 * Context: Any; takes the channel lock.
 * Return: false if the queue is closed: the batch still belongs to the caller.
 */
bool vb_channel_send(struct vb_channel *channel, struct vb_batch *batch)
{
	struct vb_batchq *queue = vb_channel_queue(channel, batch);
	unsigned long flags;
	bool open;

	batch->cursor = 0;
	batch->in_flight = 0;
	batch->acknowledged = false;

	spin_lock_irqsave(&channel->lock, flags);
	open = queue->vq;
	if (open) {
		vb_channel_count(&channel->unacked[batch->op], 1);
		if (vb_channel_is_workers(batch))
			vb_channel_count(&channel->owed, 1);
		list_add_tail(&batch->node, &queue->unsent);
	}
	spin_unlock_irqrestore(&channel->lock, flags);
	return open;
}

/**
 * vb_channel_pump() - post unsent batches of all queues while there is room
 * @channel: the channel
 *
 * Sends one notification for each queue at the most.
 *
 * Context: Any; takes the channel lock.  vb_virtqueues_open() and
 * vb_virtqueues_close() do not run at the same time.
 * Return: true if anything was posted.
 */
bool vb_channel_pump(struct vb_channel *channel)
{
	bool posted = false;
	int i;

	for (i = VB_NR_BATCHQS - 1; i >= 0; i--)
		posted |= vb_batchq_pump(channel, &channel->queue[i]);
	return posted;
}

/**
 * vb_channel_reap() - take back the buffers that the host has read
 * @channel: the channel
 *
 * Finishes the batches that the host has read to the end.
 *
 * Context: Any; takes the channel lock.
 * Return: true if a buffer came back.
 */
bool vb_channel_reap(struct vb_channel *channel)
{
	struct vb_batch *batch, *next;
	unsigned int acked = 0;
	unsigned long flags;
	LIST_HEAD(finished);
	int i;

	spin_lock_irqsave(&channel->lock, flags);
	for (i = 0; i < VB_NR_BATCHQS; i++)
		acked += vb_batchq_reap(channel, &channel->queue[i], &finished);
	list_for_each_entry_safe(batch, next, &finished, node)
		vb_channel_finish(channel, batch);
	spin_unlock_irqrestore(&channel->lock, flags);
	vb_batch_free_notices(&finished);

	vb_counters_add(channel->counters, VB_BUFFERS, acked);
	return acked;
}

/**
 * vb_channel_acked() - collect the next acknowledged batch of pages
 * @channel: the channel
 *
 * Context: The worker, or while no worker runs; takes the channel lock.
 * Return: a VB_KIND_PAGES batch, which now belongs to the caller, or NULL.
 */
struct vb_batch *vb_channel_acked(struct vb_channel *channel)
{
	struct vb_batch *batch;
	unsigned long flags;

	spin_lock_irqsave(&channel->lock, flags);
	batch = list_first_entry_or_null(&channel->acked, struct vb_batch, node);
	if (batch) {
		list_del_init(&batch->node);
		vb_channel_count(&channel->owed, -1);
	}
	spin_unlock_irqrestore(&channel->lock, flags);
	return batch;
}

/**
 * vb_channel_release_begin() - announce a notice before its pages are freed
 * @channel: the channel
 *
 * The caller is about to give pages back to the guest.  Until
 * vb_channel_release_end(), vb_channel_deflates_unread() is true.
 *
 * Context: Any.
 */
void vb_channel_release_begin(struct vb_channel *channel)
{
	atomic_inc(&channel->releasing);
}

/**
 * vb_channel_release_end() - end the announcement, since the notice is sent
 * @channel: the channel
 *
 * Context: Any.
 */
void vb_channel_release_end(struct vb_channel *channel)
{
	/* Pairs with the acquire in vb_channel_deflates_unread(). */
	atomic_fetch_sub_release(1, &channel->releasing);
}

/**
 * vb_channel_deflates_unread() - tell whether the host has deflates to read
 * @channel: the channel
 *
 * A page must not be inflated while its deflate is unread: the host may read
 * the two queues in any order, and would end up with the page deflated.  So the
 * caller asks after it has allocated the page.
 *
 * Context: Any.
 * Return: true while a deflate is being sent, or is not acknowledged.
 */
bool vb_channel_deflates_unread(struct vb_channel *channel)
{
	/* Pairs with the release in vb_channel_release_end(). */
	return atomic_read_acquire(&channel->releasing) ||
	       READ_ONCE(channel->unacked[VB_DEFLATE]);
}

/**
 * vb_channel_busy() - tell whether the worker must run again
 * @channel: the channel
 *
 * An acknowledged batch counts until the worker has collected it.  Otherwise it
 * could be lost: the interrupt takes the batch back, the worker finds nothing to
 * wait for and clears vb_worker.awaits, and the interrupt, which reads that
 * next, does not kick the worker.
 *
 * Context: Any.
 * Return: true if a deflate notice is unread, or a VB_KIND_PAGES batch was sent
 * and not returned by vb_channel_acked().
 */
bool vb_channel_busy(struct vb_channel *channel)
{
	return READ_ONCE(channel->owed);
}

/**
 * vb_channel_broken() - tell whether the device broke its protocol, or is gone
 * @channel: the channel
 *
 * Context: Any.  vb_virtqueues_close() does not run at the same time.
 * Return: true if a queue of batches is of no use before the next reset.
 */
bool vb_channel_broken(struct vb_channel *channel)
{
	struct virtqueue *vq;
	int i;

	for (i = 0; i < VB_NR_BATCHQS; i++) {
		vq = READ_ONCE(channel->queue[i].vq);
		if (vq && virtqueue_is_broken(vq))
			return true;
	}
	return false;
}

/**
 * vb_channel_silent_on() - tell whether the host leaves one queue unread
 * @channel: the channel
 * @queue: VB_INFLATE, VB_DEFLATE or VB_RANGES
 *
 * Context: Any; takes the channel lock.
 * Return: true if the host has buffers of that queue and handed none back for
 * VB_SILENT_AFTER.
 */
bool vb_channel_silent_on(struct vb_channel *channel, unsigned int queue)
{
	unsigned long flags;
	bool silent;

	spin_lock_irqsave(&channel->lock, flags);
	silent = vb_batchq_silent(channel, &channel->queue[queue]);
	spin_unlock_irqrestore(&channel->lock, flags);
	return silent;
}

/**
 * vb_channel_silent() - tell whether the host leaves any queue unread
 * @channel: the channel
 *
 * Context: Any; takes the channel lock.
 * Return: true if vb_channel_silent_on() is true for a queue of batches.
 */
bool vb_channel_silent(struct vb_channel *channel)
{
	int i;

	for (i = 0; i < VB_NR_BATCHQS; i++)
		if (vb_channel_silent_on(channel, i))
			return true;
	return false;
}

/**
 * vb_channel_report_room() - get the number of ranges that fit in a report
 * @channel: the channel
 *
 * Context: Any, while the queues are open.
 * Return: ranges; 0 if the host wants no reports.
 */
unsigned int vb_channel_report_room(struct vb_channel *channel)
{
	struct virtqueue *vq = channel->queue[VB_RANGES].vq;
	unsigned int room = vq ? virtqueue_get_vring_size(vq) : 0;

	return min_t(unsigned int, room, PAGE_REPORTING_CAPACITY);
}

/**
 * vb_channel_abandon() - take everything back from a device that has been reset
 * @channel: the channel
 *
 * Afterwards no batch belongs to the channel: deflate notices are freed, and
 * all other batches are in no list and belong to those who sent them.
 *
 * Context: Any.  No worker and no migration runs any more.
 */
void vb_channel_abandon(struct vb_channel *channel)
{
	struct vb_batch *batch, *next;
	unsigned long flags;
	LIST_HEAD(dropped);
	int i;

	for (i = 0; i < VB_NR_BATCHQS; i++) {
		spin_lock_irqsave(&channel->lock, flags);
		vb_batchq_close(channel, &channel->queue[i], &dropped);
		list_for_each_entry_safe(batch, next, &dropped, node)
			vb_channel_drop(channel, batch);
		spin_unlock_irqrestore(&channel->lock, flags);
		vb_batch_free_notices(&dropped);
	}
	while (vb_channel_acked(channel))
		;
	vb_statsq_abandon(channel);
}

/**
 * vb_channel_init() - prepare the channel, and allocate all buffers
 * @channel: the channel, zeroed
 * @vdev: the device
 * @counters: counts buffers and notifications
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_channel_exit() is due either way.
 */
int vb_channel_init(struct vb_channel *channel, struct virtio_device *vdev,
		    struct vb_counters *counters)
{
	int rc = 0;
	int i;

	spin_lock_init(&channel->lock);
	channel->vdev = vdev;
	channel->counters = counters;
	init_waitqueue_head(&channel->wait);
	INIT_LIST_HEAD(&channel->acked);
	atomic_set(&channel->releasing, 0);
	for (i = 0; i < VB_NR_BATCHQS; i++)
		rc = vb_batchq_init(&channel->queue[i],
				    vb_channel_pfns[i]) ?: rc;
	return rc;
}

/**
 * vb_channel_exit() - free what vb_channel_init() took
 * @channel: the channel, abandoned
 *
 * Context: Any.
 */
void vb_channel_exit(struct vb_channel *channel)
{
	int i;

	for (i = 0; i < VB_NR_BATCHQS; i++)
		vb_batchq_exit(&channel->queue[i]);
}
