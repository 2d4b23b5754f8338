/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rooms share: the batch, the device, and the doors of each room.
 */
#ifndef VBALLOON_H
#define VBALLOON_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "policy.h"

/* Balloon pages (the 4 KiB of the wire) in one guest page. */
#define VB_PFNS_PER_PAGE	(1U << (PAGE_SHIFT - VIRTIO_BALLOON_PFN_SHIFT))

/* Some hosts drop a descriptor of more than 1,024 bytes. */
#define VB_BUF_PFNS		256U
/* Host work between two notifications: 8 MiB, a few ms of its main loop. */
#define VB_BATCH_BUFS		8U
#define VB_BATCH_PFNS		(VB_BATCH_BUFS * VB_BUF_PFNS)
/* Batches: 32 MiB on their way into the balloon at the most. */
#define VB_NR_BATCHES		4U
/* Buffers before the host on one queue at the most: 64 MiB of pages. */
#define VB_INFLIGHT_BUFS	64U

/* The host gets this long before it counts as silent. */
#define VB_SILENT_AFTER		(5 * HZ)
/* A page migration waits this long for the host. */
#define VB_MIGRATE_WAIT		(2 * HZ)

/**
 * enum vb_op - what a batch says about its pages
 * @VB_INFLATE: they enter the balloon
 * @VB_DEFLATE: they leave it
 * @VB_NR_OPS: how many there are
 */
enum vb_op {
	VB_INFLATE,
	VB_DEFLATE,
	VB_NR_OPS,
};

/**
 * enum vb_kind - what becomes of a batch that the host has acknowledged
 * @VB_KIND_PAGES: the worker collects it; its pages wait for that
 * @VB_KIND_ADVICE: its pages are in use again; it lives in a page of its own,
 *                  which is freed
 * @VB_KIND_SINGLE: a page migration waits for it
 */
enum vb_kind {
	VB_KIND_PAGES,
	VB_KIND_ADVICE,
	VB_KIND_SINGLE,
};

/**
 * struct vb_batch - PFNs that travel together
 * @node: in one list: idle (worker), or unsent, sent, acknowledged (channel lock)
 * @op: inflate or deflate; set before it is sent
 * @kind: who waits for it; set when it is made
 * @capacity: PFNs that fit; constant
 * @nr: PFNs in it; set before it is sent
 * @posted: buffers handed to the host; channel lock
 * @acked: buffers that came back; channel lock
 * @acknowledged: all buffers came back; written under the channel lock, with
 *                release semantics after everything else
 * @pfn: balloon PFNs (4 KiB units) in CPU byte order, but in the device's while
 *       the batch is sent; owned by who holds the batch
 *
 * The store fills it, the channel carries it; neither knows the other.
 */
struct vb_batch {
	struct list_head node;
	enum vb_op op;
	enum vb_kind kind;
	unsigned int capacity;
	unsigned int nr;
	unsigned int posted;
	unsigned int acked;
	bool acknowledged;
	u32 *pfn;
};

/**
 * enum vb_counter - what has been done since the device was bound
 * @VB_INFLATED: guest pages that entered the balloon
 * @VB_DEFLATED: guest pages that left it
 * @VB_MIGRATED: pages exchanged for others (compaction, offlining)
 * @VB_OOM_PAGES: guest pages given back because memory had run out
 * @VB_SHORTAGES: times the guest could not give a page
 * @VB_KICKS: notifications sent to the host about pages
 * @VB_BUFFERS: buffers of PFNs acknowledged by the host
 * @VB_ACTUAL_WRITES: writes of `actual`
 * @VB_STATS_SENT: statistics handed to the host
 * @VB_SILENCES: times the host fell silent
 * @VB_NR_COUNTERS: how many there are
 */
enum vb_counter {
	VB_INFLATED,
	VB_DEFLATED,
	VB_MIGRATED,
	VB_OOM_PAGES,
	VB_SHORTAGES,
	VB_KICKS,
	VB_BUFFERS,
	VB_ACTUAL_WRITES,
	VB_STATS_SENT,
	VB_SILENCES,
	VB_NR_COUNTERS,
};

/**
 * enum vb_state - what the driver is doing
 * @VB_IDLE: the target is reached
 * @VB_INFLATING: pages are on their way into the balloon
 * @VB_DEFLATING: pages are on their way out of it
 * @VB_LIMITED: the target is not reached and something keeps us from it
 * @VB_SILENT: the host has not answered for a while
 * @VB_BROKEN: the device broke its protocol; nothing more is sent
 * @VB_STOPPED: removed, suspended or shut down; the balloon is empty
 */
enum vb_state {
	VB_IDLE,
	VB_INFLATING,
	VB_DEFLATING,
	VB_LIMITED,
	VB_SILENT,
	VB_BROKEN,
	VB_STOPPED,
};

