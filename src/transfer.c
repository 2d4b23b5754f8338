// SPDX-License-Identifier: GPL-2.0
/*
 * The worker's batches: idle, sent, or finished by the host.
 */
#include <linux/mm.h>

#include "vballoon.h"

#define CREATE_TRACE_POINTS
#include <trace/events/vballoon.h>

/* At most 1/16 of the guest's memory is on its way, in each direction. */
#define VB_MOVING_SHARE		16

/* Nice 5: a quarter of a CPU beside a busy program at nice 0. */
#define VB_LOWER_PRIORITY	5

/**
 * vb_transfer_lower_priority() - lower the priority of the current thread
 *
 * For work that no program waits for.  The thread belongs to the workqueue, so
 * the caller must give the value returned to set_user_nice() afterwards.
 *
 * Context: A work item.
 * Return: the thread's nice value before the call.
 */
int vb_transfer_lower_priority(void)
{
	int nice = task_nice(current);

	set_user_nice(current, nice + VB_LOWER_PRIORITY);
	return nice;
}

/**
 * vb_transfer_get() - take an idle batch
 * @vb: the device
 *
 * Context: The worker.
 * Return: the batch, which moves for the target until the caller says otherwise;
 * NULL while all are sent.
 */
struct vb_batch *vb_transfer_get(struct vb_device *vb)
{
	struct vb_batch *batch;

	batch = list_first_entry_or_null(&vb->transfer.idle, struct vb_batch,
					 node);
	if (!batch)
		return NULL;
	list_del_init(&batch->node);
	batch->cause = VB_FOR_TARGET;
	return batch;
}

/**
 * vb_transfer_put() - put a batch back among the idle ones
 * @vb: the device
 * @batch: the batch; it has no pages
 *
 * Context: The worker.
 */
void vb_transfer_put(struct vb_device *vb, struct vb_batch *batch)
{
	list_add(&batch->node, &vb->transfer.idle);
}

/* Change a count of pages that sysfs reads. */
static void vb_transfer_count(struct vb_device *vb, enum vb_op op, long nr)
{
	WRITE_ONCE(vb->transfer.moving[op], vb->transfer.moving[op] + nr);
}

/**
 * vb_transfer_moving() - how much is on its way?
 * @vb: the device
 *
 * Context: Any.
 * Return: guest pages in sent batches, in both directions.
 */
unsigned long vb_transfer_moving(struct vb_device *vb)
{
	return READ_ONCE(vb->transfer.moving[VB_INFLATE]) +
	       READ_ONCE(vb->transfer.moving[VB_DEFLATE]);
}

/* Guest pages that may be on their way in one direction. */
static unsigned long vb_transfer_most(struct vb_device *vb)
{
	unsigned long most = VB_NR_BATCHES * VB_BATCH_BLOCKS * VB_BLOCK_PAGES;
	u64 share = vb_store_total(&vb->store) / VB_MOVING_SHARE;

	return clamp_t(u64, share, VB_BLOCK_PAGES, most);
}

/**
 * vb_transfer_blocks() - how many blocks go into one batch?
 * @vb: the device
 *
 * All batches together are as much as may be on its way, so that the host has
 * work while the guest fills the next one.
 *
 * Context: The worker.
 * Return: blocks, 1 at least.
 */
unsigned long vb_transfer_blocks(struct vb_device *vb)
{
	unsigned long share = DIV_ROUND_UP(vb_transfer_most(vb),
					   VB_NR_BATCHES * VB_BLOCK_PAGES);

	return min_t(unsigned long, share, vb->transfer.blocks);
}

/**
 * vb_transfer_fit() - how many of these pages may be on their way as well?
 * @vb: the device
 * @op: the direction
 * @nr: guest pages
 *
 * What has to wait is whole blocks, so that it can travel as such.
 *
 * Context: The worker.
 * Return: guest pages; 0 only while others are on their way.
 */
unsigned long vb_transfer_fit(struct vb_device *vb, enum vb_op op,
			      unsigned long nr)
{
	unsigned long most = vb_transfer_most(vb);
	unsigned long room = most - min(most, vb->transfer.moving[op]);
	unsigned long later = round_up(nr - min(nr, room), VB_BLOCK_PAGES);

	return nr - min(nr, later);
}

/**
 * vb_transfer_send() - send a batch
 * @vb: the device
 * @batch: a batch with pages
 * @op: whether the pages enter or leave the balloon
 *
 * Context: The worker.
 */
void vb_transfer_send(struct vb_device *vb, struct vb_batch *batch,
		      enum vb_op op)
{
	batch->op = op;
	vb_transfer_count(vb, op, vb_batch_pages(batch));
	if (batch->cause == VB_FOR_OOM)
		vb->transfer.oom_sent += vb_batch_pages(batch);
	/* The queues are open while the worker runs. */
	WARN_ON_ONCE(!vb_channel_send(&vb->channel, batch));
	vb_channel_pump(&vb->channel);
	vb_channel_reap(&vb->channel);
}

/**
 * vb_transfer_moved() - count and trace pages that entered or left the balloon
 * @vb: the device
 * @op: whether the pages entered or left
 * @nr: guest pages; 0 is neither counted nor traced
 *
 * Context: Any.
 */
