/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A balloon device as a list of its rooms, and the doors of the top floor.
 *
 * Only the rooms of this folder include it.  The floors below have doors of
 * their own (wire/wire.h, store/store.h, freepage/freepage.h) and do not know
 * that there is a struct vb_device.
 */
#ifndef VBALLOON_H
#define VBALLOON_H

#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/wait.h>

#include "freepage/freepage.h"
#include "policy.h"
#include "state.h"

/* Batches: 256 MiB on their way into the balloon at the most. */
#define VB_NR_BATCHES		4U

/**
 * struct vb_transfer - the worker's batches
 */
struct vb_transfer {
	/** @batch: all VB_KIND_PAGES batches; constant */
	struct vb_batch *batch[VB_NR_BATCHES];
	/** @idle: those that are not on their way; worker only */
	struct list_head idle;
	/** @blocks: blocks that a batch takes; constant while bound */
	unsigned int blocks;
	/** @moving: guest pages on their way, by operation; written by the worker */
	unsigned long moving[VB_NR_OPS];
	/** @returned: guest pages that left after the host was told, ever */
	atomic_long_t returned;
	/** @wait: woken when @returned grows, and when the driver stops */
	wait_queue_head_t wait;
};

/**
 * struct vb_migrator - one page migration at a time
 */
struct vb_migrator {
	/**
	 * @lock: held during a migration.  A migration takes it by trylock
	 * only, since the worker may come there by its own allocations
	 */
	struct mutex lock;
	/** @inflate: tells the host of the new page; @lock */
	struct vb_batch *inflate;
	/** @deflate: tells the host of the old page; @lock */
	struct vb_batch *deflate;
	/**
	 * @parked: by operation: the page whose batch the host has not
	 * acknowledged in time, with a reference, or NULL; written under @lock
	 */
	struct page *parked[VB_NR_OPS];
};

/**
 * struct vb_oom - the guest is out of memory
 */
struct vb_oom {
	/** @nb: deflates, where the host agreed to that */
	struct notifier_block nb;
	/** @wanted: guest pages that the notifier waits for the worker to give */
	atomic_long_t wanted;
};

/**
 * struct vb_offline - memory goes offline
 */
struct vb_offline {
	/** @nb: hears of it */
	struct notifier_block nb;
	/** @range: frames that no block may stay in, or none; under @wait's lock */
	struct vb_range range;
	/** @wait: woken when the worker has evicted some, and when it stops */
	wait_queue_head_t wait;
};

/**
 * struct vb_stats - statistics for the host
 */
struct vb_stats {
	/** @wq: of its own: statistics do not wait for a worker short of memory */
	struct workqueue_struct *wq;
	/** @work: answers the host's request */
	struct work_struct work;
};

/**
 * struct vb_device - a balloon device
 */
struct vb_device {
	/** @vdev: the virtio device; constant */
	struct virtio_device *vdev;
	/** @worker: the conversation with the host */
	struct vb_worker worker;
	/** @counters: what has been done */
	struct vb_counters counters;

	/** @channel: how memory travels */
	struct vb_channel channel;
	/** @store: what is in the balloon */
	struct vb_store store;
	/** @hint: free page hinting */
	struct vb_hint hint;
	/** @reclaim: the guest takes hinted blocks back */
	struct vb_reclaim reclaim;
	/** @report: free page reporting */
	struct vb_report report;

	/** @transfer: the worker's batches */
	struct vb_transfer transfer;
	/** @migrator: the kernel moves pages of the balloon */
	struct vb_migrator migrator;
	/** @oom: the guest is out of memory */
	struct vb_oom oom;
	/** @offline: memory goes offline */
	struct vb_offline offline;
	/** @stats: statistics for the host */
	struct vb_stats stats;

	/** @policy: how much; worker only */
	struct vb_policy policy;
	/** @exchanging: a block takes the place of single pages; worker only */
	bool exchanging;
	/** @target: what the host wants, in guest pages; written by the worker */
	unsigned long target;
	/** @reserve: the reservation in bytes, 0 for the default; any time */
	u64 reserve;
	/**
	 * @actual: the value of `actual` written last, in balloon pages;
	 * worker, or stop when the worker is gone
	 */
	u32 actual;
	/** @actual_at: jiffies of that write; like @actual */
	unsigned long actual_at;

