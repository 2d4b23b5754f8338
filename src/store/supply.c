// SPDX-License-Identifier: GPL-2.0
/*
 * Where the balloon's pages come from: each node's free memory, and then what
 * the kernel reclaims there.
 *
 * While the kernel reclaims, the worker has pages in its hand that no host has
 * heard of.  If the guest runs out of memory meanwhile, these pages go back at
 * once, whatever was negotiated, since they are not in the balloon.
 */
#include <linux/mm.h>

#include "pfn.h"
#include "store/block.h"
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
#define VB_SUPPLY_ZONE	gfp_zone(VB_GFP_SINGLE)

/* Blocks that a node can give; @share: in %, from vb_spare_percent(). */
static unsigned long vb_supply_blocks_of(int nid, unsigned long share)
{
	unsigned long room = vb_node_room(nid, ZONE_NORMAL) / VB_BLOCK_PAGES;

	return room ? min(room, vb_spare_blocks(nid, share)) : 0;
}

/* Add up to @nr blocks of a node. */
static void vb_supply_blocks_from(struct vb_store *store,
				  struct vb_batch *batch, unsigned long nr,
				  int nid)
{
	struct page *page;

	for (; nr; nr--) {
		page = vb_block_alloc(store, nid);
		if (!page)
			break;
		vb_batch_add(batch, page);
	}
}

/**
 * vb_supply_blocks() - allocate blocks for the balloon
 * @store: the store
 * @batch: an empty batch; gets the blocks, sorted
 * @nr: blocks wanted
 *
 * @batch gets as many as the guest can spare, which may be none.  The nodes
 * that have most to spare give first.
 *
 * Context: The worker only, which alone uses @store->sorted.  Does not reclaim.
 */
void vb_supply_blocks(struct vb_store *store, struct vb_batch *batch,
		      unsigned long nr)
{
	unsigned long share = vb_spare_percent(store);
	struct vb_node_split split;
	unsigned long more;
	int nid;

	batch->order = VB_BLOCK_ORDER;
	batch->nr = 0;
	nr = min_t(unsigned long, nr, batch->capacity);
	vb_node_split(&split, vb_supply_blocks_of, share, nr);
	for_each_online_node(nid)
		vb_supply_blocks_from(store, batch,
				      vb_node_due(&split, nr - batch->nr, nid),
				      nid);
	/* A node may give less than it has: the kernel offers CMA's first. */
	for_each_online_node(nid) {
		if (batch->nr >= nr)
			break;
		more = min(nr - batch->nr, vb_supply_blocks_of(nid, share));
		vb_supply_blocks_from(store, batch, more, nid);
	}
	vb_pfn_sort(batch->pfn, store->sorted, batch->nr);
}

/* Guest pages that a node has free, beyond what it keeps: its room. */
static unsigned long vb_supply_singles_of(int nid, unsigned long unused)
{
	return vb_node_room(nid, VB_SUPPLY_ZONE);
}

/* Guest pages that a node may have once the kernel has reclaimed there. */
static unsigned long vb_supply_reclaimable(int nid, unsigned long unused)
{
	return vb_node_reclaimable(nid, VB_SUPPLY_ZONE);
}

/**
 * vb_supply_room() - how many single pages are free, beyond what the nodes keep?
 *
 * Context: Any.
 * Return: guest pages; a guess, since no lock keeps others from allocating.
 */
unsigned long vb_supply_room(void)
{
	unsigned long room = 0;
	int nid;

	for_each_online_node(nid)
		room += vb_supply_singles_of(nid, 0);
	return room;
}

