// SPDX-License-Identifier: GPL-2.0
/*
 * A queue of batches, cut into buffers: PFNs that the host reads, or ranges of
 * memory that the host may discard.
 *
 * Nothing here sleeps for the host.  Buffers are posted while the ring has
 * room, and the interrupt takes back the buffers that the host has read.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "pfn.h"
#include "wire/wire.h"

/*
 * No range crosses a multiple of this.  Memory is plugged in such multiples, so
 * one memory region of the host may end and another begin there.  Hosts look up
 * the region of a range's first byte only.
 */
#define VB_REGION_PAGES		((128UL << 20) >> PAGE_SHIFT)

/* The value of @batch->cursor when all of the batch is posted. */
static unsigned int vb_batchq_size(const struct vb_batchq *queue,
				   const struct vb_batch *batch)
{
	if (!queue->buffer[0].pfn)
		return batch->nr;
	return vb_batch_pages(batch) * VB_PFNS_PER_PAGE;
}

/*
 * A buffer is one descriptor, since Firecracker reads only the first.  A host
 * that reads all descriptors gets a whole block in one buffer, since a host on
 * huge pages frees such a page only if one buffer names all of it.  A deflate
 * always takes one descriptor: it frees no huge page, and the ring might
 * allocate a table for two (INDIRECT_DESC).
 */
static unsigned int vb_post_pfns(struct vb_channel *channel,
				 struct vb_batchq *queue,
				 struct vb_buffer *buffer,
				 const struct vb_batch *batch)
{
	bool whole = batch->order && batch->op == VB_INFLATE && channel->reads_chains;
	const struct vb_runs runs = {
		.pfn = batch->pfn,
		.nr = batch->nr,
		.order = batch->order,
		.scale = VB_PFNS_PER_PAGE,
	};
	struct scatterlist sg[VB_BUFFER_PFNS / VB_DESC_PFNS];
	unsigned int nr, first, nents = 0;

	lockdep_assert_held(&channel->lock);

	nr = vb_pfn_write(buffer->pfn, whole ? VB_BUFFER_PFNS : VB_DESC_PFNS, &runs,
			  batch->cursor, channel->swap_bytes);
	sg_init_table(sg, DIV_ROUND_UP(nr, VB_DESC_PFNS));
	for (first = 0; first < nr; first += VB_DESC_PFNS)
		sg_set_buf(&sg[nents++], buffer->pfn + first,
			   min(nr - first, VB_DESC_PFNS) * sizeof(*buffer->pfn));
	/* A full ring has room after the next reap, a broken one never. */
	if (virtqueue_add_outbuf(queue->vq, sg, nents, buffer, VB_GFP_TABLE))
		return 0;
	return nr;
}

/* Can run @i be a part of the range that run @i - 1 is in? */
static bool vb_run_continues(const struct vb_batch *batch, unsigned int i)
{
	return batch->pfn[i] == batch->pfn[i - 1] + (1U << batch->order) &&
	       batch->pfn[i] % VB_REGION_PAGES;
}

/*
 * Make up to @max ranges of the runs that are not posted; neighbouring runs
 * become one range.  Returns the runs, and in @nents the ranges.
 */
static unsigned int vb_merge_runs(const struct vb_batch *batch,
				  struct scatterlist *sg, unsigned int max,
				  unsigned int *nents)
{
	unsigned int size = 1U << batch->order;
	unsigned int i = batch->cursor;
	unsigned int first;

	sg_init_table(sg, VB_BUFFER_RANGES);
	for (*nents = 0; *nents < max && i < batch->nr; ++*nents) {
		first = i++;
		while (i < batch->nr && vb_run_continues(batch, i))
			i++;
		sg_set_page(&sg[*nents], pfn_to_page(batch->pfn[first]),
			    (i - first) * size * PAGE_SIZE, 0);
	}
	sg_mark_end(&sg[*nents - 1]);
	return i - batch->cursor;
}

static unsigned int vb_post_ranges(struct vb_channel *channel,
				   struct vb_batchq *queue,
				   struct vb_buffer *buffer,
				   const struct vb_batch *batch)
{
	struct scatterlist *sg = batch->sg;
	unsigned int nents = batch->nr;
	unsigned int nr = batch->nr;

	lockdep_assert_held(&channel->lock);

	if (!sg) {
		sg = channel->sg;
		nr = vb_merge_runs(batch, sg,
				   min(virtqueue_get_vring_size(queue->vq),
				       VB_BUFFER_RANGES), &nents);
	}
	if (virtqueue_add_inbuf(queue->vq, sg, nents, buffer, VB_GFP_TABLE))
		return 0;
	return nr;
}

/* Post enough for one notification: up to 8 MiB of PFNs, or all ranges. */
static unsigned int vb_batchq_post(struct vb_channel *channel,
				   struct vb_batchq *queue)
{
	struct vb_buffer *buffer;
	struct vb_batch *batch;
	unsigned int posted = 0;
	unsigned int nr;

	lockdep_assert_held(&channel->lock);

	while (posted < VB_BATCH_PFNS && !list_empty(&queue->idle) &&
	       !list_empty(&queue->unsent)) {
		batch = list_first_entry(&queue->unsent, struct vb_batch, node);
		buffer = list_first_entry(&queue->idle, struct vb_buffer, node);
		if (buffer->pfn)
			nr = vb_post_pfns(channel, queue, buffer, batch);
		else
			nr = vb_post_ranges(channel, queue, buffer, batch);
		if (!nr)
			break;
		if (!queue->in_flight)
			queue->progress = jiffies;
		list_del(&buffer->node);
		buffer->batch = batch;
		queue->in_flight++;
		batch->in_flight++;
		batch->cursor += nr;
		posted += nr;
		if (batch->cursor == vb_batchq_size(queue, batch))
			list_move_tail(&batch->node, &queue->sent);
	}
	return posted;
}

