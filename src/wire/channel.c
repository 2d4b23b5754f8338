// SPDX-License-Identifier: GPL-2.0
/*
 * How memory travels: the device's queues, and what is on its way on them.
 *
 * A batch is sent once and belongs to the channel until the host has read all
 * of it; then it goes where its kind says.
 */
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "vballoon.h"

static struct vb_line *vb_channel_line(struct vb_device *vb,
				       const struct vb_batch *batch)
{
	if (batch->kind == VB_KIND_REPORT)
		return &vb->channel.line[VB_LINE_RANGES];
	/* Ranges have no queue for the way back. */
	if (batch->order && batch->op == VB_INFLATE &&
	    vb->engine == VB_ENGINE_RANGE)
		return &vb->channel.line[VB_LINE_RANGES];
	return &vb->channel.line[batch->op];
}

/* The worker looks after these; others are waited for where they were sent. */
static bool vb_batch_is_workers(const struct vb_batch *batch)
{
	return batch->kind == VB_KIND_PAGES || batch->kind == VB_KIND_ADVICE;
}

static void vb_batch_settle(struct vb_channel *channel, struct vb_batch *batch)
{
	lockdep_assert_held(&channel->lock);

	list_del_init(&batch->node);
	channel->pending[batch->op]--;
	if (batch->kind == VB_KIND_ADVICE) {
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

/**
 * vb_channel_finish() - the host has read all of a batch
 * @channel: the channel
 * @batch: the batch
 *
 * Context: Under the channel lock.
 */
void vb_channel_finish(struct vb_channel *channel, struct vb_batch *batch)
{
	enum vb_kind kind = batch->kind;

	lockdep_assert_held(&channel->lock);

	vb_batch_settle(channel, batch);
	if (kind == VB_KIND_PAGES)
		list_add_tail(&batch->node, &channel->acked);
	else if (kind != VB_KIND_ADVICE)
		vb_batch_wake(channel, batch);
}

/**
 * vb_channel_drop() - the host will never read a batch: it has been reset
 * @channel: the channel
 * @batch: the batch
 *
 * Whoever waits for a report may go on; a migration finds the driver stopping.
 *
 * Context: Under the channel lock.
 */
void vb_channel_drop(struct vb_channel *channel, struct vb_batch *batch)
{
	enum vb_kind kind = batch->kind;

	lockdep_assert_held(&channel->lock);

	vb_batch_settle(channel, batch);
	if (kind == VB_KIND_PAGES)
		channel->owed--;
	if (kind == VB_KIND_REPORT)
		vb_batch_wake(channel, batch);
}

/**
 * vb_channel_send() - send a batch
 * @vb: the device
 * @batch: a batch with at least one run and its operation set, in no list
 *
 * The batch is the channel's until it is acknowledged.  Posts nothing: that is
 * vb_channel_pump().
 *
 * Context: Any.
 * Return: false if the queue is gone: the batch stays the caller's.
 */
bool vb_channel_send(struct vb_device *vb, struct vb_batch *batch)
{
	struct vb_line *line = vb_channel_line(vb, batch);
	struct vb_channel *channel = &vb->channel;
	unsigned long flags;
	bool open;

	batch->posted = 0;
	batch->flying = 0;
	batch->acknowledged = false;

	spin_lock_irqsave(&channel->lock, flags);
	open = line->vq;
	if (open) {
		channel->pending[batch->op]++;
		if (vb_batch_is_workers(batch))
			channel->owed++;
		list_add_tail(&batch->node, &line->unsent);
	}
	spin_unlock_irqrestore(&channel->lock, flags);
	return open;
}

/**
 * vb_channel_report() - tell the host of free pages and wait until it has read it
 * @vb: the device
 * @sg: the pages, as ranges that end with a mark
 * @nents: how many ranges
 *
 * Free pages are nobody's while the host has them, so there is no way out
 * before it has answered or was reset.  vb_channel_abandon() ends the wait.
 *
 * Context: Process context; sleeps, idle, for as long as the host likes.
 * Return: 0; -EBUSY, -EIO or -ENODEV when the host does not know.
 */
int vb_channel_report(struct vb_device *vb, struct scatterlist *sg,
		      unsigned int nents)
{
	struct vb_batch batch;

	if (vb_worker_stopping(&vb->worker))
		return -ENODEV;
	if (vb_channel_broken(vb))
		return -EIO;
	if (vb_line_silent(&vb->channel.line[VB_LINE_RANGES]))
		return -EBUSY;

	vb_batch_init(&batch, VB_KIND_REPORT, nents, NULL);
	batch.op = VB_INFLATE;
	batch.sg = sg;
	batch.nr = nents;
	if (!vb_channel_send(vb, &batch))
		return -ENODEV;
	for (;;) {
		/* Again, if there was no room: the worker may be frozen. */
		vb_channel_pump(vb);
		if (vb_channel_reap(vb))
			vb_worker_answered(&vb->worker);
		if (wait_event_idle_timeout(vb->channel.wait,
					    vb_batch_acknowledged(&batch),
					    VB_SILENT_AFTER))
			break;
		/* It says what we wait for. */
		vb_worker_kick(&vb->worker);
	}
	/* Nor is it known to a host that was reset. */
	return vb_worker_stopping(&vb->worker) ? -ENODEV : 0;
}

/**
 * vb_channel_pump() - post what is unsent, as far as the bounds allow
 * @vb: the device
 *
 * One notification a queue at the most.
 *
 * Context: Any but under the channel lock; not while the queues come or go.
 * Return: true if anything was posted.
 */
bool vb_channel_pump(struct vb_device *vb)
{
	bool posted = false;
	int i;

	for (i = VB_NR_LINES - 1; i >= 0; i--)
		posted |= vb_line_pump(vb, &vb->channel.line[i]);
	return posted;
}

/**
 * vb_channel_reap() - take back what the host has read
 * @vb: the device
 *
 * Context: Any.
 * Return: true if anything came back.
 */
bool vb_channel_reap(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
	unsigned int acked = 0;
	unsigned long flags;
	int i;

	spin_lock_irqsave(&channel->lock, flags);
	for (i = 0; i < VB_NR_LINES; i++)
		acked += vb_line_reap(channel, &channel->line[i]);
	spin_unlock_irqrestore(&channel->lock, flags);

	vb_counters_add(&vb->counters, VB_BUFFERS, acked);
	return acked;
}

/**
 * vb_channel_acked() - the next acknowledged batch of pages
 * @vb: the device
 *
 * Context: Any.
 * Return: a VB_KIND_PAGES batch, now the caller's, or NULL.
 */
struct vb_batch *vb_channel_acked(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
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
 * @vb: the device
 *
 * Context: Any.
 */
void vb_channel_release_begin(struct vb_device *vb)
{
	atomic_inc(&vb->channel.releasing);
}

/**
 * vb_channel_release_end() - and now it is sent
 * @vb: the device
 *
 * Context: Any.
 */
void vb_channel_release_end(struct vb_device *vb)
{
	/* Pairs with the acquire in vb_channel_advising(). */
	atomic_fetch_sub_release(1, &vb->channel.releasing);
}

/**
 * vb_channel_advising() - does the host still have deflates to read?
 * @vb: the device
 *
 * As long as it does, none of the pages in them may be inflated again: the two
 * queues are not ordered.  Ask after the page was allocated.
 *
 * Context: Any.
 * Return: true if a deflate was sent, or is about to be, and is not
 * acknowledged.
 */
bool vb_channel_advising(struct vb_device *vb)
{
	/* Pairs with the release in vb_channel_release_end(). */
	return atomic_read_acquire(&vb->channel.releasing) ||
	       READ_ONCE(vb->channel.pending[VB_DEFLATE]);
}

/**
 * vb_channel_busy() - is there more to come for the worker?
 * @vb: the device
 *
 * What the host has acknowledged counts until the worker has collected it: the
 * interrupt that was to say so may find the worker on its way to bed.
 *
 * Context: Any.
 * Return: true if something of the worker's is not acknowledged, or is, but
 * vb_channel_acked() has not returned it.
 */
bool vb_channel_busy(struct vb_device *vb)
{
	return READ_ONCE(vb->channel.owed);
}

/**
 * vb_channel_broken() - has the device broken its protocol, or gone?
 * @vb: the device; its queues are open
 *
 * Context: Any.
 * Return: true if nothing can be sent before the next reset.
 */
bool vb_channel_broken(struct vb_device *vb)
{
	struct virtqueue *vq;
	int i;

	for (i = 0; i < VB_NR_LINES; i++) {
		vq = READ_ONCE(vb->channel.line[i].vq);
		if (vq && virtqueue_is_broken(vq))
			return true;
	}
	return false;
}

/**
 * vb_channel_silent() - has the host not answered for too long?
 * @vb: the device
 *
 * Context: Any.
 * Return: true if it has not on any of the queues that it has something of.
 */
bool vb_channel_silent(struct vb_device *vb)
{
	int i;

	for (i = 0; i < VB_NR_LINES; i++)
		if (vb_line_silent(&vb->channel.line[i]))
			return true;
	return vb_hint_silent(vb);
}

/**
 * vb_channel_abandon() - take everything back from a device that has been reset
 * @vb: the device
 *
 * Afterwards no batch is the channel's: advice is gone, acknowledged batches
 * are in no list, and all others are their owners'.
 *
 * Context: Any.  No worker or migration runs any more.
 */
void vb_channel_abandon(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
	int i;

	for (i = 0; i < VB_NR_LINES; i++)
		vb_line_close(channel, &channel->line[i]);
	while (vb_channel_acked(vb))
		;
	if (channel->stats_vq)
		virtqueue_detach_unused_buf(channel->stats_vq);
	channel->stats_vq = NULL;
}

/**
 * vb_channel_init() - prepare the channel; all its memory is taken here
 * @vb: the device
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_channel_exit() is due either way.
 */
int vb_channel_init(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
	int rc = 0;
	int i;

	spin_lock_init(&channel->lock);
	init_waitqueue_head(&channel->wait);
	INIT_LIST_HEAD(&channel->acked);
	atomic_set(&channel->releasing, 0);
	for (i = 0; i < VB_NR_LINES; i++)
		rc |= vb_line_init(&channel->line[i], i != VB_LINE_RANGES);
	BUILD_BUG_ON(sizeof(struct virtio_balloon_stat) != 10);
	channel->stats = kcalloc(VB_STATS_MAX, sizeof(*channel->stats),
				 GFP_KERNEL);
	return channel->stats && !rc ? 0 : -ENOMEM;
}

/**
 * vb_channel_exit() - free what vb_channel_init() took
 * @vb: the device, its channel closed
 *
 * Context: Any.
 */
void vb_channel_exit(struct vb_device *vb)
{
	int i;

	for (i = 0; i < VB_NR_LINES; i++)
		vb_line_exit(&vb->channel.line[i]);
	kfree(vb->channel.stats);
}
