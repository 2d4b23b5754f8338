// SPDX-License-Identifier: GPL-2.0
/*
 * How memory travels: the only user of virtqueues.
 *
 * A batch is sent once and cut into buffers of at most 256 PFNs.  Nobody
 * sleeps for the host here: buffers are posted while the ring has room, the
 * interrupt takes back what the host has read, and a batch whose last buffer
 * came back goes where its kind says.
 */
#include <linux/jiffies.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/swab.h>

#include "vballoon.h"

static unsigned int vb_batch_bufs(const struct vb_batch *batch)
{
	return DIV_ROUND_UP(batch->nr, VB_BUF_PFNS);
}

/*
 * Between CPU and device byte order, there and back: legacy devices are of
 * the guest's byte order, all others are little-endian (virtio 1.3, 2.4.3).
 */
static void vb_batch_swap(struct vb_channel *channel, struct vb_batch *batch)
{
	unsigned int i;

	if (!channel->foreign)
		return;
	for (i = 0; i < batch->nr; i++)
		swab32s(&batch->pfn[i]);
}

static void vb_batch_unsent(struct vb_channel *channel, struct vb_batch *batch)
{
	channel->pending[batch->op]--;
	if (batch->kind != VB_KIND_SINGLE)
		channel->owed--;
}

static void vb_batch_finish(struct vb_channel *channel, struct vb_batch *batch)
{
	lockdep_assert_held(&channel->lock);

	list_del_init(&batch->node);
	vb_batch_unsent(channel, batch);
	vb_batch_swap(channel, batch);

	switch (batch->kind) {
	case VB_KIND_PAGES:
		list_add_tail(&batch->node, &channel->acked);
		break;
	case VB_KIND_ADVICE:
		free_page((unsigned long)batch);
		return;
	case VB_KIND_SINGLE:
		break;
	}
	/* Pairs with the acquire in vb_batch_acknowledged(). */
	smp_store_release(&batch->acknowledged, true);
	wake_up(&channel->wait);
}

static unsigned int vb_channel_posted(struct vb_channel *channel)
{
	return READ_ONCE(channel->line[VB_INFLATE].posted) +
	       READ_ONCE(channel->line[VB_DEFLATE].posted);
}

/* Post up to VB_BATCH_BUFS buffers; the rest has to wait for a notification. */
static unsigned int vb_line_post(struct vb_channel *channel,
				 struct vb_line *line)
{
	struct scatterlist sg;
	struct vb_batch *batch;
	unsigned int posted = 0;
	unsigned int first, nr;

	lockdep_assert_held(&channel->lock);

	while (posted < VB_BATCH_BUFS && line->posted < VB_INFLIGHT_BUFS &&
	       !list_empty(&line->unsent)) {
		batch = list_first_entry(&line->unsent, struct vb_batch, node);
		first = batch->posted * VB_BUF_PFNS;
		nr = min(batch->nr - first, VB_BUF_PFNS);
		sg_init_one(&sg, batch->pfn + first, nr * sizeof(*batch->pfn));
		/* Ring full, or the device is broken: either way, not now. */
		if (virtqueue_add_outbuf(line->vq, &sg, 1, batch, GFP_ATOMIC))
			break;
		if (!vb_channel_posted(channel))
			channel->progress = jiffies;
		posted++;
		line->posted++;
		batch->posted++;
		if (batch->posted == vb_batch_bufs(batch))
			list_move_tail(&batch->node, &line->sent);
	}
	return posted;
}

static bool vb_line_pump(struct vb_device *vb, struct vb_line *line)
{
	struct vb_channel *channel = &vb->channel;
	unsigned long flags;
	bool notify = false;
	unsigned int posted;

	spin_lock_irqsave(&channel->lock, flags);
	posted = vb_line_post(channel, line);
	if (posted)
		notify = virtqueue_kick_prepare(line->vq);
	spin_unlock_irqrestore(&channel->lock, flags);

	/* The host may work before this returns: not under the lock. */
	if (notify) {
		virtqueue_notify(line->vq);
		vb_count(vb, VB_KICKS, 1);
	}
	return posted;
}