/**
 * vb_batchq_pump() - post unsent batches while there is room
 * @channel: the channel
 * @queue: one of its queues of batches
 *
 * Sends one notification at the most.
 *
 * Context: Any; takes the channel lock.  vb_virtqueues_open() and
 * vb_virtqueues_close() do not run at the same time.
 * Return: true if anything was posted.
 */
bool vb_batchq_pump(struct vb_channel *channel, struct vb_batchq *queue)
{
	struct virtqueue *vq;
	unsigned long flags;
	bool notify = false;
	unsigned int posted = 0;

	spin_lock_irqsave(&channel->lock, flags);
	vq = queue->vq;
	if (vq)
		posted = vb_batchq_post(channel, queue);
	if (posted)
		notify = virtqueue_kick_prepare(vq);
	spin_unlock_irqrestore(&channel->lock, flags);

	/*
	 * Not under the lock, since the host may work before this returns.
	 * vb_batchq_close() may run meanwhile, but @vq lives until
	 * vb_virtqueues_close(), before which all senders have returned.
	 */
	if (notify) {
		virtqueue_notify(vq);
		vb_counters_add(channel->counters, VB_KICKS, 1);
	}
	return posted;
}

/**
 * vb_batchq_reap() - take back the buffers that the host has read
 * @channel: the channel
 * @queue: one of its queues of batches
 * @finished: gets the batches that the host has read to the end
 *
 * Context: Any, under the channel lock.
 * Return: buffers that came back.
 */
unsigned int vb_batchq_reap(struct vb_channel *channel, struct vb_batchq *queue,
			    struct list_head *finished)
{
	struct vb_buffer *buffer;
	struct vb_batch *batch;
	unsigned int acked = 0;
	unsigned int len;

	lockdep_assert_held(&channel->lock);

	if (!queue->vq)
		return 0;
	do {
		virtqueue_disable_cb(queue->vq);
		while ((buffer = virtqueue_get_buf(queue->vq, &len))) {
			acked++;
			queue->in_flight--;
			list_add(&buffer->node, &queue->idle);
			batch = buffer->batch;
			batch->in_flight--;
			if (!batch->in_flight &&
			    batch->cursor == vb_batchq_size(queue, batch))
				list_move_tail(&batch->node, finished);
		}
		if (virtqueue_is_broken(queue->vq))
			break;
	} while (!virtqueue_enable_cb_delayed(queue->vq));
	if (acked)
		queue->progress = jiffies;
	return acked;
}

/**
 * vb_batchq_silent() - tell whether the host leaves a queue unread
 * @channel: the channel
 * @queue: one of its queues of batches
 *
 * Context: Any, under the channel lock.
 * Return: true if the host has buffers and handed none back for
 * VB_SILENT_AFTER.
 */
bool vb_batchq_silent(const struct vb_channel *channel,
		      const struct vb_batchq *queue)
{
	lockdep_assert_held(&channel->lock);

	return queue->in_flight &&
	       time_after(jiffies, queue->progress + VB_SILENT_AFTER);
}

static void vb_batchq_clear(struct vb_batchq *queue)
{
	unsigned int i;

	INIT_LIST_HEAD(&queue->idle);
	for (i = 0; i < VB_NR_BUFFERS; i++)
		list_add_tail(&queue->buffer[i].node, &queue->idle);
	queue->in_flight = 0;
	WRITE_ONCE(queue->vq, NULL);
}

/**
 * vb_batchq_close() - take everything back from a device that has been reset
 * @channel: the channel
 * @queue: one of its queues of batches; has no virtqueue afterwards
 * @dropped: gets all batches of the queue, posted or not
 *
 * Context: Any, under the channel lock.
 */
void vb_batchq_close(struct vb_channel *channel, struct vb_batchq *queue,
		     struct list_head *dropped)
{
	lockdep_assert_held(&channel->lock);

	while (queue->vq && virtqueue_detach_unused_buf(queue->vq))
		;
	vb_batchq_clear(queue);
	list_splice_tail_init(&queue->sent, dropped);
	list_splice_tail_init(&queue->unsent, dropped);
}

/**
 * vb_batchq_init() - prepare a queue without a virtqueue
 * @queue: the queue, zeroed
 * @pfns: PFNs for which each buffer has room; 0 for a queue of ranges
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_batchq_exit() is due either way.
 */
int vb_batchq_init(struct vb_batchq *queue, unsigned int pfns)
{
	unsigned int i;

	INIT_LIST_HEAD(&queue->unsent);
	INIT_LIST_HEAD(&queue->sent);
	vb_batchq_clear(queue);
	for (i = 0; pfns && i < VB_NR_BUFFERS; i++) {
		queue->buffer[i].pfn = kmalloc_array(pfns, sizeof(u32),
						     GFP_KERNEL);
		if (!queue->buffer[i].pfn)
			return -ENOMEM;
	}
	return 0;
}

/**
 * vb_batchq_exit() - free what vb_batchq_init() took
 * @queue: the queue, closed
 *
 * Context: Any.
 */
void vb_batchq_exit(struct vb_batchq *queue)
{
	unsigned int i;

	for (i = 0; i < VB_NR_BUFFERS; i++)
		kfree(queue->buffer[i].pfn);
}
