/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How any floor calls the worker.  What the worker does is in worker.c, which
 * the floors below do not depend on.
 */
#ifndef VB_WORKER_H
#define VB_WORKER_H

#include <linux/workqueue.h>

/* A work item returns after this long, so that the freezer can stop it. */
#define VB_WORK_SLICE	(HZ / 10)

/**
 * struct vb_worker - the work item that inflates and deflates
 */
struct vb_worker {
	/** @wq: runs @work; constant */
	struct workqueue_struct *wq;
	/** @work: the conversation with the host; never runs twice at a time */
	struct delayed_work work;
	/** @events: VB_EVENT_* bits that the worker has not seen; atomic bits */
	unsigned long events;
	/**
	 * @awaits: the worker must run when the host has read something;
	 * written by the worker, read anywhere
	 */
	bool awaits;
	/**
	 * @stopping: the conversation ends, or has not begun: queue no work;
	 * written under vb_device.life before the queues close, read anywhere
	 */
	bool stopping;
};

/* Bits of vb_worker.events. */
#define VB_EVENT_CONFIG		0	/* the host may have changed the target */
#define VB_EVENT_OOM		1	/* the guest ran out of memory */

/**
 * vb_worker_stopping() - tell whether new work is refused
 * @worker: the worker
 *
 * Context: Any.
 * Return: true before vb_begin() has made the device ready, and from the start
 * of vb_end().
 */
static inline bool vb_worker_stopping(const struct vb_worker *worker)
{
	return READ_ONCE(worker->stopping);
}

/**
 * vb_worker_kick() - let the worker run now, or again if it runs
 * @worker: the worker
 *
 * Does nothing while the conversation ends.
 *
 * Context: Any.
 */
static inline void vb_worker_kick(struct vb_worker *worker)
{
	if (!vb_worker_stopping(worker))
		mod_delayed_work(worker->wq, &worker->work, 0);
}

/**
 * vb_worker_answered() - let the worker see that the host has read something
 * @worker: the worker
 *
 * Kicks the worker if it waits for the host.  If not, a page migration or a
 * report has got its answer, and the worker has nothing to do.
 *
 * Context: Any.
 */
static inline void vb_worker_answered(struct vb_worker *worker)
{
	if (READ_ONCE(worker->awaits))
		vb_worker_kick(worker);
}

#endif
