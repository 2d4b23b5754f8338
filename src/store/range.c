// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon's blocks in a range of memory that goes offline.
 */
#include <linux/mm.h>

#include "store/block.h"

static bool vb_range_overlaps(struct page *page, const struct vb_range *range)
{
	unsigned long pfn = page_to_pfn(page);

	return pfn < range->end && pfn + VB_BLOCK_PAGES > range->start;
}

/**
 * vb_range_pick() - take blocks of a range off the core's list
 * @store: the store
 * @blocks: gets the blocks
 * @nr: blocks wanted
 * @range: only blocks that have a page frame in this range
 *
 * The core gives what comes first, so take all and put the others back.
 *
 * Context: Process context; takes the core's lock.
 * Return: blocks taken, of which the caller accounts all but the first pages.
 */
unsigned long vb_range_pick(struct vb_store *store, struct list_head *blocks,
			    unsigned long nr, const struct vb_range *range)
{
	unsigned long all = 0, got = 0;
	struct page *page, *next;
	LIST_HEAD(others);
	size_t some;

	while ((some = balloon_page_list_dequeue(&store->blocks, &others,
						 VB_SINGLE_CHUNK)))
		all += some;
	list_for_each_entry_safe(page, next, &others, lru) {
		if (got < nr && vb_range_overlaps(page, range)) {
			list_move_tail(&page->lru, blocks);
			got++;
			continue;
		}
		list_del(&page->lru);
		vb_balloon_enqueue(&store->blocks, page, false);
	}
	/* Take back the counts of blocks that have not left. */
	count_vm_events(BALLOON_DEFLATE, (long)got - (long)all);
	count_vm_events(BALLOON_INFLATE, (long)got - (long)all);
	return got;
}

/**
 * vb_range_within() - does a block of the balloon have a page frame in a range?
 * @store: the store
 * @range: the page frames
 *
 * The list of a large balloon is too long to search for a range.  But the core
 * makes the first page of each block point to the list by its private field.
 *
 * Context: Process context.
 * Return: true if so, also while the block is isolated.
 */
bool vb_range_within(struct vb_store *store, const struct vb_range *range)
{
	struct page *page;
	unsigned long pfn;

	for (pfn = round_down(range->start, VB_BLOCK_PAGES); pfn < range->end;
	     pfn += VB_BLOCK_PAGES) {
		page = pfn_to_online_page(pfn);
		if (page && PageOffline(page) &&
		    page_private(page) == (unsigned long)&store->blocks)
			return true;
	}
	return false;
}
