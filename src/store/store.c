// SPDX-License-Identifier: GPL-2.0
/*
 * What is in the balloon: single pages and blocks, counted as one.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>

#include "store/block.h"
#include "store/single.h"

/**
 * vb_store_init() - prepare an empty store
 * @store: the store
 * @adjust: take ballooned pages off the guest's total (MemTotal)
 *
 * Context: Any.
 */
void vb_store_init(struct vb_store *store, bool adjust)
{
	vb_balloon_init(&store->balloon, adjust);
	spin_lock_init(&store->lock);
	INIT_LIST_HEAD(&store->blocks);
	atomic_long_set(&store->held, 0);
	store->adjust = adjust;
}

/**
 * vb_store_held() - pages in the balloon
 * @store: the store
 *
 * Context: Any.
 * Return: guest pages.
 */
unsigned long vb_store_held(struct vb_store *store)
{
	return atomic_long_read(&store->held);
}

/**
 * vb_store_singles() - single pages in the balloon
 * @store: the store
 *
 * Context: Any.
 * Return: guest pages.
 */
unsigned long vb_store_singles(struct vb_store *store)
{
	long blocks = READ_ONCE(store->nr_blocks) * VB_BLOCK_PAGES;

	/* A block may be on its way between two looks. */
	return max_t(long, vb_store_held(store) - blocks, 0);
}

/**
 * vb_store_total() - the memory of the guest with an empty balloon
 * @store: the store
 *
 * Context: Any.
 * Return: guest pages.
 */
u64 vb_store_total(struct vb_store *store)
{
	u64 total = totalram_pages();

	if (store->adjust)
		total += vb_store_held(store);
	return total;
}

/**
 * vb_store_abort() - free the pages of a batch
 * @batch: a batch whose pages no host holds; is empty afterwards
 *
 * Context: Any.
 */
void vb_store_abort(struct vb_batch *batch)
{
	if (batch->order)
		vb_block_abort(batch);
	else
		vb_single_abort(batch);
}

/**
 * vb_store_commit() - put the pages of an acknowledged inflation in the balloon
 * @store: the store
 * @batch: the batch; is empty afterwards
 *
 * Context: Process context.
 */
void vb_store_commit(struct vb_store *store, struct vb_batch *batch)
{
	/* Before any of them can leave again. */
	atomic_long_add(vb_batch_pages(batch), &store->held);
	if (batch->order)
		vb_block_commit(store, batch);
	else
		vb_single_commit(store, batch);
}

/* A block becomes single pages of the balloon.  The host sees no difference. */
static void vb_store_break(struct vb_store *store)
{
	struct page *page = vb_block_break(store);
	struct vb_batch batch;
	unsigned long i;
	u32 pfn;

	if (!page)
		return;
	for (i = 0; i < VB_BLOCK_PAGES; i++) {
		pfn = page_to_pfn(page + i);
		vb_batch_init(&batch, VB_KIND_PAGES, 1, &pfn);
		batch.nr = 1;
		vb_store_commit(store, &batch);
	}
	/* Nothing has left, and nothing come in. */
	count_vm_events(BALLOON_DEFLATE, -(long)VB_BLOCK_PAGES);
	count_vm_events(BALLOON_INFLATE, -(long)VB_BLOCK_PAGES);
}

/*
 * Single pages leave first: they are the tail, and blocks are worth more in
 * the balloon.  But no block is left over that could leave as a whole, so @nr
 * is made up of single pages and whole blocks; a block is broken up when that
 * is not to be had otherwise.
 *
 * Return: single pages to take; none means blocks.
 */
static unsigned long vb_store_tail(struct vb_store *store, unsigned long nr)
{
	unsigned long odd = nr % VB_BLOCK_PAGES;

	if (vb_store_singles(store) < odd)
		vb_store_break(store);
	if (vb_store_singles(store) <= odd)
		return odd;
	return min(nr, odd + round_down(vb_store_singles(store) - odd,
					VB_BLOCK_PAGES));
}

/**
 * vb_store_take() - take pages out that the host must hear of first
 * @store: the store
 * @batch: an empty batch; gets the pages
 * @nr: guest pages wanted, no more than the store holds
 *
 * May find fewer, or none, while pages are isolated for a migration.
 *
 * Context: Any process context.  Allocates nothing.
 */
void vb_store_take(struct vb_store *store, struct vb_batch *batch,
		   unsigned long nr)
{
	vb_single_take(store, batch, vb_store_tail(store, nr));
	if (!batch->nr)
		vb_block_take(store, batch, nr / VB_BLOCK_PAGES, NULL);
}

/**
 * vb_store_release() - give pages back to the guest at once
 * @store: the store
 * @nr: guest pages wanted, no more than the store holds; one call gives a part
 * @notice: gets the deflate notice, or NULL if there is nothing to tell
 *
 * The notice lives in a page that leaves the balloon, so that nothing is
 * allocated.  The channel frees it when the host has read it.
 *
 * Context: Any process context, also when memory has run out.
 * Return: guest pages that left the balloon.
 */
unsigned long vb_store_release(struct vb_store *store, unsigned long nr,
			       struct vb_batch **notice)
{
	unsigned long released;

	released = vb_single_release(store, vb_store_tail(store, nr), notice);
	if (released)
		return released;
	return vb_block_release(store, nr / VB_BLOCK_PAGES, NULL, notice);
}

/**
 * vb_store_empty() - free every page in the balloon
 * @store: the store of a device that has been reset: no host holds a page
 *
 * A page that is isolated for a migration comes back to the list in finite
 * time, since migrations are refused by now.
 *
 * Context: May sleep.
 */
void vb_store_empty(struct vb_store *store)
{
	unsigned long late = jiffies + 10 * HZ;

	vb_block_empty(store);
	while (vb_store_held(store)) {
		if (vb_single_free(store)) {
			late = jiffies + 10 * HZ;
		} else {
			WARN_ON_ONCE(time_after(jiffies, late));
			usleep_range(1000, 2000);
		}
		cond_resched();
	}
}
