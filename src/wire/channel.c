// SPDX-License-Identifier: GPL-2.0
/*
 * Batches on their way to the host, and what becomes of them.
 *
 * A batch is sent once and belongs to the channel until the host has read all
 * of it; then it goes where its kind says.
 */
#include <linux/jiffies.h>

#include "wire/batchq.h"

static struct vb_batchq *vb_channel_queue(struct vb_channel *channel,
					  const struct vb_batch *batch)
{
	if (batch->kind == VB_KIND_REPORT)
		return &channel->queue[VB_RANGES];
	/* Ranges have no queue for the way back. */
	if (batch->order && batch->op == VB_INFLATE &&
	    channel->engine == VB_ENGINE_RANGE)
		return &channel->queue[VB_RANGES];
	return &channel->queue[batch->op];
}

/* The worker looks after these; others are waited for where they were sent. */
static bool vb_batch_is_workers(const struct vb_batch *batch)
{
	return batch->kind == VB_KIND_PAGES || batch->kind == VB_KIND_NOTICE;
}

static void vb_batch_settle(struct vb_channel *channel, struct vb_batch *batch)
{
	lockdep_assert_held(&channel->lock);

	list_del_init(&batch->node);
	channel->unacked[batch->op]--;
	if (batch->kind == VB_KIND_NOTICE) {
		channel->owed--;
		free_page((unsigned long)batch);
	}
}

static void vb_batch_wake(struct vb_channel *channel, struct vb_batch *batch)
{
	/* Pairs with the acquire in vb_batch_acknowledged(). */
	smp_store_release(&batch->acknowledged, true);
	/* The batch may be gone from here on. */
	wake_up(&channel->wait);
}

/* The host has read all of a batch. */
static void vb_batch_finish(struct vb_channel *channel, struct vb_batch *batch)
{
	enum vb_kind kind = batch->kind;

	vb_batch_settle(channel, batch);
	if (kind == VB_KIND_PAGES)
		list_add_tail(&batch->node, &channel->acked);
	else if (kind != VB_KIND_NOTICE)
		vb_batch_wake(channel, batch);
}

/*
 * The host will never read a batch: it has been reset.  Whoever waits for a
 * report may go on; a migration finds the driver stopping.
 */
static void vb_batch_drop(struct vb_channel *channel, struct vb_batch *batch)
{
	enum vb_kind kind = batch->kind;

	vb_batch_settle(channel, batch);
	if (kind == VB_KIND_PAGES)
		channel->owed--;
	if (kind == VB_KIND_REPORT)
		vb_batch_wake(channel, batch);
}

/**
 * vb_channel_send() - send a batch
 * @channel: the channel
 * @batch: a batch with at least one run and its operation set, in no list
 *
 * The batch is the channel's until it is acknowledged.  Posts nothing: that is
 * vb_channel_pump().
 *
 * Context: Any.
 * Return: false if the queue is gone: the batch stays the caller's.
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
		channel->unacked[batch->op]++;
		if (vb_batch_is_workers(batch))
			channel->owed++;
		list_add_tail(&batch->node, &queue->unsent);
	}
	spin_unlock_irqrestore(&channel->lock, flags);
	return open;
}

/**
 * vb_channel_pump() - post what is unsent, as far as the bounds allow
 * @channel: the channel
 *
 * One notification a queue at the most.
 *
 * Context: Any but under the channel lock; not while the queues come or go.
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
 * vb_channel_reap() - take back what the host has read
 * @channel: the channel
 *
 * Context: Any.
 * Return: true if anything came back.
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
		vb_batch_finish(channel, batch);
	spin_unlock_irqrestore(&channel->lock, flags);

	vb_counters_add(channel->counters, VB_BUFFERS, acked);
	return acked;
}

/**
 * vb_channel_acked() - the next acknowledged batch of pages
 * @channel: the channel
 *
 * Context: Any.
 * Return: a VB_KIND_PAGES batch, now the caller's, or NULL.
 */
struct vb_batch *vb_channel_acked(struct vb_channel *channel)
{
	struct vb_batch *batch;
	unsigned long flags;

	spin_lock_irqsave(&channel->lock, flags);
	batch = list_first_entry_or_null(&channel->acked, struct vb_batch, node);
	if (batch) {
		list_del_init(&batch->node);
		channel->owed--;
	}
	spin_unlock_irqrestore(&channel->lock, flags);
	return batch;
}

/**
 * vb_channel_release_begin() - pages will be in use before their deflate is sent
 * @channel: the channel
 *
 * Context: Any.
 */
void vb_channel_release_begin(struct vb_channel *channel)
{
	atomic_inc(&channel->releasing);
}

/**
 * vb_channel_release_end() - and now it is sent
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
 * vb_channel_deflates_unread() - does the host still have deflates to read?
 * @channel: the channel
 *
 * As long as it does, none of the pages in them may be inflated again: the two
 * queues are not ordered.  Ask after the page was allocated.
 *
 * Context: Any.
 * Return: true if a deflate was sent, or is about to be, and is not
 * acknowledged.
 */
bool vb_channel_deflates_unread(struct vb_channel *channel)
{
	/* Pairs with the release in vb_channel_release_end(). */
	return atomic_read_acquire(&channel->releasing) ||
	       READ_ONCE(channel->unacked[VB_DEFLATE]);
}

/**
 * vb_channel_busy() - is there more to come for the worker?
 * @channel: the channel
 *
 * What the host has acknowledged counts until the worker has collected it: the
 * interrupt that was to say so may find the worker on its way to bed.
 *
 * Context: Any.
 * Return: true if something of the worker's is not acknowledged, or is, but
 * vb_channel_acked() has not returned it.
 */
bool vb_channel_busy(struct vb_channel *channel)
{
	return READ_ONCE(channel->owed);
}

/**
 * vb_channel_broken() - has the device broken its protocol, or gone?
 * @channel: the channel, its queues open
 *
 * Context: Any.
 * Return: true if nothing can be sent before the next reset.
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
 * vb_channel_silent_on() - has the host not read one queue for too long?
 * @channel: the channel
 * @queue: VB_INFLATE, VB_DEFLATE or VB_RANGES
 *
 * Context: Any.
 * Return: true if VB_SILENT_AFTER has passed since it last did.
 */
bool vb_channel_silent_on(struct vb_channel *channel, unsigned int queue)
{
	return vb_batchq_silent(&channel->queue[queue]);
}

/**
 * vb_channel_silent() - has the host not answered for too long?
 * @channel: the channel
 *
 * Context: Any.
 * Return: true if there is a queue of batches that it has something of, and has
 * not read for VB_SILENT_AFTER.
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
 * vb_channel_report_room() - how many ranges fit in a report?
 * @channel: the channel
 *
 * Context: Any.
 * Return: 0 if the host wants no reports.
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
 * Afterwards no batch is the channel's: deflate notices are gone, acknowledged
 * batches are in no list, and all others are their owners'.
 *
 * Context: Any.  No worker or migration runs any more.
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
			vb_batch_drop(channel, batch);
		spin_unlock_irqrestore(&channel->lock, flags);
	}
	while (vb_channel_acked(channel))
		;
	vb_statsq_abandon(channel);
}

/**
 * vb_channel_init() - prepare the channel; takes all memory that it needs
 * @channel: the channel
 * @vdev: the device
 * @counters: where it counts
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
		rc = vb_batchq_init(&channel->queue[i], i != VB_RANGES) ?: rc;
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
