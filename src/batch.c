// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that travel together: all that store and wire share.
 */
#include <linux/slab.h>

#include "batch.h"

/**
 * vb_batch_init() - make an empty batch in memory of the caller's
 * @batch: the batch
 * @kind: what becomes of the batch once the host has read it
 * @capacity: runs that fit in @pfn
 * @pfn: room for @capacity page frame numbers; NULL for VB_KIND_REPORT
 *
 * Context: Any.
 */
void vb_batch_init(struct vb_batch *batch, enum vb_kind kind,
		   unsigned int capacity, u32 *pfn)
{
	memset(batch, 0, sizeof(*batch));
	INIT_LIST_HEAD(&batch->node);
	batch->kind = kind;
	batch->capacity = capacity;
	batch->pfn = pfn;
}

/**
 * vb_batch_alloc() - allocate a batch
 * @kind: VB_KIND_PAGES or VB_KIND_MIGRATION
 * @capacity: runs that fit
 *
 * Context: May sleep.
 * Return: the batch, or NULL.
 */
struct vb_batch *vb_batch_alloc(enum vb_kind kind, unsigned int capacity)
{
	struct vb_batch *batch;
	u32 *pfn;

	batch = kmalloc(sizeof(*batch), GFP_KERNEL);
	pfn = kmalloc_array(capacity, sizeof(*pfn), GFP_KERNEL);
	if (!batch || !pfn) {
		kfree(batch);
		kfree(pfn);
		return NULL;
	}
	vb_batch_init(batch, kind, capacity, pfn);
	return batch;
}

/**
 * vb_batch_free() - free what vb_batch_alloc() gave
 * @batch: a batch that is in no list and not sent, or NULL
 *
 * Context: Any.
 */
void vb_batch_free(struct vb_batch *batch)
{
	if (!batch)
		return;
	kfree(batch->pfn);
	kfree(batch);
}

/**
 * vb_batch_free_notices() - free deflate notices, with the pages they live in
 * @notices: the notices; empty afterwards
 *
 * Context: Any, but not under a lock: there may be many notices, and
 * init_on_free writes each of their pages.
 */
void vb_batch_free_notices(struct list_head *notices)
{
	struct vb_batch *notice, *next;

	list_for_each_entry_safe(notice, next, notices, node)
		free_page((unsigned long)notice);
	INIT_LIST_HEAD(notices);
}

/**
 * vb_batch_pages() - count the pages of a batch
 * @batch: the batch
 *
 * Context: Any.
 * Return: guest pages.
 */
unsigned long vb_batch_pages(const struct vb_batch *batch)
{
	return (unsigned long)batch->nr << batch->order;
}

/**
 * vb_batch_acknowledged() - tell whether the host has read all of a batch
 * @batch: a batch that was sent, of a kind that a caller sleeps for
 *
 * Context: Any.
 * Return: true once the batch belongs to the caller again.
 */
bool vb_batch_acknowledged(const struct vb_batch *batch)
{
	/* Pairs with the release in vb_channel_wake(). */
	return smp_load_acquire(&batch->acknowledged);
}
