// SPDX-License-Identifier: GPL-2.0
/*
 * What is in the balloon: single pages here, blocks in block.c.
 *
 * A page comes in by prepare, is told to the host, and is committed when the
 * host has acknowledged it, or aborted when it never was told.  It goes out by
 * release (in use again at once) or by take (in use when the host knows).
 * In between the kernel's balloon core has it and may move it.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>

#include "pfn.h"
#include "vballoon.h"

/*
 * Movable, so that ballooned memory does not stand in anybody's way; gentle:
 * one round of reclaim, never the reserves, never the OOM killer.
 */
#define VB_GFP	(VB_GFP_MOVABLE | __GFP_NOMEMALLOC | __GFP_NORETRY | \
		 __GFP_NOWARN | VB_GFP_UNTOUCHED)

static struct page *vb_batch_page(const struct vb_batch *batch, unsigned int i)
{
	return pfn_to_page(batch->pfn[i]);
}

static void vb_batch_add(struct vb_batch *batch, struct page *page)
{
	batch->pfn[batch->nr++] = page_to_pfn(page);
}

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
 * vb_store_prepare() - allocate single pages for the balloon
 * @store: the store
 * @batch: an empty batch; gets the pages, sorted
 * @nr: guest pages wanted
 *
 * Fills @batch with as many as the guest can give without pain, which may be
 * none.
 *
 * Context: May sleep and reclaim.  The worker only (@store->scratch).
 */
void vb_store_prepare(struct vb_store *store, struct vb_batch *batch,
		      unsigned long nr)
{
	unsigned long want, got, i;

	nr = min_t(unsigned long, nr, VB_BATCH_SINGLES);
	batch->nr = 0;
	batch->order = 0;
	while (nr) {
		want = min_t(unsigned long, nr, ARRAY_SIZE(store->scratch));
		got = alloc_pages_bulk(VB_GFP, want, store->scratch);
		if (!got)
			break;
		for (i = 0; i < got; i++) {
			if (vb_batch_can_name(page_to_pfn(store->scratch[i])))
				vb_batch_add(batch, store->scratch[i]);
			else
				__free_page(store->scratch[i]);
			store->scratch[i] = NULL;
		}
		nr -= got;
		cond_resched();
	}
	vb_pfn_sort(batch->pfn, store->sorted, batch->nr);
}

/**
 * vb_store_abort() - free the pages of a batch
 * @batch: a batch whose pages no host holds; is empty afterwards
 *
 * Context: Any.
 */
void vb_store_abort(struct vb_batch *batch)
{
	unsigned int i;

	if (batch->order)
		return vb_block_abort(batch);
	for (i = 0; i < batch->nr; i++)
		__free_page(vb_batch_page(batch, i));
	batch->nr = 0;
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
	unsigned int end = 0;
	unsigned int i = 0;
	LIST_HEAD(pages);
	struct page *page;

	/* Before any of them can leave again. */
	atomic_long_add(vb_batch_pages(batch), &store->held);
	if (batch->order)
		return vb_block_commit(store, batch);
	/* The core holds a lock with interrupts off: not for all at once. */
	while (i < batch->nr) {
		end = min(batch->nr, end + VB_SINGLE_CHUNK);
		for (; i < end; i++) {
			page = vb_batch_page(batch, i);
			list_add_tail(&page->lru, &pages);
			if (store->adjust)
				vb_balloon_adjust(page, -1);
		}
		balloon_page_list_enqueue(&store->balloon, &pages);
	}
	batch->nr = 0;
}

/**
 * vb_store_forget() - a page left the balloon by a migration
 * @store: the store
 *
 * Context: Any.
 */
void vb_store_forget(struct vb_store *store)
{
	atomic_long_dec(&store->held);
}

/* Take up to @nr pages out of the balloon, onto @pages. */
static unsigned long vb_store_dequeue(struct vb_store *store,
				      struct list_head *pages, unsigned long nr)
{
	struct page *page;

	nr = balloon_page_list_dequeue(&store->balloon, pages,
				       min_t(unsigned long, nr, VB_SINGLE_CHUNK));
	if (store->adjust)
		list_for_each_entry(page, pages, lru)
			vb_balloon_adjust(page, 1);
	atomic_long_sub(nr, &store->held);
	return nr;
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
		vb_block_break(store);
	if (vb_store_singles(store) <= odd)
		return odd;
	return min(nr, odd + round_down(vb_store_singles(store) - odd,
					VB_BLOCK_PAGES));
}

static void vb_single_take(struct vb_store *store, struct vb_batch *batch,
			   unsigned long nr)
{
	struct page *page, *next;
	LIST_HEAD(pages);

	batch->order = 0;
	batch->nr = 0;
	nr = min_t(unsigned long, nr, VB_BATCH_SINGLES);
	while (nr && vb_store_dequeue(store, &pages, nr)) {
		list_for_each_entry_safe(page, next, &pages, lru) {
			list_del(&page->lru);
			vb_batch_add(batch, page);
			nr--;
		}
	}
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

#define VB_ADVICE_PAGES	((PAGE_SIZE - sizeof(struct vb_batch)) / sizeof(u32))

/* The first page that leaves carries the page frames of all, its own too. */
static unsigned long vb_single_release(struct vb_store *store, unsigned long nr,
				       struct vb_batch **advice)
{
	struct vb_batch *batch = NULL;
	unsigned long released = 0;
	struct page *page, *next;

	nr = min_t(unsigned long, nr, VB_ADVICE_PAGES);
	while (released < nr) {
		LIST_HEAD(pages);

		if (!vb_store_dequeue(store, &pages, nr - released))
			break;
		/* The list dissolves: to whom a page goes, its links go too. */
		list_for_each_entry_safe(page, next, &pages, lru) {
			released++;
			if (batch) {
				vb_batch_add(batch, page);
				__free_page(page);
				continue;
			}
			batch = page_address(page);
			vb_batch_init(batch, VB_KIND_NOTICE, VB_ADVICE_PAGES,
				      (u32 *)(batch + 1));
			batch->op = VB_DEFLATE;
			vb_batch_add(batch, page);
		}
	}
	*advice = batch;
	return released;
}

/**
 * vb_store_release() - give pages back to the guest at once
 * @store: the store
 * @nr: guest pages wanted, no more than the store holds; one call gives a part
 * @advice: gets the batch that tells the host, or NULL if there is nothing to
 *          tell
 *
 * The advice lives in a page that leaves the balloon, so that nothing is
 * allocated.  The channel frees it when the host has read it.
 *
 * Context: Any process context, also when memory has run out.
 * Return: guest pages that left the balloon.
 */
unsigned long vb_store_release(struct vb_store *store, unsigned long nr,
			       struct vb_batch **advice)
{
	unsigned long released;

	released = vb_single_release(store, vb_store_tail(store, nr), advice);
	if (released)
		return released;
	return vb_block_release(store, nr / VB_BLOCK_PAGES, NULL, advice);
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
	struct page *page, *next;
	LIST_HEAD(pages);

	vb_block_empty(store);
	while (vb_store_held(store)) {
		if (vb_store_dequeue(store, &pages, VB_SINGLE_CHUNK)) {
			late = jiffies + 10 * HZ;
		} else {
			WARN_ON_ONCE(time_after(jiffies, late));
			usleep_range(1000, 2000);
		}
		list_for_each_entry_safe(page, next, &pages, lru) {
			list_del(&page->lru);
			__free_page(page);
		}
		cond_resched();
	}
}