	/** @state: written by vb_state_set() */
	enum vb_state state;
	/** @limited_by: like @state */
	enum vb_limit limited_by;
	/**
	 * @complained: bits of enum vb_limit that the log has named since the
	 * target changed; worker only
	 */
	unsigned long complained;

	/** @life: held while the conversation begins or ends */
	struct mutex life;
	/** @leaving: the conversation does not begin again; @life */
	bool leaving;
	/** @reboot_nb: shutdown, reboot and kexec */
	struct notifier_block reboot_nb;
	/** @dir: the sysfs folder */
	struct kobject *dir;
};

/* Time as the policy has it, in ms. */
static inline u64 vb_policy_now(void)
{
	return ktime_to_ms(ktime_get_boottime());
}

/* Pages may be used only when the host has read that they leave. */
static inline bool vb_must_tell(struct vb_device *vb)
{
	return virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_MUST_TELL_HOST);
}

/* The guest may take pages back, below the target, when memory runs out. */
static inline bool vb_deflates_on_oom(struct vb_device *vb)
{
	return virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
}

/* worker.c: the conversation */
int vb_worker_init(struct vb_device *vb);
void vb_worker_exit(struct vb_device *vb);
void vb_worker_read_target(struct vb_device *vb);
void vb_worker_write_actual(struct vb_device *vb, u32 actual);

/* inflate.c: a batch is filled and goes in */
int vb_inflate_step(struct vb_device *vb, const struct vb_goal *goal);

/* deflate.c: pages leave, at once or when the host has been told */
int vb_deflate_step(struct vb_device *vb, unsigned long nr);
unsigned long vb_deflate_now(struct vb_device *vb, unsigned long nr);
int vb_deflate_evict(struct vb_device *vb, const struct vb_range *range);

/* transfer.c: the worker's batches, idle, sent or finished */
int vb_transfer_init(struct vb_device *vb);
void vb_transfer_exit(struct vb_device *vb);
void vb_transfer_empty(struct vb_device *vb);
void vb_transfer_collect(struct vb_device *vb);
struct vb_batch *vb_transfer_get(struct vb_device *vb);
void vb_transfer_put(struct vb_device *vb, struct vb_batch *batch);
void vb_transfer_send(struct vb_device *vb, struct vb_batch *batch,
		      enum vb_op op);
unsigned long vb_transfer_held(struct vb_device *vb);
bool vb_transfer_overlaps(struct vb_device *vb, const struct vb_range *range);
void vb_transfer_moved(struct vb_device *vb, enum vb_op op, unsigned long nr);
int vb_transfer_lower_priority(void);

/* migrate.c: the kernel moves a single page of the balloon */
int vb_migrate_init(struct vb_device *vb);
void vb_migrate_exit(struct vb_device *vb);
void vb_migrate_settle(struct vb_device *vb);
bool vb_migrate_parked(struct vb_device *vb);
void vb_migrate_stop(struct vb_device *vb);
void vb_migrate_drop(struct vb_device *vb);

/* oom.c: the guest is out of memory */
int vb_oom_start(struct vb_device *vb);
void vb_oom_stop(struct vb_device *vb);
unsigned long vb_oom_wanted(struct vb_device *vb);
void vb_oom_served(struct vb_device *vb);

/* offline.c: memory goes offline, and blocks are in its way */
int vb_offline_init(struct vb_device *vb);
void vb_offline_exit(struct vb_device *vb);
void vb_offline_stop(struct vb_device *vb);
bool vb_offline_range(struct vb_device *vb, struct vb_range *range);
void vb_offline_done(struct vb_device *vb, const struct vb_range *range);

/* reserve.c: what the guest keeps */
void vb_reserve_init(struct vb_device *vb);
u64 vb_reserve_pages(struct vb_device *vb, u64 total);
int vb_reserve_set(struct vb_device *vb, const char *text);

/* state.c: the one setter */
void vb_state_set(struct vb_device *vb, enum vb_state state,
		  enum vb_limit limit);

/* stats.c: numbers for the host */
int vb_stats_init(struct vb_device *vb);
void vb_stats_exit(struct vb_device *vb);
void vb_stats_ask(struct vb_device *vb);
void vb_stats_stop(struct vb_device *vb);

/* sysfs.c: what a person sees */
int vb_sysfs_add(struct vb_device *vb);
void vb_sysfs_remove(struct vb_device *vb);

#endif
