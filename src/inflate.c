// SPDX-License-Identifier: GPL-2.0
/*
 * A batch is filled and sent into the balloon.
 */
#include <linux/mm.h>

#include "vballoon.h"

/*
 * How many blocks the next batch may take of @nr guest pages.  All pages that
 * are on their way into the balloon count as blocks, since vb_transfer.moving
 * does not tell the kinds apart: so blocks never exceed their share.
 */
static unsigned long vb_inflate_blocks(struct vb_device *vb, unsigned long nr)
{
	unsigned long blocks = min_t(unsigned long, nr / VB_BLOCK_PAGES,
				     vb_transfer_blocks(vb));
	unsigned long size = vb_transfer_held(vb);
	unsigned long share = vb_spare_most(size + blocks * VB_BLOCK_PAGES);

	size -= min(size, vb_store_singles(&vb->store));
	return min(blocks, (share - min(share, size)) / VB_BLOCK_PAGES);
}

static void vb_inflate_fill_blocks(struct vb_device *vb, struct vb_batch *batch,
				   unsigned long blocks)
{
	vb_supply_blocks(&vb->store, batch, blocks);
	/* Hints may have taken all free blocks, while smaller pages are free. */
	if (blocks && !batch->nr &&
	    vb_reclaim_yield(&vb->reclaim, blocks * VB_BLOCK_PAGES))
		vb_supply_blocks(&vb->store, batch, blocks);
}

static void vb_inflate_fill(struct vb_device *vb, struct vb_batch *batch,
			    unsigned long nr)
{
	unsigned long blocks = vb_inflate_blocks(vb, nr);
	unsigned long due = min(nr, max(blocks, 1UL) * VB_BLOCK_PAGES);

	/* Is enough memory free without the blocks in the pool? */
	if (vb_supply_room() < due)
		vb_reclaim_yield(&vb->reclaim, due);
	vb_inflate_fill_blocks(vb, batch, blocks);
	if (batch->nr) {
		vb_policy_fed(&vb->policy);
		return;
	}
	nr = min_t(unsigned long, nr, VB_BATCH_SINGLES);
	vb_supply_singles(&vb->store, batch, nr);
	if (!batch->nr) {
		vb_policy_short(&vb->policy, VB_LIMIT_MEMORY, vb_policy_now());
		vb_counters_add(&vb->counters, VB_SHORTAGES, 1);
	} else {
		vb_policy_fed(&vb->policy);
	}
}

/* Take a block beyond the target; the policy then lets single pages leave. */
static void vb_inflate_fill_exchange(struct vb_device *vb,
				     struct vb_batch *batch)
{
	vb_supply_blocks(&vb->store, batch, 1);
	vb_policy_exchanged(&vb->policy, batch->nr, vb_policy_now());
}

static int vb_inflate_batch(struct vb_device *vb, const struct vb_goal *goal)
{
	struct vb_batch *batch;
	unsigned long nr;

	if (vb_channel_deflates_unread(&vb->channel))
		return -EBUSY;
	nr = vb_transfer_fit(vb, VB_INFLATE, goal->step);
	if (!nr)
		return -EBUSY;
	/* Under MUST_TELL_HOST a deflation needs a batch, and may be urgent. */
	if (vb_must_tell(vb) && list_is_singular(&vb->transfer.idle))
		return -EBUSY;
	batch = vb_transfer_get(vb);
	if (!batch)
		return -EBUSY;

	if (goal->exchange)
		vb_inflate_fill_exchange(vb, batch);
	else
		vb_inflate_fill(vb, batch, nr);
	/*
	 * A page of this batch may have left the balloon after the first check,
	 * by an OOM notifier or a migration, with its deflate unread.
	 */
	if (!batch->nr || vb_channel_deflates_unread(&vb->channel)) {
		nr = batch->nr;
		vb_store_abort(&vb->store, batch);
		vb_transfer_put(vb, batch);
		return nr ? -EBUSY : -ENOMEM;
	}
	vb->exchanging = goal->exchange;
	if (goal->exchange)
		batch->cause = VB_FOR_EXCHANGE;
	vb_transfer_send(vb, batch, VB_INFLATE);
	return 0;
}

/**
 * vb_inflate_step() - send one batch into the balloon
 * @vb: the device
 * @goal: what the policy wants; its step is above 0, in guest pages
 *
 * Runs at low priority, since no program waits for an inflation.
 *
 * Context: The worker.  May sleep and reclaim.
 * Return: 0, -EBUSY or -ENOMEM; see vballoon.h.
 */
int vb_inflate_step(struct vb_device *vb, const struct vb_goal *goal)
{
	int nice = vb_transfer_lower_priority();
	int rc;

	rc = vb_inflate_batch(vb, goal);
	set_user_nice(current, nice);
	return rc;
}

