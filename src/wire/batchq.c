// SPDX-License-Identifier: GPL-2.0
/*
 * A queue on which batches travel, cut into elements: PFNs that the host reads,
 * or ranges of memory that it may take.
 *
 * Nobody sleeps for the host here: elements are posted while the ring has
 * room, and the interrupt takes back what the host has read.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "pfn.h"
#include "vballoon.h"

/* The lines of PFNs count PFNs, the line of ranges counts runs. */
static unsigned int vb_line_size(const struct vb_line *line,
				 const struct vb_batch *batch)
{
	if (!line->wire[0].pfn)
		return batch->nr;
	return vb_batch_pages(batch) * VB_PFNS_PER_PAGE;
}

/*
 * At most 256 PFNs a descriptor.  An element is one descriptor, since some
 * hosts read no more of it; but a host that does read on gets a whole block in
 * one element: if huge pages are behind it, it can only give back those that
 * one element names from the first PFN to the last.  Not on the way back, where
 * that buys nothing and the ring may allocate a table for it.
 */
static unsigned int vb_post_pfns(struct vb_channel *channel,
				 struct vb_line *line, struct vb_wire *wire,
				 const struct vb_batch *batch)
{
	bool whole = batch->order && batch->op == VB_INFLATE && channel->chains;
	const struct vb_runs runs = {
		.pfn = batch->pfn,
		.nr = batch->nr,
		.order = batch->order,
		.scale = VB_PFNS_PER_PAGE,
	};
	struct scatterlist sg[VB_WIRE_PFNS / VB_BUF_PFNS];
	unsigned int nr, first, nents = 0;

	lockdep_assert_held(&channel->lock);

	nr = vb_pfn_write(wire->pfn, whole ? VB_WIRE_PFNS : VB_BUF_PFNS, &runs,
			  batch->posted, channel->foreign);
	sg_init_table(sg, DIV_ROUND_UP(nr, VB_BUF_PFNS));
	for (first = 0; first < nr; first += VB_BUF_PFNS)
		sg_set_buf(&sg[nents++], wire->pfn + first,
			   min(nr - first, VB_BUF_PFNS) * sizeof(*wire->pfn));
	/* Ring full, or the device is broken: either way, not now. */
	if (virtqueue_add_outbuf(line->vq, sg, nents, wire, GFP_ATOMIC))
		return 0;
	return nr;
}

/* Does this run of a batch go on where the one before it ends? */
static bool vb_run_goes_on(const struct vb_batch *batch, unsigned int i)
{
	return batch->pfn[i] == batch->pfn[i - 1] + (1U << batch->order) &&
	       batch->pfn[i] % VB_REGION_PAGES;
}

/* Neighbouring blocks become one range. */
static unsigned int vb_ranges(const struct vb_batch *batch,
			      struct scatterlist *sg, unsigned int max,
			      unsigned int *nents)
{
	unsigned int size = 1U << batch->order;
	unsigned int i = batch->posted;
	unsigned int first;

	sg_init_table(sg, VB_MAX_RANGES);
	for (*nents = 0; *nents < max && i < batch->nr; ++*nents) {
		first = i++;
		while (i < batch->nr && vb_run_goes_on(batch, i))
			i++;
		sg_set_page(&sg[*nents], pfn_to_page(batch->pfn[first]),
			    (i - first) * size * PAGE_SIZE, 0);
	}
	sg_mark_end(&sg[*nents - 1]);
	return i - batch->posted;
}

static unsigned int vb_post_ranges(struct vb_channel *channel,
				   struct vb_line *line, struct vb_wire *wire,
				   const struct vb_batch *batch)
{
	struct scatterlist *sg = batch->sg;
	unsigned int nents = batch->nr;
	unsigned int nr = batch->nr;

	lockdep_assert_held(&channel->lock);

	if (!sg) {
		sg = channel->sg;
		nr = vb_ranges(batch, sg,
			       min(virtqueue_get_vring_size(line->vq),
				   VB_MAX_RANGES), &nents);
	}
	if (virtqueue_add_inbuf(line->vq, sg, nents, wire, GFP_ATOMIC))
		return 0;
	return nr;
}

/* Post until the host has enough for one notification. */
static unsigned int vb_line_post(struct vb_channel *channel,
				 struct vb_line *line)
{
	struct vb_batch *batch;
	struct vb_wire *wire;
	unsigned int posted = 0;
	unsigned int nr;

	lockdep_assert_held(&channel->lock);

	while (posted < VB_BATCH_PFNS && !list_empty(&line->idle) &&
	       !list_empty(&line->unsent)) {
		batch = list_first_entry(&line->unsent, struct vb_batch, node);
		wire = list_first_entry(&line->idle, struct vb_wire, node);
		if (wire->pfn)
			nr = vb_post_pfns(channel, line, wire, batch);
		else
			nr = vb_post_ranges(channel, line, wire, batch);
		if (!nr)
			break;
		if (!line->posted)
			line->progress = jiffies;
		list_del(&wire->node);
		wire->batch = batch;
		line->posted++;
		batch->flying++;
		batch->posted += nr;
		posted += nr;
		if (batch->posted == vb_line_size(line, batch))
			list_move_tail(&batch->node, &line->sent);
	}
	return posted;
}

