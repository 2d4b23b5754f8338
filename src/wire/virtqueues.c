// SPDX-License-Identifier: GPL-2.0
/*
 * The device's queues: which there are, and the two that no batch travels on,
 * statistics and free page hints.
 */
#include "vballoon.h"

/**
 * vb_queue_stats() - hand the host a buffer of fresh statistics
 * @vb: the device
 *
 * Does nothing while the host still has the last one: at most one buffer is in
 * the queue (virtio 1.3, 5.5.6.3).
 *
 * Context: The statistics work.  May sleep.
 */
void vb_queue_stats(struct vb_device *vb)
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
	vb_counters_add(&vb->counters, VB_STATS_SENT, 1);
}

static int vb_queue_hint_post(struct vb_device *vb, void *data, size_t len,
			      void *token, bool writable)
{
	struct vb_channel *channel = &vb->channel;
	struct scatterlist sg;
	unsigned long flags;
	int rc;

	sg_init_one(&sg, data, len);
	spin_lock_irqsave(&channel->lock, flags);
	if (writable)
		rc = virtqueue_add_inbuf(channel->hint_vq, &sg, 1, token,
					 GFP_ATOMIC);
	else
		rc = virtqueue_add_outbuf(channel->hint_vq, &sg, 1, token,
					  GFP_ATOMIC);
	if (!rc)
		channel->hint_unsaid = true;
	spin_unlock_irqrestore(&channel->lock, flags);
	return rc;
}

/**
 * vb_queue_hint_cmd() - post the number of a command
 * @vb: the device, with a hint queue
 * @cmd: the number, in the device's byte order; vb_queue_hint_get() returns
 *       it when the host has read it
 * @len: its size in bytes
 *
 * Context: Any.
 * Return: 0, or the ring is full or broken.
 */
int vb_queue_hint_cmd(struct vb_device *vb, void *cmd, size_t len)
{
	return vb_queue_hint_post(vb, cmd, len, cmd, false);
}

/**
 * vb_queue_hint_block() - post a block of free memory
 * @vb: the device, with a hint queue
 * @block: its address: one range an element, since QEMU looks at no more
 * @len: its size in bytes
 * @token: what vb_queue_hint_get() returns when the host has read it
 *
 * Context: Any.
 * Return: 0, or the ring is full or broken.
 */
int vb_queue_hint_block(struct vb_device *vb, void *block, size_t len,
			void *token)
{
	return vb_queue_hint_post(vb, block, len, token, true);
}

/**
 * vb_queue_hint_notify() - tell the host that there is something to read
 * @vb: the device, with a hint queue
 * @urge: even if the host says that it looks by itself
 *
 * Context: Any.
 */
void vb_queue_hint_notify(struct vb_device *vb, bool urge)
{
	struct vb_channel *channel = &vb->channel;
	unsigned long flags;
	bool notify = urge;

	spin_lock_irqsave(&channel->lock, flags);
	if (channel->hint_unsaid)
		notify |= virtqueue_kick_prepare(channel->hint_vq);
	channel->hint_unsaid = false;
	spin_unlock_irqrestore(&channel->lock, flags);

	if (notify)
		virtqueue_notify(channel->hint_vq);
}

/**
 * vb_queue_hint_get() - take back something that the host has read
 * @vb: the device
 *
 * After NULL, and not before, vb_hint_answered() is called when there is more.
 *
 * Context: Any.
 * Return: the token, or NULL.
 */
void *vb_queue_hint_get(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
	unsigned long flags;
	void *token = NULL;
	unsigned int len;

	spin_lock_irqsave(&channel->lock, flags);
	while (channel->hint_vq) {
		virtqueue_disable_cb(channel->hint_vq);
		token = virtqueue_get_buf(channel->hint_vq, &len);
		if (token || virtqueue_is_broken(channel->hint_vq) ||
		    virtqueue_enable_cb_delayed(channel->hint_vq))
			break;
	}
	spin_unlock_irqrestore(&channel->lock, flags);
	return token;
}

/**
 * vb_queue_hint_broken() - has the device broken its protocol there?
 * @vb: the device
 *
 * Context: Any.
 * Return: true if nothing more goes either way before the next reset.
 */
bool vb_queue_hint_broken(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
	unsigned long flags;
	bool broken;

	spin_lock_irqsave(&channel->lock, flags);
	broken = channel->hint_vq && virtqueue_is_broken(channel->hint_vq);
	spin_unlock_irqrestore(&channel->lock, flags);
	return broken;
}

/**
 * vb_queue_hint_detach() - take back something that the host never read
 * @vb: the device, reset
 *
 * Context: Any.
 * Return: the token; or NULL, and there is no hint queue from then on.
 */
