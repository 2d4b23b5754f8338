// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon's single pages.  They are in a list of the kernel's balloon core
 * (mm/balloon_compaction.c), which isolates them to move them.
 */
#include "pfn.h"
#include "store/hand.h"
#include "store/node.h"
#include "store/single.h"

/*
 * Movable, so that compaction and offlining can move the balloon.  One round of
 * reclaim, but neither the reserves nor the OOM killer: a guest that is short
 * of memory gives no page.
 */
#define VB_GFP_SINGLE	(VB_GFP_MOVABLE | __GFP_NOMEMALLOC | __GFP_NORETRY | \
			 __GFP_NOWARN | __GFP_THISNODE | VB_GFP_UNTOUCHED)
/* What is free: no reclaim, and kswapd sleeps on. */
#define VB_GFP_FREE	(VB_GFP_SINGLE & ~__GFP_RECLAIM)
/* The highest zone that single pages come from. */
#define VB_SINGLE_ZONE	gfp_zone(VB_GFP_SINGLE)

static struct page *vb_batch_page(const struct vb_batch *batch, unsigned int i)
{
	return pfn_to_page(batch->pfn[i]);
}

static void vb_batch_add(struct vb_batch *batch, struct page *page)
{
	batch->pfn[batch->nr++] = page_to_pfn(page);
}

/* The pages are off MemTotal, by the core or by vb_balloon_adjust(): count that. */
static void vb_single_deduct(struct vb_store *store, long pages)
{
	if (store->adjust)
		atomic_long_add(pages, &store->deducted);
}

/* Pages that a node has free, beyond what it keeps. */
static unsigned long vb_single_room_of(const struct vb_store *store, int nid)
{
	return vb_node_room(nid, VB_SINGLE_ZONE);
}

/* Pages that a node may have once it has reclaimed. */
static unsigned long vb_single_reclaimable(const struct vb_store *store,
					   int nid)
{
	return vb_node_reclaimable(nid, VB_SINGLE_ZONE);
}

/**
 * vb_single_room() - how many single pages are free, beyond what the nodes keep?
 *
 * Context: Any.
 * Return: guest pages; a guess, since no lock keeps others from allocating.
 */
unsigned long vb_single_room(void)
{
	unsigned long room = 0;
	int nid;

	for_each_online_node(nid)
		room += vb_single_room_of(NULL, nid);
	return room;
}

/* Allocate up to @nr pages of a node into @store->scratch. */
static unsigned long vb_single_alloc(struct vb_store *store, gfp_t gfp, int nid,
				     unsigned long nr)
{
	unsigned long all = 0, got;

	nr = min_t(unsigned long, nr, ARRAY_SIZE(store->scratch));
	do {
		got = alloc_pages_bulk_node(gfp, nid, nr - all,
					    store->scratch + all);
		all += got;
	} while (got && all < nr);
	cond_resched();
	return all;
}

/* Take the next page out of @store->scratch, which is all NULL afterwards. */
static struct page *vb_single_next(struct vb_store *store, unsigned long i)
{
	struct page *page = store->scratch[i];

	store->scratch[i] = NULL;
	return page;
}

static void vb_single_add(struct vb_batch *batch, struct page *page)
{
	if (vb_batch_can_name(page_to_pfn(page)))
		vb_batch_add(batch, page);
	else
		__free_page(page);
}

/* Add up to @nr pages that are free on a node. */
static void vb_single_fill_from(struct vb_store *store, struct vb_batch *batch,
				unsigned long nr, int nid)
{
	unsigned long got, i;

	for (; nr; nr -= got) {
		got = vb_single_alloc(store, VB_GFP_FREE, nid, nr);
		if (!got)
			break;
		for (i = 0; i < got; i++)
			vb_single_add(batch, vb_single_next(store, i));
	}
}

/*
 * Add up to @nr pages that reclaim finds on a node.
 *
 * Reclaim begins only when the node's free memory is nearly used up.  So the
 * free memory goes into the hand first, and goes back at the end: the batch gets
 * what the node then has more than it keeps.  If reclaim finds nothing, or the
 * guest has run out of memory meanwhile, that is no page.
 */
static void vb_single_squeeze(struct vb_store *store, struct vb_batch *batch,
			      unsigned long nr, int nid)
{
	long least = vb_node_least(nid);
	long more, inside = 0, best = LONG_MIN;
	struct page *page, *next;
	unsigned long got, i;
	LIST_HEAD(pages);

	if (!nr || vb_hand_emptied(&store->hand))
		return;
	for (;;) {
		more = inside + vb_node_above(nid, VB_SINGLE_ZONE) - least;
		if (min(more, inside) >= (long)nr ||
		    vb_hand_emptied(&store->hand))
			break;
		got = vb_single_alloc(store, VB_GFP_SINGLE, nid, VB_SINGLE_CHUNK);
		/* Others may be faster: it has failed when it finds no more. */
		if (!got && more <= best)
			break;
		if (!got)
			best = more;
		for (i = 0; i < got; i++)
			vb_hand_add(&store->hand, vb_single_next(store, i));
		inside += got;
	}
	/* Less than a chunk is noise, and not worth a hand full of pages. */
	if (vb_hand_emptied(&store->hand) ||
	    more < min_t(long, nr, VB_SINGLE_CHUNK))
		more = 0;
	more = min_t(long, more, nr);
	vb_hand_drain(&store->hand, &pages);
	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		if (more-- > 0)
			vb_single_add(batch, page);
		else
			__free_page(page);
	}
}

/* Fill the batch up to @nr pages with what reclaim finds. */
static void vb_single_reclaim(struct vb_store *store, struct vb_batch *batch,
			      unsigned long nr)
{
	struct vb_node_split split;
	int nid;

	/* In proportion, so that one where reclaim fails stops no other. */
	vb_node_split(&split, vb_single_reclaimable, store, ULONG_MAX);
	vb_hand_open(&store->hand);
	for_each_online_node(nid)
		vb_single_squeeze(store, batch,
				  vb_node_due(&split, nr - batch->nr, nid), nid);
}

/**
 * vb_single_prepare() - allocate single pages for the balloon
 * @store: the store
 * @batch: an empty batch; gets the pages, sorted
 * @nr: guest pages wanted
 *
 * The nodes give what they have free beyond their floor, then what they can
 * reclaim.  @batch gets fewer pages, or none, if reclaim does not find more.
 *
 * Context: The worker only, which alone uses @store->scratch and
 * @store->sorted.  May sleep and reclaim.
 */
void vb_single_prepare(struct vb_store *store, struct vb_batch *batch,
		       unsigned long nr)
{
	struct vb_node_split split;
	int nid;

	nr = min_t(unsigned long, nr, VB_BATCH_SINGLES);
	batch->nr = 0;
	batch->order = 0;
	vb_node_split(&split, vb_single_room_of, store, nr);
	for_each_online_node(nid)
		vb_single_fill_from(store, batch,
				    vb_node_due(&split, nr - batch->nr, nid), nid);
	if (batch->nr < nr)
		vb_single_reclaim(store, batch, nr);
	vb_pfn_sort(batch->pfn, store->sorted, batch->nr);
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
 * vb_single_join() - make a single page of the first page of a broken block
 * @store: the store; @held counts the page already
 * @page: the page
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
