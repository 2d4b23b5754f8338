/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How memory travels: the door of this floor, the only one that calls virtio's
 * queues.
 *
 * A batch is sent once, cut into buffers, and belongs to the channel until the
 * host has read all of it.
 */
#ifndef VB_WIRE_H
#define VB_WIRE_H

#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/wait.h>

#include "batch.h"
#include "compat.h"
#include "counters.h"

/* Some hosts drop a descriptor of more than 1,024 bytes. */
#define VB_DESC_PFNS		256U
/* Most PFNs in one buffer: a block, in two descriptors. */
#define VB_BUFFER_PFNS		(2 * VB_DESC_PFNS)
/* Most ranges in one buffer: the smallest ring of the hosts we know. */
#define VB_BUFFER_RANGES	32U
/* Most buffers before the host on one queue: 128 MiB of blocks. */
#define VB_NR_BUFFERS		64U

/* The host gets this long before it counts as silent. */
#define VB_SILENT_AFTER		(5 * HZ)

/**
 * enum vb_engine - how blocks travel
 * @VB_ENGINE_AUTO: as ranges where that can be; as a choice only
 * @VB_ENGINE_PFN: as PFNs on the inflate queue
 * @VB_ENGINE_RANGE: as ranges on the reporting queue
 */
enum vb_engine {
	VB_ENGINE_AUTO,
	VB_ENGINE_PFN,
	VB_ENGINE_RANGE,
};

/**
 * struct vb_buffer - what goes before the host in one piece
 *
 * Belongs to the host from post to reap, else to the channel lock.
 */
struct vb_buffer {
	/** @node: in the queue's idle ones */
	struct list_head node;
	/** @batch: the batch that the buffer is a part of */
	struct vb_batch *batch;
	/** @pfn: room for VB_BUFFER_PFNS, in the device's byte order, or NULL */
	u32 *pfn;
};

/**
 * struct vb_batchq - a queue of batches; all is guarded by the channel lock
 */
struct vb_batchq {
	/** @vq: the virtqueue; NULL while there is none */
	struct virtqueue *vq;
	/** @unsent: batches with something still to be posted, oldest first */
	struct list_head unsent;
	/** @sent: batches that are posted and not acknowledged */
	struct list_head sent;
	/** @idle: buffers that the host does not have */
	struct list_head idle;
	/** @in_flight: how many buffers the host has */
	unsigned int in_flight;
	/** @progress: jiffies when the last came back, or the first was posted */
	unsigned long progress;
	/** @buffer: all buffers; constant */
	struct vb_buffer buffer[VB_NR_BUFFERS];
};

/* Queues of batches: one of PFNs for each enum vb_op, and one of ranges. */
#define VB_RANGES	VB_NR_OPS
#define VB_NR_BATCHQS	(VB_NR_OPS + 1)

/**
 * struct vb_statsq - the statistics queue; only the statistics work looks
 */
struct vb_statsq {
	/** @vq: the virtqueue, or NULL */
	struct virtqueue *vq;
	/** @stats: the one buffer; the host's while @posted */
	struct virtio_balloon_stat *stats;
	/** @posted: the host has @stats */
	bool posted;
};

/**
 * struct vb_hintq - the free page hint queue; under the channel lock
 */
struct vb_hintq {
	/** @vq: the virtqueue, or NULL */
	struct virtqueue *vq;
	/** @untold: something was posted that no notification was sent for */
	bool untold;
};

/**
 * struct vb_channel - the conversation's pages, on their way
 */