static unsigned int vb_line_reap(struct vb_channel *channel,
				 struct vb_line *line)
{
	struct vb_batch *batch;
	unsigned int acked = 0;
	unsigned int len;

	lockdep_assert_held(&channel->lock);

	if (!line->vq)
		return 0;
	do {
		virtqueue_disable_cb(line->vq);
		while ((batch = virtqueue_get_buf(line->vq, &len))) {
			acked++;
			line->posted--;
			batch->acked++;
			if (batch->acked == vb_batch_bufs(batch))
				vb_batch_finish(channel, batch);
		}
		if (virtqueue_is_broken(line->vq))
			break;
	} while (!virtqueue_enable_cb_delayed(line->vq));
	return acked;
}

/**
 * vb_channel_send() - send a batch
 * @vb: the device
 * @batch: a batch with at least one PFN and its operation set, in no list
 *
 * The batch is the channel's until it is acknowledged.  Posts nothing: that is
 * vb_channel_pump().
 *
 * Context: Any.
 */
void vb_channel_send(struct vb_device *vb, struct vb_batch *batch)
{
	struct vb_channel *channel = &vb->channel;
	unsigned long flags;

	batch->posted = 0;
	batch->acked = 0;
	batch->acknowledged = false;
	vb_batch_swap(channel, batch);

	spin_lock_irqsave(&channel->lock, flags);
	channel->pending[batch->op]++;
	if (batch->kind != VB_KIND_SINGLE)
		channel->owed++;
	list_add_tail(&batch->node, &channel->line[batch->op].unsent);
	spin_unlock_irqrestore(&channel->lock, flags);
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
	bool deflate = vb_line_pump(vb, &vb->channel.line[VB_DEFLATE]);
	bool inflate = vb_line_pump(vb, &vb->channel.line[VB_INFLATE]);

	return deflate || inflate;
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
	int op;

	spin_lock_irqsave(&channel->lock, flags);
	for (op = 0; op < VB_NR_OPS; op++)
		acked += vb_line_reap(channel, &channel->line[op]);
	if (acked)
		channel->progress = jiffies;
	spin_unlock_irqrestore(&channel->lock, flags);

	vb_count(vb, VB_BUFFERS, acked);
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
	if (batch)
		list_del_init(&batch->node);
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
 * vb_channel_busy() - has the worker sent what is not acknowledged?
 * @vb: the device
 *
 * Return: true if it is the host's turn.
 */
bool vb_channel_busy(struct vb_device *vb)
{
	return READ_ONCE(vb->channel.owed);
}

/**
 * vb_channel_broken() - has the device broken its protocol, or gone?
 * @vb: the device; its queues are open
 *
 * Return: true if nothing can be sent before the next reset.
 */
bool vb_channel_broken(struct vb_device *vb)
{
	return virtqueue_is_broken(vb->channel.line[VB_INFLATE].vq) ||
	       virtqueue_is_broken(vb->channel.line[VB_DEFLATE].vq);
}

/**
 * vb_channel_silent() - has the host not answered for too long?
 * @vb: the device
 *
 * Return: true if the host has buffers and VB_SILENT_AFTER has passed without
 * an acknowledgment.
 */
bool vb_channel_silent(struct vb_device *vb)
{
	return vb_channel_posted(&vb->channel) &&
	       time_after(jiffies,
			  READ_ONCE(vb->channel.progress) + VB_SILENT_AFTER);
}

/**
 * vb_channel_stats() - hand the host a buffer of fresh statistics
 * @vb: the device
 *
 * Does nothing while the host still has the last one: at most one buffer is in
 * the queue (virtio 1.3, 5.5.6.3).
 *
 * Context: The statistics work.  May sleep.
 */
void vb_channel_stats(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
	struct scatterlist sg;
	unsigned int nr, len;

	if (!channel->stats_vq)
		return;
	if (channel->stats_posted && !virtqueue_get_buf(channel->stats_vq, &len))
		return;

	nr = vb_stats_fill(vb->vdev, channel->stats);
	sg_init_one(&sg, channel->stats, nr * sizeof(*channel->stats));
	channel->stats_posted = !virtqueue_add_outbuf(channel->stats_vq, &sg, 1,
						      channel, GFP_ATOMIC);
	if (!channel->stats_posted)
		return;
	virtqueue_kick(channel->stats_vq);
	vb_count(vb, VB_STATS_SENT, 1);
}

static void vb_line_callback(struct virtqueue *vq)
{
	struct vb_device *vb = vq->vdev->priv;

	if (vb_channel_reap(vb))
		vb_host_answered(vb);
}

static void vb_stats_callback(struct virtqueue *vq)
{
	struct vb_device *vb = vq->vdev->priv;

	if (!READ_ONCE(vb->stopping))
		queue_work(vb->stats_wq, &vb->stats_work);
}

/**
 * vb_channel_open() - find the device's queues
 * @vb: the device
 *
 * Queues are numbered as they were negotiated, so the array has no holes.
 *
 * Context: May sleep.  Nothing is sent yet.
 * Return: 0, or the transport's error.
 */
int vb_channel_open(struct vb_device *vb)
{
	struct virtqueue_info info[] = {
		{ .name = "inflate", .callback = vb_line_callback },
		{ .name = "deflate", .callback = vb_line_callback },
		{ .name = "stats", .callback = vb_stats_callback },
	};
	bool stats = virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_STATS_VQ);
	struct vb_channel *channel = &vb->channel;
	struct virtqueue *vqs[ARRAY_SIZE(info)];
	int rc;

	rc = vb_find_vqs(vb->vdev, stats ? 3 : 2, vqs, info);
	if (rc)
		return rc;

	channel->foreign = virtio_legacy_is_little_endian() !=
			   virtio_is_little_endian(vb->vdev);
	channel->line[VB_INFLATE].vq = vqs[0];
	channel->line[VB_DEFLATE].vq = vqs[1];
	channel->stats_vq = stats ? vqs[2] : NULL;
	channel->stats_posted = false;
	return 0;
}