/**
 * struct vb_line - one of the two PFN queues
 * @vq: the virtqueue; NULL while there is none
 * @unsent: batches that still have buffers to post, oldest first
 * @sent: batches with all buffers posted and some not acknowledged
 * @posted: buffers before the host
 *
 * All but @vq are guarded by the channel lock.
 */
struct vb_line {
	struct virtqueue *vq;
	struct list_head unsent;
	struct list_head sent;
	unsigned int posted;
};

/**
 * struct vb_channel - how memory travels
 * @lock: guards the queues, the lines, @acked and @progress; taken in
 *        interrupts; innermost
 * @line: the inflate and the deflate queue
 * @stats_vq: the statistics queue, or NULL
 * @stats: its buffer; owned by the host while @stats_posted
 * @stats_posted: the host has the buffer; only the statistics work looks
 * @acked: VB_KIND_PAGES batches that the host has acknowledged
 * @pending: batches sent and not acknowledged, by operation
 * @owed: those of them that are not VB_KIND_SINGLE: the worker's
 * @releasing: callers between taking pages out and sending the advice; atomic
 * @progress: jiffies of the last acknowledgment, or of the first post after
 *            none was outstanding
 * @foreign: the device's byte order is not the CPU's
 * @wait: woken when a VB_KIND_SINGLE batch is acknowledged or the driver stops
 */
struct vb_channel {
	spinlock_t lock;	/* queues, lines, acked, progress */
	struct vb_line line[VB_NR_OPS];
	struct virtqueue *stats_vq;
	struct virtio_balloon_stat *stats;
	bool stats_posted;
	struct list_head acked;
	unsigned int pending[VB_NR_OPS];
	unsigned int owed;
	atomic_t releasing;
	unsigned long progress;
	bool foreign;
	wait_queue_head_t wait;
};

/**
 * struct vb_store - what is in the balloon
 * @balloon: the kernel's balloon core: the list of pages, with a lock inside
 * @held: pages on that list or isolated from it for a migration
 * @adjust: MemTotal shrinks by what is ballooned; constant while bound
 * @scratch: for bulk allocation, all NULL in between; worker only
 * @sorted: for sorting a batch; worker only
 */
struct vb_store {
	struct balloon_dev_info balloon;
	atomic_long_t held;
	bool adjust;
	struct page *scratch[VB_BUF_PFNS];
	u32 sorted[VB_BATCH_PFNS];
};

/**
 * struct vb_migrator - one page migration at a time
 * @lock: held during a migration; a migration takes it by trylock only, since
 *        the worker may come there by way of its own allocations
 * @inflate: tells the host of the new page
 * @deflate: tells the host of the old page
 * @page: by operation: the page whose batch the host has not acknowledged in
 *        time, with a reference, or NULL
 */
struct vb_migrator {
	struct mutex lock;	/* one migration at a time */
	struct vb_batch *inflate;
	struct vb_batch *deflate;
	struct page *page[VB_NR_OPS];
};

/**
 * struct vb_device - a balloon device
 * @vdev: the virtio device
 * @wq: runs @work
 * @stats_wq: runs @stats_work; of its own so that statistics never wait for a
 *            worker that waits for memory
 * @work: the worker
 * @stats_work: answers the host's request for statistics
 * @channel: how memory travels
 * @store: what is in the balloon
 * @migrator: page migration
 * @policy: how much; worker only
 * @batches: all VB_KIND_PAGES batches; constant
 * @idle: those that are not on their way; worker only
 * @moving: guest pages in VB_KIND_PAGES batches on their way, by operation;
 *          written by the worker
 * @pending: VB_PENDING_* bits, events for the worker
 * @awaits: the worker has an interest in what the host answers; written by the
 *          worker
 * @stopping: no new work; set before the queues go away
 * @target: what the host wants, in guest pages; written by the worker
 * @reserve: the reservation in bytes, 0 for the default; any time
 * @actual: the value of `actual` written last, in balloon pages; worker, or
 *          stop when the worker is gone
 * @actual_at: jiffies of that write; like @actual
 * @state: see enum vb_state; written by the worker
 * @limited_by: see enum vb_limit; written by the worker
 * @complained: bits of enum vb_limit that were named in the log since the target
 *              changed; worker only
 * @counter: see enum vb_counter
 * @oom_nb: deflate on OOM
 * @oom_wanted: pages that an OOM notifier waits for, under MUST_TELL_HOST
 * @oom_given: pages that the worker has given for that, ever
 * @oom_wait: woken when @oom_given grows
 * @reboot_nb: shutdown, reboot and kexec
 * @dir: sysfs folder
 */
struct vb_device {
	struct virtio_device *vdev;
	struct workqueue_struct *wq;
	struct workqueue_struct *stats_wq;
	struct delayed_work work;
	struct work_struct stats_work;

