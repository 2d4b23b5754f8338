/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A queue of batches, as channel.c sees it.
 */
#ifndef VB_BATCHQ_H
#define VB_BATCHQ_H

#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/virtio.h>

#include "batch.h"

struct vb_channel;

/*
 * The longest descriptor: Firecracker and Cloud Hypervisor drop a descriptor
 * of more than 1,024 bytes.
 */
#define VB_DESC_PFNS		256U
/* The longest buffer of PFNs: one block, in two descriptors. */
#define VB_BUFFER_PFNS		(2 * VB_DESC_PFNS)
/* The longest buffer of ranges: the smallest ring of the hosts we know. */
#define VB_BUFFER_RANGES	32U
/* Buffers of one queue that the host has at the most: 128 MiB of blocks. */
#define VB_NR_BUFFERS		64U

/*
 * The ring may allocate a table for a buffer of several descriptors
 * (INDIRECT_DESC).  It does without if it gets none, so it takes no reserves,
 * and a failure is not worth a warning.
 */
#define VB_GFP_TABLE		(GFP_NOWAIT | __GFP_NOWARN)

/**
 * struct vb_buffer - what goes before the host in one piece
 *
 * @node and @batch are guarded by the channel lock.  What @pfn points to
 * belongs to the host while the buffer is posted, else to the channel lock.
 */
struct vb_buffer {
	/** @node: in vb_batchq.idle while the buffer is not posted */
	struct list_head node;
	/** @batch: the batch that the buffer is a part of */
	struct vb_batch *batch;
	/**
	 * @pfn: room for VB_BUFFER_PFNS PFNs on the inflate queue, and for
	 * VB_DESC_PFNS on the deflate queue, in the device's byte order; NULL
	 * on a queue of ranges; the pointer is constant
	 */
	u32 *pfn;
};

/**
 * struct vb_batchq - a queue of batches
 *
 * The channel lock guards all fields.
 */
struct vb_batchq {
	/** @vq: the virtqueue; NULL while the queue is closed; read anywhere */
	struct virtqueue *vq;
	/** @unsent: batches that are not posted to the end, oldest first */
	struct list_head unsent;
	/** @sent: batches that are posted to the end and not acknowledged */
	struct list_head sent;
	/** @idle: buffers that the host does not have */
	struct list_head idle;
	/** @in_flight: buffers that the host has */
	unsigned int in_flight;
	/**
	 * @progress: jiffies when the host last handed a buffer back, or when
	 * the first buffer was posted to an empty queue
	 */
	unsigned long progress;
	/** @buffer: all buffers, idle or in flight */
	struct vb_buffer buffer[VB_NR_BUFFERS];
};

int vb_batchq_init(struct vb_batchq *queue, unsigned int pfns);
void vb_batchq_exit(struct vb_batchq *queue);
bool vb_batchq_pump(struct vb_channel *channel, struct vb_batchq *queue);
unsigned int vb_batchq_reap(struct vb_channel *channel, struct vb_batchq *queue,
			    struct list_head *finished);
void vb_batchq_close(struct vb_channel *channel, struct vb_batchq *queue,
		     struct list_head *dropped);
bool vb_batchq_silent(const struct vb_channel *channel,
		      const struct vb_batchq *queue);

#endif