struct vb_channel {
	/**
	 * @lock: guards the queues, but for statistics, and @acked; taken in
	 * interrupts; innermost
	 */
	spinlock_t lock;
	/** @vdev: the device; constant */
	struct virtio_device *vdev;
	/** @counters: where buffers and notifications are counted; constant */
	struct vb_counters *counters;
	/** @engine: how blocks travel: PFN or RANGE; constant while bound */
	enum vb_engine engine;
	/** @swap_bytes: the device's byte order is not the CPU's */
	bool swap_bytes;
	/** @reads_chains: the host reads all descriptors of a buffer of PFNs */
	bool reads_chains;
	/** @queue: the inflate, the deflate and the reporting queue */
	struct vb_batchq queue[VB_NR_BATCHQS];
	/** @sg: ranges while they are posted; @lock */
	struct scatterlist sg[VB_BUFFER_RANGES];
	/** @statsq: statistics */
	struct vb_statsq statsq;
	/** @hintq: free page hints */
	struct vb_hintq hintq;
	/** @acked: VB_KIND_PAGES batches that the host has acknowledged; @lock */
	struct list_head acked;
	/** @unacked: batches sent and not acknowledged, by operation; @lock */
	unsigned int unacked[VB_NR_OPS];
	/**
	 * @owed: what the worker waits for: deflate notices that are not
	 * acknowledged, and batches that it has not collected; @lock
	 */
	unsigned int owed;
	/** @releasing: callers between taking pages out and sending the notice */
	atomic_t releasing;
	/**
	 * @wait: woken when a batch is acknowledged that somebody sleeps for,
	 * and when the driver stops
	 */
	wait_queue_head_t wait;
};

/**
 * struct vb_callbacks - who hears of it that the host has read something
 * @batches: on a queue of batches
 * @stats: on the statistics queue
 * @hint: on the hint queue
 */
struct vb_callbacks {
	vq_callback_t *batches;
	vq_callback_t *stats;
	vq_callback_t *hint;
};

/* channel.c: batches, and what becomes of them */
int vb_channel_init(struct vb_channel *channel, struct virtio_device *vdev,
		    struct vb_counters *counters);
void vb_channel_exit(struct vb_channel *channel);
void vb_channel_abandon(struct vb_channel *channel);
bool vb_channel_send(struct vb_channel *channel, struct vb_batch *batch);
bool vb_channel_pump(struct vb_channel *channel);
bool vb_channel_reap(struct vb_channel *channel);
struct vb_batch *vb_channel_acked(struct vb_channel *channel);
void vb_channel_release_begin(struct vb_channel *channel);
void vb_channel_release_end(struct vb_channel *channel);
bool vb_channel_deflates_unread(struct vb_channel *channel);
bool vb_channel_busy(struct vb_channel *channel);
bool vb_channel_broken(struct vb_channel *channel);
bool vb_channel_silent(struct vb_channel *channel);
bool vb_channel_silent_on(struct vb_channel *channel, unsigned int queue);
unsigned int vb_channel_report_room(struct vb_channel *channel);

/* virtqueues.c: which queues the device has */
int vb_virtqueues_open(struct vb_channel *channel,
		       const struct vb_callbacks *callbacks);
void vb_virtqueues_close(struct vb_channel *channel);

/* statsq.c: the statistics queue */
int vb_statsq_init(struct vb_channel *channel, unsigned int capacity);
void vb_statsq_exit(struct vb_channel *channel);
struct virtio_balloon_stat *vb_statsq_get(struct vb_channel *channel);
void vb_statsq_send(struct vb_channel *channel, unsigned int nr);
void vb_statsq_abandon(struct vb_channel *channel);

/* hintq.c: the hint queue */
int vb_hintq_cmd(struct vb_channel *channel, void *cmd, size_t len);
int vb_hintq_block(struct vb_channel *channel, void *block, size_t len,
		   void *token);
void vb_hintq_notify(struct vb_channel *channel, bool urge);
void *vb_hintq_get(struct vb_channel *channel);
bool vb_hintq_broken(struct vb_channel *channel);
void *vb_hintq_detach(struct vb_channel *channel);

/* engine.c: the module's parameter, and the choice */
enum vb_engine vb_engine_choose(struct virtio_device *vdev);
unsigned int vb_engine_blocks(enum vb_engine engine);
const char *vb_engine_name(enum vb_engine engine);

/* poison.c: what a free page contains, and who has to know */
void vb_poison_validate(struct virtio_device *vdev);
void vb_poison_tell(struct virtio_device *vdev);
bool vb_poison_allows_reports(struct virtio_device *vdev);

#endif
