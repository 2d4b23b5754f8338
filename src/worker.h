/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How any room calls the worker.  What the worker does is in worker.c, on the
 * top floor; this is all that the floors below know of it.
 */
#ifndef VB_WORKER_H
#define VB_WORKER_H

#include <linux/workqueue.h>

/* A work item makes way for the freezer and for others this often. */
#define VB_WORK_SLICE	(HZ / 10)

/**
 * struct vb_worker - the worker, as others see it
 */
struct vb_worker {
	/** @wq: runs @work; constant */
	struct workqueue_struct *wq;
	/** @work: the conversation with the host */
	struct delayed_work work;
	/** @events: VB_EVENT_* bits: what the worker has to look at */
	unsigned long events;
	/** @awaits: the worker waits for the host; written by the worker */
	bool awaits;
	/**
	 * @stopping: the conversation ends or has ended, no new work; written
	 * under vb_device.life, before the queues go away
	 */
	bool stopping;
};

/* Bits of vb_worker.events. */
#define VB_EVENT_CONFIG		0	/* the host may have changed the target */
#define VB_EVENT_OOM		1	/* the guest ran out of memory */

/**
 * vb_worker_stopping() - does the conversation end?
 * @worker: the worker
 *
 * Context: Any.
 * Return: true from the beginning of the end until the next start.
 */
static inline bool vb_worker_stopping(const struct vb_worker *worker)
{
	return READ_ONCE(worker->stopping);
}

/**
 * vb_worker_kick() - let the worker run now
 * @worker: the worker
 *
 * Context: Any.
 */
static inline void vb_worker_kick(struct vb_worker *worker)
{
	if (!vb_worker_stopping(worker))
		mod_delayed_work(worker->wq, &worker->work, 0);
}

/**
 * vb_worker_answered() - the host has read something
 * @worker: the worker
 *
 * The worker runs if it waits for the host.  Otherwise the page was one that
 * the kernel moves while the balloon rests, and there is nothing to do.
 *
 * Context: Any.
 */
static inline void vb_worker_answered(struct vb_worker *worker)
{
	if (READ_ONCE(worker->awaits))
		vb_worker_kick(worker);
}

#endif
