// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon's single pages.  They are in a list of the kernel's balloon core
 * (mm/balloon_compaction.c), which isolates them to move them.
 */
#include <linux/mm.h>

#include "store/single.h"

static struct page *vb_batch_page(const struct vb_batch *batch, unsigned int i)
{
	return pfn_to_page(batch->pfn[i]);
}

/* The pages are off MemTotal, by the core or by vb_balloon_adjust(): count that. */
static void vb_single_deduct(struct vb_store *store, long pages)
{
	if (store->adjust)
		atomic_long_add(pages, &store->deducted);
}

/**
 * vb_single_abort() - free the pages of a batch
 * @batch: a batch of single pages that no host holds; empty afterwards
 *
 * Context: Any.
 */
void vb_single_abort(struct vb_batch *batch)
{
	unsigned int i;

	for (i = 0; i < batch->nr; i++)
		__free_page(vb_batch_page(batch, i));
	batch->nr = 0;
}

/**
 * vb_single_commit() - put acknowledged single pages into the balloon
 * @store: the store; @held counts the pages already
 * @batch: the batch; empty afterwards
 *
 * Context: Process context; takes the core's lock.
 */
void vb_single_commit(struct vb_store *store, struct vb_batch *batch)
{
	unsigned int end = 0;
	unsigned int i = 0;
	LIST_HEAD(pages);
	struct page *page;

	vb_single_deduct(store, batch->nr);
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
 * vb_single_join() - put a page of a broken block into the balloon
 * @store: the store; @held counts the page already
 * @page: the page.  Somebody may still look at the first one of a block, which
 *        was movable before
 *
 * Context: Process context; takes the core's lock.
 */
void vb_single_join(struct vb_store *store, struct page *page)
{
	vb_single_deduct(store, 1);
	vb_balloon_enqueue(&store->balloon, page, store->adjust);
}

/**
 * vb_single_replace() - replace a page that the kernel moves
 * @store: the store
 * @newpage: the new page, which the host holds
 * @page: the old page, which is isolated; leaves the balloon
 *
 * Context: The core's migration callback, with both pages locked.
 */
void vb_single_replace(struct vb_store *store, struct page *newpage,
		       struct page *page)
{
	vb_balloon_replace(&store->balloon, newpage, page, store->adjust);
}

/**
 * vb_single_forget() - let an isolated page leave without a replacement
 * @store: the store
 * @page: the page
 *
 * Context: The core's migration callback, with the page locked.
 * Return: what the callback must return.
 */
int vb_single_forget(struct vb_store *store, struct page *page)
{
	vb_single_deduct(store, -1);
	atomic_long_dec(&store->held);
	return vb_balloon_forget(&store->balloon, page, store->adjust);
}

/* Take up to @nr pages out of the balloon, onto @pages. */
static unsigned long vb_single_dequeue(struct vb_store *store,
				       struct list_head *pages,
				       unsigned long nr)
{
	struct page *page;

	nr = balloon_page_list_dequeue(&store->balloon, pages,
				       min_t(unsigned long, nr, VB_SINGLE_CHUNK));
	if (store->adjust)
		list_for_each_entry(page, pages, lru)
			vb_balloon_adjust(page, 1);
	vb_single_deduct(store, -(long)nr);
	atomic_long_sub(nr, &store->held);
	return nr;
}

/**
 * vb_single_take() - take out single pages whose deflate the host must read
 * @store: the store
 * @batch: an empty batch; gets the pages, which may be fewer than @nr
 * @nr: guest pages wanted, no more than the store holds
 *
 * Context: Process context; takes the core's lock.  Allocates nothing.
 */
void vb_single_take(struct vb_store *store, struct vb_batch *batch,
		    unsigned long nr)
{
	struct page *page, *next;
	LIST_HEAD(pages);

	batch->order = 0;
	batch->nr = 0;
	nr = min_t(unsigned long, nr, VB_BATCH_SINGLES);
	while (nr && vb_single_dequeue(store, &pages, nr)) {
		list_for_each_entry_safe(page, next, &pages, lru) {
			list_del(&page->lru);
			vb_batch_add(batch, page);
			nr--;
		}
	}
}

/* Page frames that fit in a page, after the struct vb_batch of the notice. */
#define VB_NOTICE_PAGES	((PAGE_SIZE - sizeof(struct vb_batch)) / sizeof(u32))

/**
 * vb_single_release() - give single pages back to the guest at once
 * @store: the store
 * @nr: guest pages wanted, no more than the store holds; one call gives
 *      VB_NOTICE_PAGES at the most
 * @notice: gets the deflate notice, or NULL if no page has left
 *
 * The first page that leaves becomes the notice.  It holds the page frames of
 * all pages, its own included.
 *
 * Context: Process context, also when memory has run out; takes the core's
 * lock.  Allocates nothing.
 * Return: guest pages that left the balloon.
 */
unsigned long vb_single_release(struct vb_store *store, unsigned long nr,
				struct vb_batch **notice)
{
	struct vb_batch *batch = NULL;
	unsigned long released = 0;
	struct page *page, *next;

	nr = min_t(unsigned long, nr, VB_NOTICE_PAGES);
	while (released < nr) {
		LIST_HEAD(pages);

		if (!vb_single_dequeue(store, &pages, nr - released))
			break;
		/* No list_del(): nobody reads @pages after this loop. */
		list_for_each_entry_safe(page, next, &pages, lru) {
			released++;
			if (batch) {
				vb_batch_add(batch, page);
				__free_page(page);
				continue;
			}
			batch = page_address(page);
			vb_batch_init(batch, VB_KIND_NOTICE, VB_NOTICE_PAGES,
				      (u32 *)(batch + 1));
			batch->op = VB_DEFLATE;
			vb_batch_add(batch, page);
		}
	}
	*notice = batch;
	return released;
}

/**
 * vb_single_free() - free up to VB_SINGLE_CHUNK pages of the balloon
 * @store: the store of a device that has been reset, so that no host holds a
 *         page
 *
 * Context: Process context; takes the core's lock.
 * Return: guest pages freed; 0 while all pages that are left are isolated.
 */
unsigned long vb_single_free(struct vb_store *store)
{
	struct page *page, *next;
	unsigned long freed;
	LIST_HEAD(pages);

	freed = vb_single_dequeue(store, &pages, VB_SINGLE_CHUNK);
	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	return freed;
}
