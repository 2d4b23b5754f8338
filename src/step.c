// SPDX-License-Identifier: GPL-2.0
/*
 * A step towards the goal: one batch goes in, or comes out.  Nobody waits here.
 *
 * The steps return
 *   0		something moved: ask for the next goal
 *   -EBUSY	it is the host's turn
 *   -ENOMEM	the guest could not give a page: the policy knows
 *   -EAGAIN	no page can leave the balloon just now: all are being migrated
 */
#include <linux/mm.h>

#include "vballoon.h"

#define CREATE_TRACE_POINTS
#include <trace/events/vballoon.h>

static struct vb_batch *vb_idle_get(struct vb_device *vb)
{
	struct vb_batch *batch;

	batch = list_first_entry_or_null(&vb->idle, struct vb_batch, node);
	if (batch)
		list_del_init(&batch->node);
	return batch;
}

static void vb_idle_put(struct vb_device *vb, struct vb_batch *batch)
{
	list_add(&batch->node, &vb->idle);
}

static void vb_send(struct vb_device *vb, struct vb_batch *batch, enum vb_op op)
{
	batch->op = op;
	vb->moving[op] += vb_batch_pages(batch);
	vb_channel_send(&vb->channel, batch);
	vb_channel_pump(&vb->channel);
	vb_channel_reap(&vb->channel);
}

/**
 * vb_moved() - count and trace pages that came into the balloon or left it
 * @vb: the device
 * @op: which
 * @nr: guest pages; none is no news
 *
 * Context: Any.
 */
void vb_moved(struct vb_device *vb, enum vb_op op, unsigned long nr)
{
	if (!nr)
		return;
	vb_counters_add(&vb->counters, op == VB_INFLATE ? VB_INFLATED : VB_DEFLATED, nr);
	trace_vballoon_moved(vb->vdev->index, op == VB_INFLATE, nr);
}

/**
 * vb_step_collect() - finish what the host has acknowledged
 * @vb: the device
 *
 * Context: The worker.  May sleep.
 */
void vb_step_collect(struct vb_device *vb)
{
	struct vb_batch *batch;
	unsigned long nr;

	while ((batch = vb_channel_acked(&vb->channel))) {
		nr = vb_batch_pages(batch);
		vb->moving[batch->op] -= nr;
		if (batch->op == VB_INFLATE) {
			vb_store_commit(&vb->store, batch);
		} else {
			vb_store_abort(batch);
			atomic_long_add(nr, &vb->oom_given);
			wake_up(&vb->oom_wait);
		}
		vb_moved(vb, batch->op, nr);
		vb_idle_put(vb, batch);
	}
	vb_migrate_settle(vb);
}

/* What is on its way may be blocks. */
static unsigned long vb_blocks_due(struct vb_device *vb, unsigned long nr)
{
	unsigned long blocks = min_t(unsigned long, nr / VB_BLOCK_PAGES,
				     vb->block_batch);
	unsigned long size = vb_store_held(&vb->store) + vb->moving[VB_INFLATE];
	unsigned long share = vb_spare_share(size + blocks * VB_BLOCK_PAGES);

	size -= min(size, vb_store_singles(&vb->store));
	return min(blocks, (share - min(share, size)) / VB_BLOCK_PAGES);
}

/* Free memory that the balloon may take, without what hints have taken. */
static bool vb_has_room(struct vb_device *vb, unsigned long nr)
{
	u64 floor = vb_policy_floor(vb_store_total(&vb->store), PAGE_SHIFT);

	return global_zone_page_state(NR_FREE_PAGES) >= nr + floor;
}

static void vb_fill_blocks(struct vb_device *vb, struct vb_batch *batch,
			   unsigned long blocks)
{
	vb_block_prepare(&vb->store, batch, blocks);
	/* There may be room without a block, since hints take blocks. */
	if (blocks && !batch->nr &&
	    vb_reclaim_yield(&vb->reclaim, blocks * VB_BLOCK_PAGES))
		vb_block_prepare(&vb->store, batch, blocks);
}

static void vb_fill(struct vb_device *vb, struct vb_batch *batch,
		    unsigned long nr)
{
	unsigned long blocks = vb_blocks_due(vb, nr);
	unsigned long due = min(nr, max(blocks, 1UL) * VB_BLOCK_PAGES);

	if (!vb_has_room(vb, due))
		vb_reclaim_yield(&vb->reclaim, due);
	vb_fill_blocks(vb, batch, blocks);
	if (batch->nr) {
		vb_policy_fed(&vb->policy);
		return;
	}
	nr = min_t(unsigned long, nr, VB_BATCH_SINGLES);
	vb_single_prepare(&vb->store, batch, nr);
	if (batch->nr < nr) {
		vb_policy_short(&vb->policy, VB_LIMIT_MEMORY, vb_policy_now());
		vb_counters_add(&vb->counters, VB_SHORTAGES, 1);
	} else {
		vb_policy_fed(&vb->policy);
	}
}

/* One block too many, for which single pages will leave. */
static void vb_fill_exchange(struct vb_device *vb, struct vb_batch *batch)
{
	vb_block_prepare(&vb->store, batch, 1);
	vb_policy_exchanged(&vb->policy, batch->nr, vb_policy_now());
}

