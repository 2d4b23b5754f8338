/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Free memory that is not the balloon's: the door of this floor.
 *
 * Hints: for a live migration the host asks which memory is free.  The driver
 * allocates free blocks and tells the host of them.  Blocks that the host has
 * read stay in the pool until the host is done, or the guest reclaims them.
 *
 * Reports: the kernel finds free memory, and the host may discard it.
 */
#ifndef VB_FREEPAGE_H
#define VB_FREEPAGE_H

#include <linux/notifier.h>

#include "store/store.h"
#include "wire/wire.h"
#include "worker.h"

/*
 * Priorities among the OOM notifiers.  The balloon's is that of the in-tree
 * driver.  Hinted blocks are freed before pages of the balloon: the host wants
 * these for itself, and hints only to migrate faster.
 */
#define VB_OOM_PRIORITY		80
#define VB_RECLAIM_PRIORITY	(VB_OOM_PRIORITY + 1)

/**
 * struct vb_pool - blocks that were taken for hints and are not in flight
 *
 * A block is linked by its first page, whose private field is its order.
 */
struct vb_pool {
	/**
	 * @lock: guards the pool, and the fields of struct vb_hint that name
	 * it; the channel lock is taken inside
	 */
	spinlock_t lock;
	/** @read: blocks that the host has read for its last command; @lock */
	struct list_head read;
	/**
	 * @due: blocks still to be posted for that command: told for an earlier
	 * command, or the ring had no room; @lock
	 */
	struct list_head due;
	/** @pages: guest pages in both lists; @lock, read anywhere */
	unsigned long pages;
};

/**
 * struct vb_hint - free page hinting
 *
 * The pool lock is held while a buffer is posted or taken back, so that the
 * counts here agree with the hint queue.
 */
struct vb_hint {
	/** @channel: carries hints; constant */
	struct vb_channel *channel;
	/** @store: gives the size of the guest; constant */
	struct vb_store *store;
	/** @worker: sets the state when the host is silent; constant */
	struct vb_worker *worker;
	/** @wq: runs @work; NULL if the host does not ask for hints; constant */
	struct workqueue_struct *wq;
	/** @work: answers the host; never runs twice at a time */
	struct delayed_work work;
	/** @events: VB_HINT_* bits that @work has not seen; atomic bits */
	unsigned long events;
	/** @pool: blocks that were taken for hints and are not in flight */
	struct vb_pool pool;

	/** @in_flight: blocks that the host has; pool lock, read anywhere */
	unsigned int in_flight;
	/** @in_flight_pages: guest pages in these blocks; like @in_flight */
	unsigned long in_flight_pages;
	/**
	 * @progress: jiffies when the host last handed a buffer back, or when
	 * the first buffer was posted to an empty queue; like @in_flight
	 */
	unsigned long progress;
	/**
	 * @cmd: the buffer for a command's number, in the device's byte order;
	 * belongs to the host while @cmd_posted, else to the pool lock
	 */
	__virtio32 cmd;
	/** @cmd_posted: the host has @cmd; pool lock */
	bool cmd_posted;
	/**
	 * @strained: the guest has needed memory, so that this command gets no
	 * further blocks; set anywhere, cleared under the pool lock
	 */
	bool strained;
	/**
	 * @broken: the device broke its protocol: no hints before the next
	 * reset; written by @work, read anywhere
	 */
	bool broken;
	/**
	 * @urge: notify the host even if the ring says that it needs no
	 * notification: the ring may have come with a migration, from another
	 * host; @work only
	 */
	bool urge;
	/** @order: log2 of the guest pages in the next block; @work only */
	unsigned int order;
	/** @wanted: the host's last command that was not STOP; @work only */
	u32 wanted;
	/**
	 * @told: the command whose number was posted last; written by @work
	 * under the pool lock, read by @work only
	 */
	u32 told;
	/**
	 * @spent: the last command for which no block is left to post, so that
	 * STOP answers it; @work only
	 */
	u32 spent;
};

/* Bits of vb_hint.events. */
#define VB_HINT_ASKED	0	/* the host may have a new command */

/**
 * struct vb_reclaim - the guest takes hinted blocks back
 */
struct vb_reclaim {
	/** @hint: the hints; constant */
	struct vb_hint *hint;
	/** @shrinker: called in reclaim; NULL while stopped; vb_device.life */
	struct shrinker *shrinker;
	/** @oom_nb: called before the OOM killer; registered with @shrinker */
	struct notifier_block oom_nb;
};

/**
 * struct vb_report - free page reporting
 */
struct vb_report {
	/** @channel: carries reports; constant */
	struct vb_channel *channel;
	/** @worker: sets the state when the host is silent; constant */
	struct vb_worker *worker;
	/** @info: the kernel's page reporting uses it while @registered */
	struct page_reporting_dev_info info;
	/** @registered: the kernel calls us with reports; vb_device.life */
	bool registered;
};

/* pool.c: blocks that were taken for hints and are not in flight */
unsigned long vb_pool_pages(const struct vb_pool *pool);

/* hint.c: the host's commands, and the answers */
int vb_hint_init(struct vb_hint *hint, struct vb_channel *channel,
		 struct vb_store *store, struct vb_worker *worker);
void vb_hint_exit(struct vb_hint *hint);
void vb_hint_stop(struct vb_hint *hint);
void vb_hint_abandon(struct vb_hint *hint);
void vb_hint_empty(struct vb_hint *hint);
void vb_hint_config_changed(struct vb_hint *hint);
void vb_hint_answered(struct vb_hint *hint);
void vb_hint_collect(struct vb_hint *hint);
unsigned long vb_hint_held(const struct vb_hint *hint);
bool vb_hint_silent(struct vb_hint *hint);

/* reclaim.c: the guest needs its memory back */
void vb_reclaim_init(struct vb_reclaim *reclaim, struct vb_hint *hint);
int vb_reclaim_start(struct vb_reclaim *reclaim);
void vb_reclaim_stop(struct vb_reclaim *reclaim);
bool vb_reclaim_yield(struct vb_reclaim *reclaim, unsigned long nr);

/* report.c: the kernel's page reporting */
void vb_report_init(struct vb_report *report, struct vb_channel *channel,
		    struct vb_worker *worker);
void vb_report_start(struct vb_report *report);
void vb_report_stop(struct vb_report *report);

#endif
