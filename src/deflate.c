// SPDX-License-Identifier: GPL-2.0
/*
 * Pages leave the balloon: at once, and the host hears of it afterwards, or when
 * the host has been told (MUST_TELL_HOST).  Nothing here allocates.
 */
#include "vballoon.h"

/* Pages are in use again: the host hears of it when the worker runs next. */
static void vb_deflate_notify(struct vb_device *vb, struct vb_batch *notice,
			      unsigned long nr)
{
	if (notice)
		vb_channel_send(&vb->channel, notice);
	vb_channel_release_end(&vb->channel);
	vb_transfer_moved(vb, VB_DEFLATE, nr);
}

/**
 * vb_deflate_now() - give pages back to the guest at once
 * @vb: the device, without MUST_TELL_HOST
 * @nr: guest pages wanted
 *
 * The host hears of it when the worker runs next.  Allocates nothing.
 *
 * Context: Process context, also when memory has run out.
 * Return: guest pages given back.
 */
unsigned long vb_deflate_now(struct vb_device *vb, unsigned long nr)
{
	struct vb_batch *notice;

	vb_channel_release_begin(&vb->channel);
	nr = vb_store_release(&vb->store, nr, &notice);
	vb_deflate_notify(vb, notice, nr);
	return nr;
}

/**
 * vb_deflate_step() - let one batch leave the balloon
 * @vb: the device
 * @nr: guest pages wanted
 *
 * Context: The worker.  Allocates nothing.
 * Return: see above.
 */
int vb_deflate_step(struct vb_device *vb, unsigned long nr)
{
	struct vb_batch *batch;

	/* What is on its way in has to arrive before it can leave. */
	nr = min(nr, vb_store_held(&vb->store));
	if (!nr)
		return -EBUSY;
	if (!vb_must_tell(vb))
		return vb_deflate_now(vb, nr) ? 0 : -EAGAIN;

	batch = vb_transfer_get(vb);
	if (!batch)
		return -EBUSY;
	vb_store_take(&vb->store, batch, nr);
	if (!batch->nr) {
		vb_transfer_put(vb, batch);
		return -EAGAIN;
	}
	vb_transfer_send(vb, batch, VB_DEFLATE);
	return 0;
}

/**
 * vb_deflate_evict() - let blocks leave where memory goes offline
 * @vb: the device
 * @range: where
 *
 * Context: The worker.  Allocates nothing.
 * Return: see above.
 */
int vb_deflate_evict(struct vb_device *vb, const struct vb_range *range)
{
	struct vb_batch *batch;
	unsigned long nr;

	if (!vb_block_within(&vb->store, range)) {
		/* What left carries the notice, until the host has read it. */
		if (vb_channel_deflates_unread(&vb->channel))
			return -EBUSY;
		if (vb_transfer_overlaps(vb, range))
			return -EBUSY;
		vb_offline_done(vb, range);
		return 0;
	}
	if (!vb_must_tell(vb)) {
		vb_channel_release_begin(&vb->channel);
		nr = vb_block_release(&vb->store, ULONG_MAX, range, &batch);
		vb_deflate_notify(vb, batch, nr);
		return 0;
	}
	batch = vb_transfer_get(vb);
	if (!batch)
		return -EBUSY;
	vb_block_take(&vb->store, batch, ULONG_MAX, range);
	vb_transfer_send(vb, batch, VB_DEFLATE);
	return 0;
}