static int vb_inflate(struct vb_device *vb, const struct vb_goal *goal)
{
	struct vb_batch *batch;
	unsigned long nr;

	if (vb_channel_deflates_unread(&vb->channel))
		return -EBUSY;
	/* The last batch is for the way back, which may be urgent. */
	if (vb_must_tell(vb) && list_is_singular(&vb->idle))
		return -EBUSY;
	batch = vb_idle_get(vb);
	if (!batch)
		return -EBUSY;

	if (goal->exchange)
		vb_fill_exchange(vb, batch);
	else
		vb_fill(vb, batch, goal->step);
	/* Again: one of these pages may have left the balloon just now. */
	if (!batch->nr || vb_channel_deflates_unread(&vb->channel)) {
		nr = batch->nr;
		vb_store_abort(batch);
		vb_idle_put(vb, batch);
		return nr ? -EBUSY : -ENOMEM;
	}
	vb->exchanging = goal->exchange;
	if (goal->exchange)
		vb_counters_add(&vb->counters, VB_EXCHANGED, vb_batch_pages(batch));
	vb_send(vb, batch, VB_INFLATE);
	return 0;
}

/**
 * vb_step_inflate() - send one batch into the balloon
 * @vb: the device
 * @goal: what the policy wants, a step above 0
 *
 * Context: The worker.  May sleep and reclaim.
 * Return: see above.
 */
int vb_step_inflate(struct vb_device *vb, const struct vb_goal *goal)
{
	int nice = vb_nicer();
	int rc;

	rc = vb_inflate(vb, goal);
	set_user_nice(current, nice);
	return rc;
}

static void vb_advise(struct vb_device *vb, struct vb_batch *advice,
		      unsigned long nr)
{
	if (advice)
		vb_channel_send(&vb->channel, advice);
	vb_channel_release_end(&vb->channel);
	vb_moved(vb, VB_DEFLATE, nr);
}

/**
 * vb_step_release() - give pages back to the guest at once
 * @vb: the device, without MUST_TELL_HOST
 * @nr: guest pages wanted
 *
 * The host hears of it when the worker runs next.  Allocates nothing.
 *
 * Context: Process context, also when memory has run out.
 * Return: guest pages given back.
 */
unsigned long vb_step_release(struct vb_device *vb, unsigned long nr)
{
	struct vb_batch *advice;

	vb_channel_release_begin(&vb->channel);
	nr = vb_store_release(&vb->store, nr, &advice);
	vb_advise(vb, advice, nr);
	return nr;
}

/**
 * vb_step_deflate() - let one batch leave the balloon
 * @vb: the device
 * @nr: guest pages wanted
 *
 * Context: The worker.  Allocates nothing.
 * Return: see above.
 */
int vb_step_deflate(struct vb_device *vb, unsigned long nr)
{
	struct vb_batch *batch;

	/* What is on its way in has to arrive before it can leave. */
	nr = min(nr, vb_store_held(&vb->store));
	if (!nr)
		return -EBUSY;
	if (!vb_must_tell(vb))
		return vb_step_release(vb, nr) ? 0 : -EAGAIN;

	batch = vb_idle_get(vb);
	if (!batch)
		return -EBUSY;
	vb_store_take(&vb->store, batch, nr);
	if (!batch->nr) {
		vb_idle_put(vb, batch);
		return -EAGAIN;
	}
	vb_send(vb, batch, VB_DEFLATE);
	return 0;
}

/**
 * vb_step_evict() - let blocks leave where memory goes offline
 * @vb: the device
 * @range: where
 *
 * Context: The worker.  Allocates nothing.
 * Return: see above.
 */
int vb_step_evict(struct vb_device *vb, const struct vb_range *range)
{
	struct vb_batch *batch;
	unsigned long nr;
	int i;

	if (!vb_block_within(&vb->store, range)) {
		/* What left carries the advice, until the host has read it. */
		if (vb_channel_deflates_unread(&vb->channel))
			return -EBUSY;
		for (i = 0; i < VB_NR_BATCHES; i++)
			if (vb_batch_overlaps(vb->batches[i], range))
				return -EBUSY;
		vb_offline_done(vb, range);
		return 0;
	}
	if (!vb_must_tell(vb)) {
		vb_channel_release_begin(&vb->channel);
		nr = vb_block_release(&vb->store, ULONG_MAX, range, &batch);
		vb_advise(vb, batch, nr);
		return 0;
	}
	batch = vb_idle_get(vb);
	if (!batch)
		return -EBUSY;
	vb_block_take(&vb->store, batch, ULONG_MAX, range);
	vb_send(vb, batch, VB_DEFLATE);
	return 0;
}

/**
 * vb_step_init() - take all the memory that batches need
 * @vb: the device
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_step_exit() is due either way.
 */
int vb_step_init(struct vb_device *vb)
{
	unsigned int i;

	INIT_LIST_HEAD(&vb->idle);
	for (i = 0; i < VB_NR_BATCHES; i++) {
		vb->batches[i] = vb_batch_alloc(VB_KIND_PAGES, VB_BATCH_PFNS);
		if (!vb->batches[i])
			return -ENOMEM;
		vb_idle_put(vb, vb->batches[i]);
	}
	return 0;
}

/**
 * vb_step_empty() - give everything back, in the balloon or on its way
 * @vb: the device: stopped and reset, so that no host holds a page
 *
 * Context: May sleep.
 */
void vb_step_empty(struct vb_device *vb)
{
	unsigned int i;

	INIT_LIST_HEAD(&vb->idle);
	for (i = 0; i < VB_NR_BATCHES; i++) {
		vb_store_abort(vb->batches[i]);
		vb_idle_put(vb, vb->batches[i]);
	}
	vb_moved(vb, VB_DEFLATE,
		 vb_store_held(&vb->store) + vb->moving[VB_DEFLATE]);
	memset(vb->moving, 0, sizeof(vb->moving));
	vb_store_empty(&vb->store);
}

/**
 * vb_step_exit() - free what vb_step_init() took
 * @vb: the device, its balloon empty
 *
 * Context: Any.
 */
void vb_step_exit(struct vb_device *vb)
{
	unsigned int i;

	for (i = 0; i < VB_NR_BATCHES; i++)
		vb_batch_free(vb->batches[i]);
}