	struct vb_channel channel;
	struct vb_store store;
	struct vb_migrator migrator;
	struct vb_policy policy;

	struct vb_batch *batches[VB_NR_BATCHES];
	struct list_head idle;
	unsigned long moving[VB_NR_OPS];

	unsigned long pending;
	bool awaits;
	bool stopping;

	unsigned long target;
	u64 reserve;
	u32 actual;
	unsigned long actual_at;
	enum vb_state state;
	enum vb_limit limited_by;
	unsigned long complained;
	atomic_long_t counter[VB_NR_COUNTERS];

	struct notifier_block oom_nb;
	atomic_long_t oom_wanted;
	atomic_long_t oom_given;
	wait_queue_head_t oom_wait;
	struct notifier_block reboot_nb;
	struct kobject *dir;
};

/* Bits of vb_device.pending. */
#define VB_PENDING_CONFIG	0	/* the host may have changed the target */
#define VB_PENDING_OOM		1	/* the guest ran out of memory */

static inline void vb_count(struct vb_device *vb, enum vb_counter counter,
			    long n)
{
	atomic_long_add(n, &vb->counter[counter]);
}

static inline bool vb_must_tell(struct vb_device *vb)
{
	return virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_MUST_TELL_HOST);
}

static inline bool vb_deflates_on_oom(struct vb_device *vb)
{
	return virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
}

/* worker.c */
int vb_worker_init(struct vb_device *vb);
void vb_worker_exit(struct vb_device *vb);
void vb_worker_empty(struct vb_device *vb);
void vb_kick_worker(struct vb_device *vb);
void vb_host_answered(struct vb_device *vb);
void vb_read_target(struct vb_device *vb);
void vb_write_actual(struct vb_device *vb, u32 actual);
unsigned long vb_release(struct vb_device *vb, unsigned long nr);

/* reserve.c */
void vb_reserve_init(struct vb_device *vb);
u64 vb_total_pages(struct vb_device *vb);
u64 vb_reserve_pages(struct vb_device *vb, u64 total);
int vb_set_reserve(struct vb_device *vb, const char *text);

/* oom.c */
int vb_oom_start(struct vb_device *vb);
void vb_oom_stop(struct vb_device *vb);

/* batch.c */
struct vb_batch *vb_batch_alloc(enum vb_kind kind, unsigned int capacity);
void vb_batch_free(struct vb_batch *batch);
void vb_batch_init(struct vb_batch *batch, enum vb_kind kind,
		   unsigned int capacity, u32 *pfn);
bool vb_batch_acknowledged(const struct vb_batch *batch);

/* channel.c */
int vb_channel_init(struct vb_device *vb);
void vb_channel_exit(struct vb_device *vb);
int vb_channel_open(struct vb_device *vb);
void vb_channel_close(struct vb_device *vb);
void vb_channel_send(struct vb_device *vb, struct vb_batch *batch);
void vb_channel_release_begin(struct vb_device *vb);
void vb_channel_release_end(struct vb_device *vb);
bool vb_channel_pump(struct vb_device *vb);
bool vb_channel_reap(struct vb_device *vb);
struct vb_batch *vb_channel_acked(struct vb_device *vb);
bool vb_channel_advising(struct vb_device *vb);
bool vb_channel_busy(struct vb_device *vb);
bool vb_channel_broken(struct vb_device *vb);
bool vb_channel_silent(struct vb_device *vb);
void vb_channel_stats(struct vb_device *vb);

/* store.c */
void vb_store_init(struct vb_store *store, bool adjust);
unsigned long vb_store_held(struct vb_store *store);
void vb_store_prepare(struct vb_store *store, struct vb_batch *batch,
		      unsigned long nr);
void vb_store_abort(struct vb_batch *batch);
void vb_store_commit(struct vb_store *store, struct vb_batch *batch);
void vb_store_forget(struct vb_store *store);
void vb_store_take(struct vb_store *store, struct vb_batch *batch,
		   unsigned long nr);
unsigned long vb_store_release(struct vb_store *store, unsigned long nr,
			       struct vb_batch **advice);
void vb_store_empty(struct vb_store *store);

/* migrate.c */
int vb_migrate_init(struct vb_device *vb);
void vb_migrate_exit(struct vb_device *vb);
void vb_migrate_settle(struct vb_device *vb);
bool vb_migrate_parked(struct vb_device *vb);
void vb_migrate_stop(struct vb_device *vb);
void vb_migrate_drop(struct vb_device *vb);

/* stats.c */
unsigned int vb_stats_fill(struct virtio_device *vdev,
			   struct virtio_balloon_stat *stats);
#define VB_STATS_MAX	16

/* sysfs.c */
int vb_sysfs_add(struct vb_device *vb);
void vb_sysfs_remove(struct vb_device *vb);

#endif