static void vb_line_close(struct vb_channel *channel, struct vb_line *line)
{
	struct vb_batch *batch, *next;
	unsigned long flags;

	spin_lock_irqsave(&channel->lock, flags);
	while (virtqueue_detach_unused_buf(line->vq))
		;
	line->vq = NULL;
	line->posted = 0;
	list_splice_init(&line->sent, &line->unsent);
	list_for_each_entry_safe(batch, next, &line->unsent, node) {
		list_del_init(&batch->node);
		vb_batch_unsent(channel, batch);
		vb_batch_swap(channel, batch);
		if (batch->kind == VB_KIND_ADVICE)
			free_page((unsigned long)batch);
	}
	spin_unlock_irqrestore(&channel->lock, flags);
}

/**
 * vb_channel_close() - give up the queues of a device that has been reset
 * @vb: the device
 *
 * Afterwards no batch is the channel's: advice is gone, acknowledged batches
 * are in no list, and VB_KIND_PAGES and VB_KIND_SINGLE are their owners'.
 *
 * Context: May sleep.  No callback, worker or migration runs any more.
 */
void vb_channel_close(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
	int op;

	for (op = 0; op < VB_NR_OPS; op++)
		vb_line_close(channel, &channel->line[op]);
	while (vb_channel_acked(vb))
		;
	if (channel->stats_vq)
		virtqueue_detach_unused_buf(channel->stats_vq);
	channel->stats_vq = NULL;
	vb->vdev->config->del_vqs(vb->vdev);
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
	int op;

	spin_lock_init(&channel->lock);
	init_waitqueue_head(&channel->wait);
	INIT_LIST_HEAD(&channel->acked);
	atomic_set(&channel->releasing, 0);
	for (op = 0; op < VB_NR_OPS; op++) {
		INIT_LIST_HEAD(&channel->line[op].unsent);
		INIT_LIST_HEAD(&channel->line[op].sent);
	}
	BUILD_BUG_ON(sizeof(struct virtio_balloon_stat) != 10);
	channel->stats = kcalloc(VB_STATS_MAX, sizeof(*channel->stats),
				 GFP_KERNEL);
	return channel->stats ? 0 : -ENOMEM;
}

/**
 * vb_channel_exit() - free what vb_channel_init() took
 * @vb: the device, its channel closed
 */
void vb_channel_exit(struct vb_device *vb)
{
	kfree(vb->channel.stats);
}
