// SPDX-License-Identifier: GPL-2.0
/*
 * Batches that wait for room in a ring.  The host has seen nothing of them, so
 * the worker may have them back.
 */
#include "wire/wire.h"

/* The newest inflation of the worker's of which nothing is posted, or NULL. */
static struct vb_batch *vb_unsent_last(const struct vb_batchq *queue)
{
	struct vb_batch *batch;

	list_for_each_entry_reverse(batch, &queue->unsent, node)
		if (batch->kind == VB_KIND_PAGES && batch->op == VB_INFLATE &&
		    !batch->cursor)
			return batch;
	return NULL;
}

/**
 * vb_unsent_take() - take back an inflation that is not before the host
 * @channel: the channel
 *
 * Context: The worker; takes the channel lock.
 * Return: a VB_KIND_PAGES batch, which belongs to the caller again, or NULL.
 */
struct vb_batch *vb_unsent_take(struct vb_channel *channel)
{
	struct vb_batch *batch = NULL;
	unsigned long flags;
	int i;

	spin_lock_irqsave(&channel->lock, flags);
	for (i = 0; i < VB_NR_BATCHQS && !batch; i++)
		batch = vb_unsent_last(&channel->queue[i]);
	if (batch) {
		list_del_init(&batch->node);
		WRITE_ONCE(channel->unacked[VB_INFLATE],
			   channel->unacked[VB_INFLATE] - 1);
		WRITE_ONCE(channel->owed, channel->owed - 1);
	}
	spin_unlock_irqrestore(&channel->lock, flags);
	return batch;
}
