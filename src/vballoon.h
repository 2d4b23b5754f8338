/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rooms share: the batch, the device, and the doors of each room.
 */
#ifndef VBALLOON_H
#define VBALLOON_H

#include <linux/atomic.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/wait.h>

#include "batch.h"
#include "compat.h"
#include "counters.h"
#include "freepage/freepage.h"
#include "policy.h"
#include "store/store.h"
#include "wire/wire.h"
#include "worker.h"

/* Batches: 256 MiB on their way into the balloon at the most. */
#define VB_NR_BATCHES		4U
/* A page migration waits this long for the host. */
#define VB_MIGRATE_WAIT		(2 * HZ)

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
 * struct vb_stats - statistics for the host
 * @wq: runs @work; of its own, so that statistics never wait for a worker that
 *      waits for memory
 * @work: answers the host's request
 */
struct vb_stats {
	struct workqueue_struct *wq;
	struct work_struct work;
};

/**
 * struct vb_device - a balloon device
 * @vdev: the virtio device
 * @worker: the conversation
 * @counters: what has been done
 * @stats: answers the host's request for statistics
 * @channel: how memory travels
 * @store: what is in the balloon
 * @migrator: page migration
 * @policy: how much; worker only
 * @block_batch: blocks that a batch takes; constant while bound
 * @hint: free page hinting
 * @reclaim: the guest takes hinted blocks back
 * @report: free page reporting
 * @batches: all VB_KIND_PAGES batches; constant
 * @idle: those that are not on their way; worker only
 * @moving: guest pages in VB_KIND_PAGES batches on their way, by operation;
 *          written by the worker
 * @pending: VB_PENDING_* bits, events for the worker
 * @exchanging: the balloon rests, but for a block that takes the place of
 *              single pages; worker only
 * @life: held while the conversation begins or ends
 * @leaving: it does not begin again; under @life
 * @target: what the host wants, in guest pages; written by the worker
 * @reserve: the reservation in bytes, 0 for the default; any time
 * @actual: the value of `actual` written last, in balloon pages; worker, or
 *          stop when the worker is gone
 * @actual_at: jiffies of that write; like @actual
 * @state: see enum vb_state; written by the worker
 * @limited_by: see enum vb_limit; written by the worker
 * @complained: bits of enum vb_limit that were named in the log since the target
 *              changed; worker only
 * @oom_nb: deflate on OOM
 * @oom_wanted: pages that an OOM notifier waits for, under MUST_TELL_HOST
 * @oom_given: pages that the worker has given for that, ever
 * @oom_wait: woken when @oom_given grows
 * @memory_nb: memory that goes offline
 * @evict: page frames that no block may stay in, empty for none; under
 *         @evict_wait's lock
 * @evict_wait: woken when the worker has evicted some
 * @reboot_nb: shutdown, reboot and kexec
 * @dir: sysfs folder
 */
struct vb_device {
	struct virtio_device *vdev;
	struct vb_worker worker;
	struct vb_counters counters;
	struct vb_stats stats;

	struct vb_channel channel;
	struct vb_store store;
	struct vb_migrator migrator;
	struct vb_policy policy;
	unsigned int block_batch;
	struct vb_hint hint;
	struct vb_reclaim reclaim;
	struct vb_report report;

	struct vb_batch *batches[VB_NR_BATCHES];
	struct list_head idle;
	unsigned long moving[VB_NR_OPS];

	unsigned long pending;
	bool exchanging;
	struct mutex life;		/* of the conversation */
	bool leaving;

	unsigned long target;
	u64 reserve;
	u32 actual;
	unsigned long actual_at;
	enum vb_state state;
	enum vb_limit limited_by;
	unsigned long complained;

	struct notifier_block oom_nb;
	atomic_long_t oom_wanted;
	atomic_long_t oom_given;
	wait_queue_head_t oom_wait;
	struct notifier_block memory_nb;
	struct vb_range evict;
	wait_queue_head_t evict_wait;
	struct notifier_block reboot_nb;
	struct kobject *dir;
};

/* Bits of vb_device.pending. */
#define VB_PENDING_CONFIG	0	/* the host may have changed the target */
#define VB_PENDING_OOM		1	/* the guest ran out of memory */

/* Time as the policy has it, in ms. */
static inline u64 vb_policy_now(void)
{
	return ktime_to_ms(ktime_get_boottime());
}

static inline bool vb_must_tell(struct vb_device *vb)
{
	return virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_MUST_TELL_HOST);
}

static inline bool vb_deflates_on_oom(struct vb_device *vb)
{
	return virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
}

/*
 * What no program waits for: beside a busy one it gets a quarter of the CPU, not
 * half of it.  Returns what to give set_user_nice() afterwards: the thread is the
 * workqueue's, and as it was lent, so it goes back.
 */
#define VB_NICER	5
static inline int vb_nicer(void)
{
	int nice = task_nice(current);

	set_user_nice(current, nice + VB_NICER);
	return nice;
}

/* worker.c */
int vb_worker_init(struct vb_device *vb);
void vb_worker_exit(struct vb_device *vb);
void vb_read_target(struct vb_device *vb);
void vb_write_actual(struct vb_device *vb, u32 actual);

/* step.c */
int vb_step_init(struct vb_device *vb);
void vb_step_exit(struct vb_device *vb);
void vb_step_empty(struct vb_device *vb);
void vb_step_collect(struct vb_device *vb);
int vb_step_inflate(struct vb_device *vb, const struct vb_goal *goal);
int vb_step_deflate(struct vb_device *vb, unsigned long nr);
int vb_step_evict(struct vb_device *vb, const struct vb_range *range);
unsigned long vb_step_release(struct vb_device *vb, unsigned long nr);
void vb_moved(struct vb_device *vb, enum vb_op op, unsigned long nr);

/* state.c */
void vb_state_set(struct vb_device *vb, enum vb_state state,
		  enum vb_limit limit);

/* reserve.c */
void vb_reserve_init(struct vb_device *vb);
u64 vb_reserve_pages(struct vb_device *vb, u64 total);
int vb_set_reserve(struct vb_device *vb, const char *text);

/* oom.c */
int vb_oom_start(struct vb_device *vb);
void vb_oom_stop(struct vb_device *vb);

/* offline.c */
int vb_offline_init(struct vb_device *vb);
void vb_offline_exit(struct vb_device *vb);
bool vb_offline_range(struct vb_device *vb, struct vb_range *range);
void vb_offline_done(struct vb_device *vb, const struct vb_range *range);

/* migrate.c */
int vb_migrate_init(struct vb_device *vb);
void vb_migrate_exit(struct vb_device *vb);
void vb_migrate_settle(struct vb_device *vb);
bool vb_migrate_parked(struct vb_device *vb);
void vb_migrate_stop(struct vb_device *vb);
void vb_migrate_drop(struct vb_device *vb);

/* stats.c */
int vb_stats_init(struct vb_device *vb);
void vb_stats_exit(struct vb_device *vb);
void vb_stats_ask(struct vb_device *vb);
void vb_stats_stop(struct vb_device *vb);

/* sysfs.c */
int vb_sysfs_add(struct vb_device *vb);
void vb_sysfs_remove(struct vb_device *vb);

#endif
