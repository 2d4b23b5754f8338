/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A balloon device as a list of its rooms, and the doors of the top floor.
 *
 * Only files of this folder include this header.  The floors below have headers
 * of their own (wire/wire.h, store/store.h, freepage/freepage.h) and do not
 * depend on struct vb_device.
 */
#ifndef VBALLOON_H
#define VBALLOON_H

#include <linux/ktime.h>

#include "freepage/freepage.h"
#include "policy.h"
#include "rooms.h"
#include "state.h"

/**
 * struct vb_device - a balloon device
 */
struct vb_device {
	/** @vdev: the virtio device; constant */
	struct virtio_device *vdev;
	/** @worker: the conversation with the host */
	struct vb_worker worker;
	/** @counters: what has been done since the device was bound; atomic */
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
	/** @stats: statistics for the host */
	struct vb_stats stats;

	/** @policy: how much memory the balloon may take; worker only */
	struct vb_policy policy;
	/**
	 * @exchanging: a block has gone into a balloon at its target, and single
	 * pages leave for it; worker only
	 */
	bool exchanging;
	/**
	 * @target: what the host wants, in guest pages; written by the worker,
	 * or before the worker can run; read anywhere
	 */
	unsigned long target;
	/** @reserve: the reservation in bytes, 0 for the default; no guard */
	u64 reserve;
	/**
	 * @actual: the last value of the device's `actual`, in balloon pages;
	 * worker, or main.c while no worker runs
	 */
	u32 actual;
	/** @actual_at: when `actual` was last written, in jiffies; like @actual */
	unsigned long actual_at;

	/** @state: written by vb_state_set() only; read anywhere */
	enum vb_state state;
	/** @limited_by: why the target is not reached; like @state */
	enum vb_limit limited_by;
	/**
	 * @complained: bits of enum vb_limit that the log has named; like @actual
	 */
	unsigned long complained;
	/** @complained_at: when it did, in jiffies; like @actual */
	unsigned long complained_at[VB_NR_LIMITS];

	/** @life: held while the conversation begins or ends; outermost */
	struct mutex life;
	/** @leaving: the machine goes down: never begin again; @life */
	bool leaving;
	/** @reboot_nb: called before shutdown, reboot and kexec */
	struct notifier_block reboot_nb;
	/** @hibernate_nb: called before and after hibernation */
	struct notifier_block hibernate_nb;
	/** @dir: the folder balloon/ in sysfs; constant while it exists */
	struct kobject *dir;
};

/* The policy's time in ms; goes on while the guest is suspended. */
static inline u64 vb_policy_now(void)
{
	return ktime_to_ms(ktime_get_boottime());
}

/*
 * Must the host read the deflate of a page before the guest uses the page
 * (virtio 1.3, 5.5.6)?
 */
static inline bool vb_must_tell(struct vb_device *vb)
{
	return virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_MUST_TELL_HOST);
}

/* May the balloon shrink below the host's target when memory runs out? */
static inline bool vb_deflates_on_oom(struct vb_device *vb)
{
	return virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
}

/* worker.c: the conversation */
int vb_worker_init(struct vb_device *vb);
void vb_worker_exit(struct vb_device *vb);
void vb_worker_read_target(struct vb_device *vb);
void vb_worker_write_actual(struct vb_device *vb, u32 actual);

/*
 * The worker's steps, vb_inflate_step() and vb_deflate_step(), return
 *   0		something moved: ask the policy again
 *   -EBUSY	the host must read something first
 *   -ENOMEM	the guest could not give a page; the policy was told
 *   -EAGAIN	every page left in the balloon is isolated for a migration
 */

/* inflate.c: a batch is filled and sent into the balloon */
int vb_inflate_step(struct vb_device *vb, const struct vb_goal *goal);

/* deflate.c: pages leave, before or after the host has read that */
int vb_deflate_step(struct vb_device *vb, unsigned long nr,
		    enum vb_cause cause);
unsigned long vb_deflate_now(struct vb_device *vb, unsigned long nr);

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
unsigned long vb_transfer_moving(struct vb_device *vb);
unsigned long vb_transfer_blocks(struct vb_device *vb);
unsigned long vb_transfer_fit(struct vb_device *vb, enum vb_op op,
			      unsigned long nr);
unsigned long vb_transfer_take_back(struct vb_device *vb, unsigned long wanted);
void vb_transfer_moved(struct vb_device *vb, enum vb_op op, unsigned long nr);
int vb_transfer_lower_priority(void);

/* migrate.c: the kernel moves a single page of the balloon, or wants a block */
int vb_migrate_init(struct vb_device *vb);
void vb_migrate_exit(struct vb_device *vb);
void vb_migrate_settle(struct vb_device *vb);
bool vb_migrate_parked(struct vb_device *vb);
void vb_migrate_stop(struct vb_device *vb);
void vb_migrate_drop(struct vb_device *vb);

/* oom.c: the guest is out of memory */
int vb_oom_start(struct vb_device *vb);
void vb_oom_stop(struct vb_device *vb);
unsigned long vb_oom_due(struct vb_device *vb);

/* hibernate.c: the kernel makes or loads an image of the guest's memory */
int vb_hibernate_init(struct vb_device *vb);
void vb_hibernate_exit(struct vb_device *vb);

/* reserve.c: what the guest keeps */
void vb_reserve_init(struct vb_device *vb);
u64 vb_reserve_pages(struct vb_device *vb, u64 total);
int vb_reserve_set(struct vb_device *vb, const char *text);

/* state.c: the only setter of the state */
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
