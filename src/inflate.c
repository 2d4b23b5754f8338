// SPDX-License-Identifier: GPL-2.0
/*
 * A batch is filled and goes into the balloon.
 */
#include <linux/mm.h>

#include "vballoon.h"

/* What is on its way may be blocks. */
static unsigned long vb_inflate_blocks(struct vb_device *vb, unsigned long nr)
{
	unsigned long blocks = min_t(unsigned long, nr / VB_BLOCK_PAGES,
				     vb->transfer.blocks);
	unsigned long size = vb_transfer_held(vb);
	unsigned long share = vb_spare_share(size + blocks * VB_BLOCK_PAGES);

	size -= min(size, vb_store_singles(&vb->store));
	return min(blocks, (share - min(share, size)) / VB_BLOCK_PAGES);
}

/* Free memory that the balloon may take, without what hints have taken. */
static bool vb_inflate_has_room(struct vb_device *vb, unsigned long nr)
{
	u64 floor = vb_policy_floor(vb_store_total(&vb->store), PAGE_SHIFT);

	return global_zone_page_state(NR_FREE_PAGES) >= nr + floor;
}

static void vb_inflate_fill_blocks(struct vb_device *vb, struct vb_batch *batch,
				   unsigned long blocks)
{
	vb_block_prepare(&vb->store, batch, blocks);
	/* There may be room without a block, since hints take blocks. */
	if (blocks && !batch->nr &&
	    vb_reclaim_yield(&vb->reclaim, blocks * VB_BLOCK_PAGES))
		vb_block_prepare(&vb->store, batch, blocks);
}

static void vb_inflate_fill(struct vb_device *vb, struct vb_batch *batch,
			    unsigned long nr)
{
	unsigned long blocks = vb_inflate_blocks(vb, nr);
	unsigned long due = min(nr, max(blocks, 1UL) * VB_BLOCK_PAGES);

	if (!vb_inflate_has_room(vb, due))
		vb_reclaim_yield(&vb->reclaim, due);
	vb_inflate_fill_blocks(vb, batch, blocks);
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
static void vb_inflate_fill_exchange(struct vb_device *vb,
				     struct vb_batch *batch)
{
	vb_block_prepare(&vb->store, batch, 1);
	vb_policy_exchanged(&vb->policy, batch->nr, vb_policy_now());
}

static int vb_inflate_batch(struct vb_device *vb, const struct vb_goal *goal)
{
	struct vb_batch *batch;
	unsigned long nr;

	if (vb_channel_deflates_unread(&vb->channel))
		return -EBUSY;
	/* The last batch is for the way back, which may be urgent. */
	if (vb_must_tell(vb) && list_is_singular(&vb->transfer.idle))
		return -EBUSY;
	batch = vb_transfer_get(vb);
	if (!batch)
		return -EBUSY;

	if (goal->exchange)
		vb_inflate_fill_exchange(vb, batch);
	else
		vb_inflate_fill(vb, batch, goal->step);
	/* Again: one of these pages may have left the balloon just now. */
	if (!batch->nr || vb_channel_deflates_unread(&vb->channel)) {
		nr = batch->nr;
		vb_store_abort(batch);
		vb_transfer_put(vb, batch);
		return nr ? -EBUSY : -ENOMEM;
	}
	vb->exchanging = goal->exchange;
	if (goal->exchange)
		vb_counters_add(&vb->counters, VB_EXCHANGED, vb_batch_pages(batch));
	vb_transfer_send(vb, batch, VB_INFLATE);
	return 0;
}

/**
 * vb_inflate_step() - send one batch into the balloon
 * @vb: the device
 * @goal: what the policy wants, a step above 0
 *
 * Context: The worker.  May sleep and reclaim.
 * Return: see above.
 */
int vb_inflate_step(struct vb_device *vb, const struct vb_goal *goal)
{
	int nice = vb_transfer_lower_priority();
	int rc;

	rc = vb_inflate_batch(vb, goal);
	set_user_nice(current, nice);
	return rc;
}

