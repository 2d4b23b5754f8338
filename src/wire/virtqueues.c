// SPDX-License-Identifier: GPL-2.0
/*
 * Which virtqueues the device has, and which queue of ours each becomes.
 */
#include "wire/wire.h"

/* All queues of a balloon device, in their order (virtio 1.3, 5.5.2). */
enum vb_queue {
	VB_QUEUE_INFLATE,
	VB_QUEUE_DEFLATE,
	VB_QUEUE_STATS,
	VB_QUEUE_HINT,
	VB_QUEUE_REPORT,
	VB_NR_QUEUES,
};

static_assert(VB_NR_QUEUES <= VB_COMPAT_VQS);

static bool vb_queue_wanted(const struct virtio_device *vdev,
			    enum vb_queue queue)
{
	switch (queue) {
	case VB_QUEUE_STATS:
		return virtio_has_feature(vdev, VIRTIO_BALLOON_F_STATS_VQ);
	case VB_QUEUE_HINT:
		return virtio_has_feature(vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT);
	case VB_QUEUE_REPORT:
		return virtio_has_feature(vdev, VIRTIO_BALLOON_F_REPORTING);
	default:
		return true;
	}
}

/*
 * Guess what no feature says.  Of the hosts we know, only QEMU offers
 * PAGE_POISON.  QEMU reads all descriptors of a buffer of PFNs, and skips a
 * statistics tag that it does not know.
 */
static void vb_virtqueues_guess(struct vb_channel *channel)
{
	struct virtqueue *vq = channel->queue[VB_INFLATE].vq;
	bool qemu = vb_device_offers(channel->vdev,
				     VIRTIO_BALLOON_F_PAGE_POISON);

	channel->reads_chains = qemu && virtqueue_get_vring_size(vq) > 1;
	channel->skips_tags = qemu;
}

/**
 * vb_virtqueues_open() - find the device's virtqueues
 * @channel: the channel
 * @callbacks: called when the host has read something
 *
 * Some hosts number all offered queues, others only the negotiated ones.  Both
 * agree, since the driver declines no queue but the last, in
 * vb_poison_validate().  So the array for the transport has no holes.
 *
 * Context: May sleep.  No other user of the channel runs yet.
 * Return: 0, or the transport's error: then no queue is open.
 */
int vb_virtqueues_open(struct vb_channel *channel,
		       const struct vb_callbacks *callbacks)
{
	const struct virtqueue_info all[VB_NR_QUEUES] = {
		[VB_QUEUE_INFLATE] = { "inflate", callbacks->batches },
		[VB_QUEUE_DEFLATE] = { "deflate", callbacks->batches },
		[VB_QUEUE_STATS] = { "stats", callbacks->stats },
		[VB_QUEUE_HINT] = { "hint", callbacks->hint },
		[VB_QUEUE_REPORT] = { "report", callbacks->batches },
	};
	struct virtio_device *vdev = channel->vdev;
	struct virtqueue_info info[VB_NR_QUEUES];
	struct virtqueue *found[VB_NR_QUEUES];
	struct virtqueue *vq[VB_NR_QUEUES] = {};
	unsigned int nr = 0;
	int at[VB_NR_QUEUES];
	int i, rc;

	for (i = 0; i < VB_NR_QUEUES; i++) {
		if (!vb_queue_wanted(vdev, i))
			continue;
		info[nr] = all[i];
		at[nr++] = i;
	}
	rc = vb_find_vqs(vdev, nr, found, info);
	if (rc)
		return rc;
	while (nr--)
		vq[at[nr]] = found[nr];

	channel->swap_bytes = virtio_legacy_is_little_endian() !=
			      virtio_is_little_endian(vdev);
	WRITE_ONCE(channel->queue[VB_INFLATE].vq, vq[VB_QUEUE_INFLATE]);
	WRITE_ONCE(channel->queue[VB_DEFLATE].vq, vq[VB_QUEUE_DEFLATE]);
	WRITE_ONCE(channel->queue[VB_RANGES].vq, vq[VB_QUEUE_REPORT]);
	channel->statsq.vq = vq[VB_QUEUE_STATS];
	channel->statsq.posted = false;
	channel->hintq.vq = vq[VB_QUEUE_HINT];
	channel->hintq.unnotified = false;
	vb_virtqueues_guess(channel);
	return 0;
}

/**
 * vb_virtqueues_close() - give up the virtqueues
 * @channel: the channel, abandoned
 *
 * Context: May sleep.  No other user of the channel runs any more.
 */
void vb_virtqueues_close(struct vb_channel *channel)
{
	channel->vdev->config->del_vqs(channel->vdev);
}