void *vb_queue_hint_detach(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
	unsigned long flags;
	void *token = NULL;

	spin_lock_irqsave(&channel->lock, flags);
	if (channel->hint_vq)
		token = virtqueue_detach_unused_buf(channel->hint_vq);
	if (!token)
		channel->hint_vq = NULL;
	spin_unlock_irqrestore(&channel->lock, flags);
	return token;
}

/**
 * vb_queue_report_room() - how many ranges fit in a report?
 * @vb: the device
 *
 * Context: Any.
 * Return: 0 if the host wants no reports.
 */
unsigned int vb_queue_report_room(struct vb_device *vb)
{
	struct virtqueue *vq = vb->channel.line[VB_LINE_RANGES].vq;
	unsigned int room = vq ? virtqueue_get_vring_size(vq) : 0;

	return min_t(unsigned int, room, PAGE_REPORTING_CAPACITY);
}

static void vb_hint_callback(struct virtqueue *vq)
{
	vb_hint_answered(vq->vdev->priv);
}

static void vb_line_callback(struct virtqueue *vq)
{
	struct vb_device *vb = vq->vdev->priv;

	if (vb_channel_reap(vb))
		vb_worker_answered(&vb->worker);
}

static void vb_stats_callback(struct virtqueue *vq)
{
	struct vb_device *vb = vq->vdev->priv;

	if (!vb_worker_stopping(&vb->worker))
		queue_work(vb->stats_wq, &vb->stats_work);
}

/* The host has a queue of its own for the feature, and none without it. */
#define VB_ALWAYS	(-1)

static const struct vb_queue_info {
	struct virtqueue_info info;
	int feature;
} vb_queues[VB_NR_QUEUES] = {
	[VB_QUEUE_INFLATE] = { { "inflate", vb_line_callback }, VB_ALWAYS },
	[VB_QUEUE_DEFLATE] = { { "deflate", vb_line_callback }, VB_ALWAYS },
	[VB_QUEUE_STATS] = { { "stats", vb_stats_callback },
			     VIRTIO_BALLOON_F_STATS_VQ },
	[VB_QUEUE_HINT] = { { "hint", vb_hint_callback },
			    VIRTIO_BALLOON_F_FREE_PAGE_HINT },
	[VB_QUEUE_REPORT] = { { "report", vb_line_callback },
			      VIRTIO_BALLOON_F_REPORTING },
};

/**
 * vb_queue_open() - find the device's queues
 * @vb: the device
 *
 * Queues are numbered as they were negotiated, so the array has no holes.
 *
 * Context: May sleep.  Nothing is sent yet.
 * Return: 0, or the transport's error.
 */
int vb_queue_open(struct vb_device *vb)
{
	struct vb_channel *channel = &vb->channel;
	struct virtqueue_info info[VB_NR_QUEUES];
	struct virtqueue *found[VB_NR_QUEUES];
	struct virtqueue *vq[VB_NR_QUEUES] = {};
	unsigned int nr = 0;
	int at[VB_NR_QUEUES];
	int i, rc;

	for (i = 0; i < VB_NR_QUEUES; i++) {
		if (vb_queues[i].feature != VB_ALWAYS &&
		    !virtio_has_feature(vb->vdev, vb_queues[i].feature))
			continue;
		info[nr] = vb_queues[i].info;
		at[nr++] = i;
	}
	rc = vb_find_vqs(vb->vdev, nr, found, info);
	if (rc)
		return rc;
	while (nr--)
		vq[at[nr]] = found[nr];

	channel->foreign = virtio_legacy_is_little_endian() !=
			   virtio_is_little_endian(vb->vdev);
	/* Of the hosts only QEMU knows of poison, and QEMU reads on. */
	channel->chains = vb_device_offers(vb->vdev,
					   VIRTIO_BALLOON_F_PAGE_POISON) &&
			  virtqueue_get_vring_size(vq[VB_QUEUE_INFLATE]) > 1;
	channel->line[VB_INFLATE].vq = vq[VB_QUEUE_INFLATE];
	channel->line[VB_DEFLATE].vq = vq[VB_QUEUE_DEFLATE];
	channel->line[VB_LINE_RANGES].vq = vq[VB_QUEUE_REPORT];
	channel->stats_vq = vq[VB_QUEUE_STATS];
	channel->hint_vq = vq[VB_QUEUE_HINT];
	channel->stats_posted = false;
	channel->hint_unsaid = false;
	return 0;
}

/**
 * vb_queue_close() - give up the queues
 * @vb: the device, its channel abandoned
 *
 * Context: May sleep.  Nobody sends any more.
 */
void vb_queue_close(struct vb_device *vb)
{
	vb->vdev->config->del_vqs(vb->vdev);
}