/**
 * vb_line_pump() - post what is unsent, as far as the bounds allow
 * @vb: the device
 * @line: one of its lines
 *
 * One notification at the most.
 *
 * Context: Any but under the channel lock.  Queues do not come or go.
 * Return: true if anything was posted.
 */
bool vb_line_pump(struct vb_device *vb, struct vb_line *line)
{
	struct vb_channel *channel = &vb->channel;
	struct virtqueue *vq;
	unsigned long flags;
	bool notify = false;
	unsigned int posted = 0;

	spin_lock_irqsave(&channel->lock, flags);
	vq = line->vq;
	if (vq)
		posted = vb_line_post(channel, line);
	if (posted)
		notify = virtqueue_kick_prepare(vq);
	spin_unlock_irqrestore(&channel->lock, flags);

	/*
	 * The host may work before this returns: not under the lock.  The line
	 * may be closed meanwhile, but the queue is there.
	 */
	if (notify) {
		virtqueue_notify(vq);
		vb_counters_add(&vb->counters, VB_KICKS, 1);
	}
	return posted;
}

/**
 * vb_line_reap() - take back what the host has read
 * @channel: the channel
 * @line: one of its lines
 *
 * Context: Under the channel lock.
 * Return: elements that came back.
 */
unsigned int vb_line_reap(struct vb_channel *channel, struct vb_line *line)
{
	struct vb_batch *batch;
	struct vb_wire *wire;
	unsigned int acked = 0;
	unsigned int len;

	lockdep_assert_held(&channel->lock);

	if (!line->vq)
		return 0;
	do {
		virtqueue_disable_cb(line->vq);
		while ((wire = virtqueue_get_buf(line->vq, &len))) {
			acked++;
			line->posted--;
			list_add(&wire->node, &line->idle);
			batch = wire->batch;
			batch->flying--;
			if (!batch->flying &&
			    batch->posted == vb_line_size(line, batch))
				vb_channel_finish(channel, batch);
		}
		if (virtqueue_is_broken(line->vq))
			break;
	} while (!virtqueue_enable_cb_delayed(line->vq));
	if (acked)
		line->progress = jiffies;
	return acked;
}

/**
 * vb_line_silent() - has the host not answered here for too long?
 * @line: the line
 *
 * Context: Any.
 * Return: true if the host has elements and VB_SILENT_AFTER has passed without
 * one that came back.
 */
bool vb_line_silent(const struct vb_line *line)
{
	return READ_ONCE(line->posted) &&
	       time_after(jiffies, READ_ONCE(line->progress) + VB_SILENT_AFTER);
}

static void vb_line_rest(struct vb_line *line)
{
	unsigned int i;

	INIT_LIST_HEAD(&line->idle);
	for (i = 0; i < VB_INFLIGHT; i++)
		list_add_tail(&line->wire[i].node, &line->idle);
	line->posted = 0;
	line->vq = NULL;
}

/**
 * vb_line_close() - take everything back from a device that has been reset
 * @channel: the channel
 * @line: one of its lines; has no queue afterwards
 *
 * Context: Any.
 */
void vb_line_close(struct vb_channel *channel, struct vb_line *line)
{
	struct vb_batch *batch, *next;
	unsigned long flags;

	spin_lock_irqsave(&channel->lock, flags);
	while (line->vq && virtqueue_detach_unused_buf(line->vq))
		;
	vb_line_rest(line);
	list_splice_init(&line->sent, &line->unsent);
	list_for_each_entry_safe(batch, next, &line->unsent, node)
		vb_channel_drop(channel, batch);
	spin_unlock_irqrestore(&channel->lock, flags);
}

/**
 * vb_line_init() - prepare a line without a queue
 * @line: the line
 * @pfns: PFNs will travel on it; otherwise ranges
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM; vb_line_exit() is due either way.
 */
int vb_line_init(struct vb_line *line, bool pfns)
{
	unsigned int i;

	INIT_LIST_HEAD(&line->unsent);
	INIT_LIST_HEAD(&line->sent);
	vb_line_rest(line);
	for (i = 0; pfns && i < VB_INFLIGHT; i++) {
		line->wire[i].pfn = kmalloc_array(VB_WIRE_PFNS, sizeof(u32),
						  GFP_KERNEL);
		if (!line->wire[i].pfn)
			return -ENOMEM;
	}
	return 0;
}

/**
 * vb_line_exit() - free what vb_line_init() took
 * @line: the line, closed
 *
 * Context: Any.
 */
void vb_line_exit(struct vb_line *line)
{
	unsigned int i;

	for (i = 0; i < VB_INFLIGHT; i++)
		kfree(line->wire[i].pfn);
}
