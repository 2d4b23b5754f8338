// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon's single pages.  The kernel's balloon core has them, and may move
 * them.
 */
#include "pfn.h"
#include "store/single.h"

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
 * vb_single_prepare() - allocate single pages for the balloon
 * @store: the store
 * @batch: an empty batch; gets the pages, sorted
 * @nr: guest pages wanted
 *
 * Fills @batch with as many as the guest can give without pain, which may be
 * none.
 *
 * Context: May sleep and reclaim.  The worker only (@store->scratch).
 */
void vb_single_prepare(struct vb_store *store, struct vb_batch *batch,
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
 * vb_single_abort() - free the pages of a batch
 * @batch: a batch of single pages that no host holds; is empty afterwards
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
 * vb_single_commit() - put acknowledged single pages in the balloon
 * @store: the store, which counts them already
 * @batch: the batch; is empty afterwards
 *
 * Context: Process context.
 */
void vb_single_commit(struct vb_store *store, struct vb_batch *batch)
{
	unsigned int end = 0;
	unsigned int i = 0;
	LIST_HEAD(pages);
	struct page *page;

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
 * vb_single_replace() - the kernel has moved a page of the balloon
 * @store: the store
 * @newpage: the new one; the host holds it
 * @page: the old one; it leaves the balloon
 *
 * Context: The core's callback, with both pages locked.
 */
void vb_single_replace(struct vb_store *store, struct page *newpage,
		       struct page *page)
{
	vb_balloon_replace(&store->balloon, newpage, page, store->adjust);
}

/**
 * vb_single_forget() - a page leaves the balloon by a migration, and none comes
 * @store: the store
 * @page: the page
 *
 * Context: The core's callback, with the page locked.
 */
void vb_single_forget(struct vb_store *store, struct page *page)
{
	vb_balloon_forget(&store->balloon, page, store->adjust);
	atomic_long_dec(&store->held);
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
	atomic_long_sub(nr, &store->held);
	return nr;
}

/**
 * vb_single_take() - take single pages out that the host must hear of first
 * @store: the store
 * @batch: an empty batch; gets the pages
 * @nr: guest pages wanted
 *
 * Context: Any process context.  Allocates nothing.
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

/* Page frames that fit in a page, behind the batch that they belong to. */
#define VB_NOTICE_PAGES	((PAGE_SIZE - sizeof(struct vb_batch)) / sizeof(u32))

/**
 * vb_single_release() - give single pages back to the guest at once
 * @store: the store
 * @nr: guest pages wanted; one call gives no more than one page can name
 * @notice: gets the deflate notice, or NULL if there is nothing to tell
 *
 * The first page that leaves carries the page frames of all, its own too.
 *
 * Context: Any process context, also when memory has run out.
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
		/* The list dissolves: to whom a page goes, its links go too. */
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
 * vb_single_free() - free some pages of the balloon
 * @store: the store of a device that has been reset: no host holds a page
 *
 * Context: Process context.
 * Return: pages freed; none while all that are left are isolated.
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
