/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free memory that is not the balloon's: the door of this floor.
 *
 * Hints: for a live migration the host asks which memory is free.  What it was
 * told stays in the pool until the host is done, or the guest reclaims it.
 * Reports: the kernel finds free memory that the host may replace by nothing.
 */
#ifndef VB_FREEPAGE_H
#define VB_FREEPAGE_H

#include <linux/notifier.h>

#include "store/store.h"
#include "wire/wire.h"
#include "worker.h"

/*
 * The balloon's place among the OOM notifiers, that of the in-tree driver.
 * Hinted blocks go before the balloon's pages do, since they cost nothing.
 */
#define VB_OOM_PRIORITY		80
#define VB_RECLAIM_PRIORITY	(VB_OOM_PRIORITY + 1)

/**
 * struct vb_pool - hinted blocks that the host has read
 *
 * A block is linked by its first page, whose private field is its order.
 */
struct vb_pool {
	/** @lock: guards the pool and what is before the host; see vb_hint */
	spinlock_t lock;
	/** @kept: blocks told for the last command */
	struct list_head kept;
	/** @again: blocks that are free for the next command to tell */
	struct list_head again;
	/** @pages: guest pages in both lists; @lock, read anywhere */
	unsigned long pages;
};

/**
 * struct vb_hint - free page hinting
 *
 * The pool's lock is held while a buffer is posted or taken back; it is taken
 * outside the channel lock.
 */
struct vb_hint {
	/** @channel: where hints travel; constant */
	struct vb_channel *channel;
	/** @store: says how large the guest is; constant */
	struct vb_store *store;
	/** @worker: says that the host is silent; constant */
	struct vb_worker *worker;
	/** @wq: runs @work; NULL if the host does not ask */
	struct workqueue_struct *wq;
	/** @work: answers the host */
	struct delayed_work work;
	/** @events: VB_HINT_* bits */
	unsigned long events;
	/** @pool: what the host has read */
	struct vb_pool pool;

	/** @in_flight: blocks before the host; pool lock, read anywhere */
	unsigned int in_flight;
	/** @in_flight_pages: guest pages in them; like @in_flight */
	unsigned long in_flight_pages;
	/**
	 * @progress: jiffies when the host last read something, or got
	 * something after it had nothing; like @in_flight
	 */
	unsigned long progress;
	/**
	 * @cmd: the buffer that a command's number travels in, in the device's
	 * byte order; the host's while @cmd_posted
	 */
	__virtio32 cmd;
	/** @cmd_posted: the host has @cmd; pool lock */
	bool cmd_posted;
	/** @strained: the guest needed memory: take no more for this command */
	bool strained;
	/** @broken: no more hints before the next reset; written by @work */
	bool broken;
	/**
	 * @urge: notify the host even if it did not ask for it.  A migration's
	 * destination is another host than the one that did not; @work only
	 */
	bool urge;
	/** @order: of the blocks to take next; @work only */
	unsigned int order;
	/** @wanted: the last command in the config that was not STOP; @work only */
	u32 wanted;
	/** @told: the command that was posted last; @work only */
	u32 told;
	/** @spent: the command that there is no more to tell for; @work only */
	u32 spent;
};

/* Bits of vb_hint.events. */
#define VB_HINT_ASKED	0	/* the host may have another question */

/**
 * struct vb_reclaim - the guest takes hinted blocks back
 */
struct vb_reclaim {
	/** @hint: the hints; constant */
	struct vb_hint *hint;
	/** @shrinker: hears of it when memory is short; NULL while stopped */
	struct shrinker *shrinker;
	/** @oom_nb: the same, at the last moment */
	struct notifier_block oom_nb;
};

/**
 * struct vb_report - free page reporting
 */
struct vb_report {
	/** @channel: where reports travel; constant */
	struct vb_channel *channel;
	/** @worker: says that the host is silent; constant */
	struct vb_worker *worker;
	/** @info: known to the kernel while @registered */
	struct page_reporting_dev_info info;
	/** @registered: see @info; start and stop only */
	bool registered;
};

/* pool.c: what the host has read */
unsigned long vb_pool_pages(const struct vb_pool *pool);

/* hint.c: the host's questions */
int vb_hint_init(struct vb_hint *hint, struct vb_channel *channel,
		 struct vb_store *store, struct vb_worker *worker);
void vb_hint_exit(struct vb_hint *hint);
void vb_hint_stop(struct vb_hint *hint);
void vb_hint_empty(struct vb_hint *hint);
void vb_hint_config_changed(struct vb_hint *hint);
void vb_hint_answered(struct vb_hint *hint);
void vb_hint_collect(struct vb_hint *hint);
unsigned long vb_hint_held(const struct vb_hint *hint);
bool vb_hint_silent(const struct vb_hint *hint);

/* reclaim.c: the guest needs its memory */
void vb_reclaim_init(struct vb_reclaim *reclaim, struct vb_hint *hint);
int vb_reclaim_start(struct vb_reclaim *reclaim);
void vb_reclaim_stop(struct vb_reclaim *reclaim);
bool vb_reclaim_yield(struct vb_reclaim *reclaim, unsigned long nr);

/* report.c: what the guest does not use */
void vb_report_init(struct vb_report *report, struct vb_channel *channel,
		    struct vb_worker *worker);
void vb_report_start(struct vb_report *report);
void vb_report_stop(struct vb_report *report);

#endif
