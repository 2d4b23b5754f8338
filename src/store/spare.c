// SPDX-License-Identifier: GPL-2.0
/*
 * How many blocks the guest can spare.  Blocks come from memory that the kernel
 * needs for itself, and programs want huge pages too.
 */
#include <linux/math64.h>
#include <linux/mm.h>

#include "store/store.h"

/*
 * What stays in blocks of a node's free memory (%, its zones weighed by their
 * size).  Below a tenth kcompactd starts to make some: fragmentation_score_node()
 * in mm/compaction.c, with vm.compaction_proactiveness at its default.
 */
#define VB_SPARE_LEFT	15

/**
 * vb_spare_share() - how much of a balloon may be in blocks
 * @pages: the size of the balloon
 *
 * Blocks come from memory that the kernel needs for itself.  All of them may,
 * but in a guest that has other memory too (ZONE_MOVABLE, CMA), from which the
 * single pages come, each has to give its share: what is available to programs
 * only would help no kernel allocation.
 *
 * Context: Any.
 * Return: guest pages.
 */
unsigned long vb_spare_share(unsigned long pages)
{
	unsigned long all = 0, kernel = 0;
	struct zone *zone;
	int nid, i;

	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			zone = &NODE_DATA(nid)->node_zones[i];
			all += zone->present_pages;
			if (i < ZONE_MOVABLE)
				kernel += zone->present_pages -
					  zone_cma_pages(zone);
		}
	}
	return kernel < all ? mul_u64_u64_div_u64(pages, kernel, all) : pages;
}

/* Free memory of a zone, and the part of it in blocks: guest pages. */
static unsigned long vb_zone_free(const struct zone *zone,
				  unsigned long *blocks)
{
	unsigned long free = 0, pieces = 0;
	unsigned int order;

	for (order = 0; order < ARRAY_SIZE(zone->free_area); order++) {
		if (order == VB_BLOCK_ORDER)
			pieces = free;
		free += READ_ONCE(zone->free_area[order].nr_free) << order;
	}
	*blocks = free - pieces;
	return free;
}

/**
 * vb_spare_blocks() - free blocks that leave a node enough of them
 * @nid: the node
 *
 * A node that has pieces only is worse off than one that has a smaller part of
 * the balloon in blocks: its huge pages are gone, and kcompactd works to make
 * some.
 *
 * Context: Any.
 * Return: blocks; a guess, since others take and give.
 */
unsigned long vb_spare_blocks(int nid)
{
	const pg_data_t *node = NODE_DATA(nid);
	unsigned long least = node->node_present_pages * VB_SPARE_LEFT;
	unsigned long blocks[MAX_NR_ZONES], part[MAX_NR_ZONES];
	unsigned long free, surplus, left = 0, spare = 0;
	const struct zone *zone;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++) {
		zone = &node->node_zones[i];
		free = vb_zone_free(zone, &blocks[i]);
		part[i] = zone->present_pages *
			  (free ? mult_frac(100UL, blocks[i], free) : 100);
		left += part[i];
	}
	/* The allocator empties the highest zone first. */
	while (i-- && left > least) {
		if (i == ZONE_MOVABLE || !blocks[i] || !part[i])
			continue;
		surplus = min(part[i], left - least);
		spare += div64_ul((u64)(blocks[i] / VB_BLOCK_PAGES) * surplus,
				  part[i]);
		left -= surplus;
	}
	return spare;
}
