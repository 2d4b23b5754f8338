/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What struct vb_device holds for each room of the top floor.
 */
#ifndef VB_ROOMS_H
#define VB_ROOMS_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "batch.h"

/* The worker's batches: 256 MiB, if each has VB_BATCH_BLOCKS. */
#define VB_NR_BATCHES		4U

/**
 * struct vb_transfer - the worker's batches, idle or sent
 */
struct vb_transfer {
	/** @batch: all VB_KIND_PAGES batches, idle or sent; constant */
	struct vb_batch *batch[VB_NR_BATCHES];
	/** @idle: batches that are not sent; worker only */
	struct list_head idle;
	/** @blocks: the most blocks of an inflation in one batch; constant */
	unsigned int blocks;
	/**
	 * @moving: guest pages in sent batches, by operation; written by the
	 * worker, read anywhere
	 */
	unsigned long moving[VB_NR_OPS];
	/** @oom_sent: guest pages in batches sent for an OOM; worker only */
	unsigned long oom_sent;
	/** @oom_returned: how many of @oom_sent the host has let go; atomic */
	atomic_long_t oom_returned;
	/** @wait: woken when @oom_returned grows, and when the driver stops */
	wait_queue_head_t wait;
};

/**
 * struct vb_migrator - the batches and parked pages of page migrations
 *
 * One migration runs at a time; others are refused meanwhile.
 */
struct vb_migrator {
	/**
	 * @lock: held during a migration.  A migration only tries to take the
	 * lock: the worker may get into a migration by its own allocations, and
	 * must not sleep there for another one that waits for the host
	 */
	struct mutex lock;
	/** @inflate: tells the host of the new page; @lock */
	struct vb_batch *inflate;
	/** @deflate: tells the host of the old page; @lock */
	struct vb_batch *deflate;
	/**
	 * @parked: by operation: the page whose batch the host did not
	 * acknowledge in time, with a reference, or NULL; written under @lock,
	 * read anywhere
	 */
	struct page *parked[VB_NR_OPS];
	/**
	 * @late: @deflate was not acknowledged in time, and is unread; like
	 * @parked
	 */
	bool late;
	/** @block: the parked old page is the first one of a block; @lock */
	bool block;
};

/**
 * struct vb_oom - the OOM notifier, and what it asks of the worker
 */
struct vb_oom {
	/** @nb: called when the guest is out of memory */
	struct notifier_block nb;
	/**
	 * @requested: guest pages that calls have asked of the worker under
	 * MUST_TELL_HOST, less those that were not to be had; grows only while
	 * none of them is still to come; atomic
	 */
	atomic_long_t requested;
	/**
	 * @stuck: vb_transfer.oom_returned when a call last waited in vain, or
	 * -1; the notifier only, which the kernel calls under oom_lock
	 */
	long stuck;
};

/**
 * struct vb_stats - the work that hands statistics to the host
 */
struct vb_stats {
	/**
	 * @wq: runs @work; separate from the worker's, since the worker may
	 * sleep in reclaim; constant
	 */
	struct workqueue_struct *wq;
	/** @work: fills the buffer and hands it to the host */
	struct work_struct work;
};

#endif
