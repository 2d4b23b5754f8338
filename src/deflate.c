// SPDX-License-Identifier: GPL-2.0
/*
 * Pages leave the balloon.  The guest uses them at once, and the host reads the
 * deflate notice later; under MUST_TELL_HOST the guest uses them only when the
 * host has read their deflate.  Nothing here allocates.
 */
#include "vballoon.h"

/*
 * End what vb_channel_release_begin() began.  The worker posts the notice when
 * it runs next, so that a caller that is out of memory notifies no host.
 */
static void vb_deflate_finish(struct vb_device *vb, struct vb_batch *notice,
			      unsigned long nr)
{
	/* The queues are open until nothing calls this any more. */
	if (notice && WARN_ON_ONCE(!vb_channel_send(&vb->channel, notice)))
		free_page((unsigned long)notice);
	vb_channel_release_end(&vb->channel);
	vb_transfer_moved(vb, VB_DEFLATE, nr);
}

/**
 * vb_deflate_now() - give pages back to the guest at once
 * @vb: the device, without MUST_TELL_HOST
 * @nr: guest pages wanted
 *
 * The worker posts the deflate notice when it runs next.
 *
 * Context: Process context, also when memory has run out.  Allocates nothing.
 * Return: guest pages given back, which may be fewer than @nr.
 */
unsigned long vb_deflate_now(struct vb_device *vb, unsigned long nr)
{
	struct vb_batch *notice;

	/* An OOM asks for 2 MiB, however small the balloon is. */
	nr = min(nr, vb_store_held(&vb->store));
	vb_channel_release_begin(&vb->channel);
	nr = vb_store_release(&vb->store, nr, &notice);
	vb_deflate_finish(vb, notice, nr);
	return nr;
}

/**
 * vb_deflate_step() - let one batch leave the balloon
 * @vb: the device
 * @nr: guest pages wanted; one batch may have fewer
 * @cause: why they leave
 *
 * Context: The worker.  Allocates nothing.
 * Return: 0, -EBUSY or -EAGAIN; see vballoon.h.
 */
int vb_deflate_step(struct vb_device *vb, unsigned long nr,
		    enum vb_cause cause)
{
	struct vb_batch *batch;

	/* Pages on their way in can leave only after they have arrived. */
	nr = min(nr, vb_store_held(&vb->store));
	if (!nr)
		return -EBUSY;
	if (!vb_must_tell(vb))
		return vb_deflate_now(vb, nr) ? 0 : -EAGAIN;

	nr = vb_transfer_fit(vb, VB_DEFLATE, nr);
	if (!nr)
		return -EBUSY;
	batch = vb_transfer_get(vb);
	if (!batch)
		return -EBUSY;
	vb_store_take(&vb->store, batch, nr);
	if (!batch->nr) {
		vb_transfer_put(vb, batch);
		return -EAGAIN;
	}
	batch->cause = cause;
	vb_transfer_send(vb, batch, VB_DEFLATE);
	return 0;
}