void vb_transfer_moved(struct vb_device *vb, enum vb_op op, unsigned long nr)
{
	if (!nr)
		return;
	vb_counters_add(&vb->counters,
			op == VB_INFLATE ? VB_INFLATED : VB_DEFLATED, nr);
	trace_vballoon_moved(vb->vdev->index, op == VB_INFLATE, nr);
}

/**
 * vb_transfer_held() - the balloon's size once all inflations are acknowledged
 * @vb: the device
 *
 * Context: The worker.
 * Return: guest pages in the balloon and on their way into it.
 */
unsigned long vb_transfer_held(struct vb_device *vb)
{
	return vb_store_held(&vb->store) + vb->transfer.moving[VB_INFLATE];
}

/* An OOM notifier may wait for these pages, which are free by now. */
static void vb_transfer_returned(struct vb_device *vb, unsigned long nr)
{
	vb_counters_add(&vb->counters, VB_OOM_PAGES, nr);
	atomic_long_add(nr, &vb->transfer.oom_returned);
	wake_up(&vb->transfer.wait);
}

/**
 * vb_transfer_collect() - finish the batches that the host has acknowledged
 * @vb: the device
 *
 * The pages of an inflation enter the balloon; those of a deflation, which only
 * MUST_TELL_HOST makes wait, are freed.
 *
 * Context: The worker.  May sleep.
 */
void vb_transfer_collect(struct vb_device *vb)
{
	struct vb_batch *batch;
	unsigned long nr;

	while ((batch = vb_channel_acked(&vb->channel))) {
		nr = vb_batch_pages(batch);
		vb_transfer_count(vb, batch->op, -nr);
		if (batch->op == VB_INFLATE) {
			/* First, so that who sees the block sees the count. */
			if (batch->cause == VB_FOR_EXCHANGE)
				vb_counters_add(&vb->counters, VB_EXCHANGED, nr);
			vb_store_commit(&vb->store, batch);
		} else {
			vb_store_abort(&vb->store, batch);
			if (batch->cause == VB_FOR_OOM)
				vb_transfer_returned(vb, nr);
		}
		vb_transfer_moved(vb, batch->op, nr);
		vb_transfer_put(vb, batch);
	}
}

/**
 * vb_transfer_take_back() - give the guest what the host has not seen yet
 * @vb: the device
 * @wanted: guest pages; whole batches go back until it is as much
 *
 * Context: The worker.
 * Return: guest pages that went back, which may be more than @wanted, or none.
 */
unsigned long vb_transfer_take_back(struct vb_device *vb, unsigned long wanted)
{
	struct vb_batch *batch;
	unsigned long back = 0;

	while (back < wanted && (batch = vb_unsent_take(&vb->channel))) {
		vb_transfer_count(vb, VB_INFLATE, -(long)vb_batch_pages(batch));
		back += vb_batch_pages(batch);
		vb_store_abort(&vb->store, batch);
		vb_transfer_put(vb, batch);
	}
	return back;
}

/**
 * vb_transfer_init() - allocate all batches
 * @vb: the device
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_transfer_exit() is due either way.
 */
int vb_transfer_init(struct vb_device *vb)
{
	unsigned int i;

	init_waitqueue_head(&vb->transfer.wait);
	INIT_LIST_HEAD(&vb->transfer.idle);
	for (i = 0; i < VB_NR_BATCHES; i++) {
		vb->transfer.batch[i] = vb_batch_alloc(VB_KIND_PAGES, VB_BATCH_PFNS);
		if (!vb->transfer.batch[i])
			return -ENOMEM;
		vb_transfer_put(vb, vb->transfer.batch[i]);
	}
	return 0;
}

/**
 * vb_transfer_empty() - give back all pages, in the balloon or in a batch
 * @vb: the device, stopped and reset, so that the host holds no page
 *
 * Context: May sleep.
 */
void vb_transfer_empty(struct vb_device *vb)
{
	unsigned long lost;
	unsigned int i;

	INIT_LIST_HEAD(&vb->transfer.idle);
	for (i = 0; i < VB_NR_BATCHES; i++) {
		vb_store_abort(&vb->store, vb->transfer.batch[i]);
		vb_transfer_put(vb, vb->transfer.batch[i]);
	}
	vb_transfer_moved(vb, VB_DEFLATE, vb_store_held(&vb->store) +
			  vb->transfer.moving[VB_DEFLATE]);
	WRITE_ONCE(vb->transfer.moving[VB_INFLATE], 0);
	WRITE_ONCE(vb->transfer.moving[VB_DEFLATE], 0);
	vb->transfer.oom_sent = atomic_long_read(&vb->transfer.oom_returned);
	lost = vb_store_empty(&vb->store);
	if (lost)
		dev_err(&vb->vdev->dev, "%lu pages cannot be found and stay lost\n",
			lost);
}

/**
 * vb_transfer_exit() - free what vb_transfer_init() allocated
 * @vb: the device, its balloon empty
 *
 * Context: Any.
 */
void vb_transfer_exit(struct vb_device *vb)
{
	unsigned int i;

	for (i = 0; i < VB_NR_BATCHES; i++)
		vb_batch_free(vb->transfer.batch[i]);
}
