/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How memory travels: the door of this floor.  No other floor calls
 * virtqueue_*().
 *
 * The channel cuts each batch that is sent into buffers.  The batch belongs to
 * the channel until the host has read all of these buffers.
 */
#ifndef VB_WIRE_H
#define VB_WIRE_H

#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/wait.h>

#include "compat.h"
#include "counters.h"
#include "wire/batchq.h"

/* A host that leaves a queue unread for this long counts as silent. */
#define VB_SILENT_AFTER		(5 * HZ)

/**
 * enum vb_engine - how blocks travel
 * @VB_ENGINE_AUTO: only a value of the module's parameter: as ranges where the
 *                  host takes them, else as PFNs
 * @VB_ENGINE_PFN: as PFNs on the inflate queue
 * @VB_ENGINE_RANGE: as ranges on the reporting queue
 */
enum vb_engine {
	VB_ENGINE_AUTO,
	VB_ENGINE_PFN,
	VB_ENGINE_RANGE,
};

/* A queue of PFNs for each enum vb_op, and after these a queue of ranges. */
#define VB_RANGES	VB_NR_OPS
#define VB_NR_BATCHQS	(VB_NR_OPS + 1)

/**
 * struct vb_statsq - the statistics queue
 *
 * Only the statistics work uses the queue.  While that work cannot run,
 * vb_virtqueues_open() and vb_channel_abandon() set it.
 */
struct vb_statsq {
	/** @vq: the virtqueue; NULL if the host wants no statistics */
	struct virtqueue *vq;
	/** @stats: the one buffer; belongs to the host while @posted */
	struct virtio_balloon_stat *stats;
	/** @posted: the host has @stats */
	bool posted;
};

/**
 * struct vb_hintq - the free page hint queue
 *
 * The channel lock guards all fields.
 */
struct vb_hintq {
	/** @vq: the virtqueue; NULL if the host asks for no hints */
	struct virtqueue *vq;
	/** @unnotified: a buffer was posted since the last notification */
	bool unnotified;
};

/**
 * struct vb_channel - batches, statistics and hints on their way to the host
 */
struct vb_channel {
	/**
	 * @lock: guards @queue, @hintq, @sg, @acked and the counts below;
	 * innermost; interrupts take it
	 */
	spinlock_t lock;
	/** @vdev: the device; constant */
	struct virtio_device *vdev;
	/** @counters: counts buffers and notifications; constant */
	struct vb_counters *counters;
	/** @engine: how blocks travel: PFN or RANGE; constant */
	enum vb_engine engine;
	/**
	 * @swap_bytes: the device's byte order is not the CPU's; constant while
	 * the queues are open
	 */
	bool swap_bytes;
	/**
	 * @reads_chains: the host reads all descriptors of a buffer of PFNs;
	 * like @swap_bytes
	 */
	bool reads_chains;
	/**
	 * @skips_tags: the host reads statistics in spite of tags that it does
	 * not know; like @swap_bytes
	 */
	bool skips_tags;
	/** @queue: the inflate, the deflate and the reporting queue; @lock */
	struct vb_batchq queue[VB_NR_BATCHQS];
	/** @sg: scratch for the ranges of the buffer that is posted; @lock */
	struct scatterlist sg[VB_BUFFER_RANGES];
	/** @statsq: statistics */
	struct vb_statsq statsq;
	/** @hintq: free page hints; @lock */
	struct vb_hintq hintq;
	/**
	 * @acked: VB_KIND_PAGES batches that the host has acknowledged and the
	 * worker has not collected; @lock
	 */
	struct list_head acked;
	/**
	 * @unacked: batches of any kind that were sent and are not acknowledged,
	 * by operation; @lock, read anywhere
	 */
	unsigned int unacked[VB_NR_OPS];
	/**
	 * @owed: batches for which the worker must run again: deflate notices
	 * that the host has not read, and VB_KIND_PAGES batches that the worker
	 * has not collected; @lock, read anywhere
	 */
	unsigned int owed;
	/**
	 * @releasing: callers that take pages out of the balloon and have not
	 * sent the deflate notice yet; atomic
	 */
	atomic_t releasing;
	/**
	 * @wait: woken when the host has read a migration's batch or a report,
	 * and when the driver stops
	 */
	wait_queue_head_t wait;
};

/**
 * struct vb_callbacks - called in an interrupt when the host has read a buffer
 * @batches: of the inflate, the deflate or the reporting queue
 * @stats: of the statistics queue: the host asks for new statistics
 * @hint: of the hint queue
 */
struct vb_callbacks {
	vq_callback_t *batches;
	vq_callback_t *stats;
	vq_callback_t *hint;
};

/* channel.c: send batches, and finish those that the host has read */
int vb_channel_init(struct vb_channel *channel, struct virtio_device *vdev,
		    struct vb_counters *counters);
void vb_channel_exit(struct vb_channel *channel);
void vb_channel_abandon(struct vb_channel *channel);
bool __must_check vb_channel_send(struct vb_channel *channel,
				  struct vb_batch *batch);
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

/* unsent.c: take back what is not before the host */
struct vb_batch *vb_unsent_take(struct vb_channel *channel);

/* virtqueues.c: find the device's virtqueues */
int vb_virtqueues_open(struct vb_channel *channel,
		       const struct vb_callbacks *callbacks);
void vb_virtqueues_close(struct vb_channel *channel);

/* statsq.c: hand statistics to the host */
int vb_statsq_init(struct vb_channel *channel, unsigned int capacity);
void vb_statsq_exit(struct vb_channel *channel);
struct virtio_balloon_stat *vb_statsq_get(struct vb_channel *channel);
void vb_statsq_send(struct vb_channel *channel, unsigned int nr);
void vb_statsq_abandon(struct vb_channel *channel);

/* hintq.c: post commands and blocks, and take them back */
int vb_hintq_cmd(struct vb_channel *channel, void *cmd, size_t len);
int vb_hintq_block(struct vb_channel *channel, void *block, size_t len,
		   void *token);
void vb_hintq_notify(struct vb_channel *channel, bool urge);
void *vb_hintq_get(struct vb_channel *channel);
bool vb_hintq_broken(struct vb_channel *channel);
void *vb_hintq_detach(struct vb_channel *channel);

/* engine.c: choose whether blocks travel as PFNs or as ranges */
enum vb_engine vb_engine_choose(struct virtio_device *vdev);
unsigned int vb_engine_blocks(enum vb_engine engine);
const char *vb_engine_name(enum vb_engine engine);

/* poison.c: tell the host what a free page contains */
void vb_poison_validate(struct virtio_device *vdev);
void vb_poison_tell(struct virtio_device *vdev);
bool vb_poison_allows_reports(struct virtio_device *vdev);

#endif