/* Allocate up to @nr pages of a node into @store->scratch. */
static unsigned long vb_supply_alloc(struct vb_store *store, gfp_t gfp, int nid,
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
static struct page *vb_supply_next(struct vb_store *store, unsigned long i)
{
	struct page *page = store->scratch[i];

	store->scratch[i] = NULL;
	return page;
}

static void vb_supply_add(struct vb_batch *batch, struct page *page)
{
	if (vb_batch_can_name(page_to_pfn(page)))
		vb_batch_add(batch, page);
	else
		__free_page(page);
}

/* Add up to @nr pages that are free on a node. */
static void vb_supply_singles_from(struct vb_store *store,
				   struct vb_batch *batch, unsigned long nr,
				   int nid)
{
	unsigned long got, i;

	for (; nr; nr -= got) {
		got = vb_supply_alloc(store, VB_GFP_FREE, nid, nr);
		if (!got)
			break;
		for (i = 0; i < got; i++)
			vb_supply_add(batch, vb_supply_next(store, i));
	}
}

/* Take a page into the hand. */
static void vb_hand_add(struct vb_hand *hand, struct page *page)
{
	spin_lock(&hand->lock);
	list_add(&page->lru, &hand->pages);
	spin_unlock(&hand->lock);
}

/* Take all pages out of the hand, onto @pages. */
static void vb_hand_drain(struct vb_hand *hand, struct list_head *pages)
{
	spin_lock(&hand->lock);
	list_splice_init(&hand->pages, pages);
	spin_unlock(&hand->lock);
}

/*
 * Add up to @nr pages that reclaim finds on a node.
 *
 * Reclaim begins only when the node's free memory is nearly used up.  So the
 * free memory goes into the hand first, and goes back at the end: the batch gets
 * what the node then has more than vb_node_least().  If reclaim finds nothing, or
 * the guest has run out of memory meanwhile, that is no page.
 */
static void vb_supply_squeeze(struct vb_store *store, struct vb_batch *batch,
			      unsigned long nr, int nid)
{
	long least = vb_node_least(nid);
	long more, inside = 0, best = LONG_MIN;
	struct page *page, *next;
	unsigned long got, i;
	LIST_HEAD(pages);

	if (!nr || READ_ONCE(store->hand.closed))
		return;
	for (;;) {
		more = inside + vb_node_above(nid, VB_SUPPLY_ZONE) - least;
		if (min(more, inside) >= (long)nr ||
		    READ_ONCE(store->hand.closed))
			break;
		got = vb_supply_alloc(store, VB_GFP_SINGLE, nid, VB_SINGLE_CHUNK);
		/* Others may be faster: it has failed when it finds no more. */
		if (!got && more <= best)
			break;
		if (!got)
			best = more;
		for (i = 0; i < got; i++)
			vb_hand_add(&store->hand, vb_supply_next(store, i));
		inside += got;
	}
	/* Less than a chunk is noise, and not worth a hand full of pages. */
	if (READ_ONCE(store->hand.closed) ||
	    more < min_t(long, nr, VB_SINGLE_CHUNK))
		more = 0;
	more = min_t(long, more, nr);
	vb_hand_drain(&store->hand, &pages);
	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		if (more-- > 0)
			vb_supply_add(batch, page);
		else
			__free_page(page);
		cond_resched();
	}
}

/* Fill the batch up to @nr guest pages in all with what reclaim finds. */
static void vb_supply_reclaim(struct vb_store *store, struct vb_batch *batch,
			      unsigned long nr)
{
	struct vb_node_split split;
	unsigned long due;
	int nid;

	/* In proportion, so that one where reclaim fails stops no other. */
	vb_node_split(&split, vb_supply_reclaimable, 0, ULONG_MAX);
	for_each_online_node(nid) {
		due = vb_node_due(&split, nr - batch->nr, nid);
		/* A few pages of one node are not worth a hand full of pages. */
		if (due >= min_t(unsigned long, nr - batch->nr, VB_SINGLE_CHUNK))
			vb_supply_squeeze(store, batch, due, nid);
	}
}

/**
 * vb_supply_singles() - allocate single pages for the balloon
 * @store: the store
 * @batch: an empty batch; gets the pages, sorted
 * @nr: guest pages wanted
 *
 * The nodes give what they have free beyond their floor, then what they can
 * reclaim.  @batch gets fewer pages, or none, if reclaim does not find more; and
 * none if the guest runs out of memory meanwhile.
 *
 * Context: The worker only, which alone uses @store->scratch and
 * @store->sorted.  May sleep and reclaim.
 */
void vb_supply_singles(struct vb_store *store, struct vb_batch *batch,
		       unsigned long nr)
{
	struct vb_node_split split;
	int nid;

	nr = min_t(unsigned long, nr, VB_BATCH_SINGLES);
	batch->nr = 0;
	batch->order = 0;
	WRITE_ONCE(store->hand.closed, false);
	vb_node_split(&split, vb_supply_singles_of, 0, nr);
	for_each_online_node(nid)
		vb_supply_singles_from(store, batch,
				       vb_node_due(&split, nr - batch->nr, nid),
				       nid);
	if (batch->nr < nr)
		vb_supply_reclaim(store, batch, nr);
	if (READ_ONCE(store->hand.closed))
		vb_single_abort(batch);
	vb_pfn_sort(batch->pfn, store->sorted, batch->nr);
}

/**
 * vb_supply_stop() - let an inflation of single pages end soon, without a page
 * @store: the store
 *
 * The next inflation is not stopped.
 *
 * Context: Any.
 */
void vb_supply_stop(struct vb_store *store)
{
	WRITE_ONCE(store->hand.closed, true);
}

/**
 * vb_supply_give() - give the guest what the worker has in its hand
 * @store: the store
 *
 * Ends the worker's inflation as vb_supply_stop() does.
 *
 * Context: An OOM notifier; takes the hand's lock, may sleep.  Allocates nothing.
 * Return: guest pages given; 0 while no inflation reclaims.
 */
unsigned long vb_supply_give(struct vb_store *store)
{
	struct page *page, *next;
	unsigned long nr = 0;
	LIST_HEAD(pages);

	vb_supply_stop(store);
	vb_hand_drain(&store->hand, &pages);
	list_for_each_entry_safe(page, next, &pages, lru) {
		list_del(&page->lru);
		__free_page(page);
		nr++;
		cond_resched();
	}
	return nr;
}
