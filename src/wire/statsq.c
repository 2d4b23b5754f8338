// SPDX-License-Identifier: GPL-2.0
/*
 * The statistics queue: one buffer.  The host asks for new statistics by
 * handing the buffer back (virtio 1.3, 5.5.6.3).
 */
#include <linux/slab.h>

#include "wire/wire.h"

/* An entry has two bytes of tag and eight of value (virtio 1.3, 5.5.6.3). */
static_assert(sizeof(struct virtio_balloon_stat) == 10);

/**
 * vb_statsq_get() - get the buffer for the next statistics
 * @channel: the channel
 *
 * At most one buffer may be in the queue (virtio 1.3, 5.5.6.3).
 *
 * Context: The statistics work.
 * Return: the buffer; NULL if the host still has it, or wants no statistics.
 */
struct virtio_balloon_stat *vb_statsq_get(struct vb_channel *channel)
{
	struct vb_statsq *queue = &channel->statsq;
	unsigned int len;

	if (!queue->vq)
		return NULL;
	if (queue->posted && !virtqueue_get_buf(queue->vq, &len))
		return NULL;
	return queue->stats;
}

/**
 * vb_statsq_send() - hand statistics to the host
 * @channel: the channel
 * @nr: entries in the buffer
 *
 * Context: The statistics work, after vb_statsq_get() returned the buffer.
 */
void vb_statsq_send(struct vb_channel *channel, unsigned int nr)
{
	struct vb_statsq *queue = &channel->statsq;
	struct scatterlist sg;

	sg_init_one(&sg, queue->stats, nr * sizeof(*queue->stats));
	queue->posted = !virtqueue_add_outbuf(queue->vq, &sg, 1, channel,
					      VB_GFP_TABLE);
	if (!queue->posted)
		return;
	virtqueue_kick(queue->vq);
	vb_counters_add(channel->counters, VB_STATS_SENT, 1);
}

/**
 * vb_statsq_abandon() - take the buffer back from a device that has been reset
 * @channel: the channel; has no statistics queue afterwards
 *
 * Context: Any.  No statistics work runs any more.
 */
void vb_statsq_abandon(struct vb_channel *channel)
{
	struct vb_statsq *queue = &channel->statsq;

	if (queue->vq)
		virtqueue_detach_unused_buf(queue->vq);
	queue->vq = NULL;
}

/**
 * vb_statsq_init() - allocate the buffer
 * @channel: the channel
 * @capacity: entries that fit into the buffer
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_statsq_exit() is due either way.
 */
int vb_statsq_init(struct vb_channel *channel, unsigned int capacity)
{
	struct vb_statsq *queue = &channel->statsq;

	queue->stats = kcalloc(capacity, sizeof(*queue->stats), GFP_KERNEL);
	return queue->stats ? 0 : -ENOMEM;
}

/**
 * vb_statsq_exit() - free what vb_statsq_init() took
 * @channel: the channel, abandoned
 *
 * Context: Any.
 */
void vb_statsq_exit(struct vb_channel *channel)
{
	kfree(channel->statsq.stats);
}
