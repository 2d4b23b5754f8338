// SPDX-License-Identifier: GPL-2.0
/*
 * How many blocks the guest can spare.  Blocks come from memory that the kernel
 * can use for itself, and programs need free blocks for huge pages.
 */
#include <linux/math64.h>
#include <linux/mm.h>

#include "store/store.h"

/*
 * A node keeps this much of its free memory in blocks: in %, the mean of its
 * zones, weighed by their size.  Below 10 % kcompactd starts to make blocks, if
 * vm.compaction_proactiveness has its default value 20: see
 * should_proactive_compact_node() in mm/compaction.c.
 */
#define VB_SPARE_LEFT	15

/*
 * And this much of what there would be without the balloon, in %: if 80 % of the
 * free memory would then be in blocks, 48 % stay so.  Programs in a fragmented
 * guest keep at least half of their huge pages; the other 10 % are for what moves
 * while the driver looks.
 */
#define VB_SPARE_KEPT	60

/*
 * Free memory only: no reclaim, no reserves, no compaction.  __GFP_MOVABLE takes
 * a block off the lists of movable memory, where all large blocks are: from any
 * other list the allocator would change the type of the page block for good,
 * and the guest would keep less and less memory that compaction can work on.
 * Without __GFP_HIGHMEM the flag does not lead to ZONE_MOVABLE.
 */
#define VB_GFP_SPARE	(__GFP_MOVABLE | __GFP_NOMEMALLOC | __GFP_NORETRY | \
			 __GFP_NOWARN | VB_GFP_UNTOUCHED)

/*
 * Free a block that the balloon may not have.  In pages: a block that was freed
 * as such would stay on a per-CPU list, and be the first that is allocated again.
 */
static void vb_spare_put_back(struct page *page, unsigned int order)
{
	unsigned long i;

	split_page(page, order);
	for (i = 0; i < 1UL << order; i++)
		__free_page(page + i);
}

/**
 * vb_spare_take() - allocate a block that is free
 * @nid: the node, or NUMA_NO_NODE for any
 * @order: log2 of the guest pages in the block; VB_BLOCK_ORDER or more
 *
 * The kernel cannot move the block.  So none is taken from memory that must be
 * movable: ZONE_MOVABLE, and what CMA lends out.  While more than half of the
 * free memory is CMA's, the kernel offers that alone, and there is no block.
 *
 * Context: Process context.  Does not reclaim.
 * Return: its first page, or NULL.
 */
struct page *vb_spare_take(int nid, unsigned int order)
{
	gfp_t gfp = VB_GFP_SPARE;
	struct page *page;

	if (nid != NUMA_NO_NODE)
		gfp |= __GFP_THISNODE;
	page = alloc_pages_node(nid, gfp, order);
	if (page && vb_page_is_cma(page)) {
		vb_spare_put_back(page, order);
		return NULL;
	}
	return page;
}

/**
 * vb_spare_most() - how much of a balloon may be in blocks
 * @pages: the size of the balloon in guest pages
 *
 * Blocks come from memory that the kernel can use for itself, single pages
 * first from other memory (ZONE_MOVABLE, CMA).  Each kind of memory gives its
 * share, so that the kernel is not left with memory that only programs can use.
 * In a guest without such other memory all of the balloon may be in blocks.
 *
 * Context: Any.
 * Return: guest pages.
 */
unsigned long vb_spare_most(unsigned long pages)
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

/*
 * Free pages of a zone on the allocator's per-CPU lists.  After a deflation they
 * may be 100 MiB; later they go back to the zone, most of them in pieces.
 */
static unsigned long vb_spare_cached(struct zone *zone)
{
	unsigned long cached = 0;
	int cpu;

	for_each_online_cpu(cpu)
		cached += READ_ONCE(per_cpu_ptr(zone->per_cpu_pageset,
						cpu)->count);
	return cached;
}

/*
 * The free memory of a zone, with its per-CPU lists, and in @blocks the part of
 * it in blocks or larger: guest pages.
 */
static unsigned long vb_spare_free(struct zone *zone,
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
	return free + (populated_zone(zone) ? vb_spare_cached(zone) : 0);
}

/*
 * How much of a node's free memory is in blocks, in the unit of VB_SPARE_LEFT (%)
 * times the node's present pages.  In @blocks the guest pages in free blocks of
 * each zone, and in @part each zone's part of the sum.
 */
static unsigned long vb_spare_in_blocks(pg_data_t *node,
					unsigned long blocks[MAX_NR_ZONES],
					unsigned long part[MAX_NR_ZONES])
{
	struct zone *zone;
	unsigned long free, left = 0;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++) {
		zone = &node->node_zones[i];
		free = vb_spare_free(zone, &blocks[i]);
		part[i] = zone->present_pages *
			  (free ? mult_frac(100UL, blocks[i], free) : 100);
		left += part[i];
	}
	return left;
}

/**
 * vb_spare_percent() - how much of the free memory stays in blocks?
 * @store: the store
 *
 * What is in the balloon counts as free, so that the measure does not move while
 * the balloon grows.
 *
 * Context: Any.
 * Return: % of a node's free memory, the same for all nodes: VB_SPARE_LEFT or more.
 */
unsigned long vb_spare_percent(const struct vb_store *store)
{
	unsigned long whole = atomic_long_read(&store->nr_blocks) * VB_BLOCK_PAGES;
	unsigned long free = atomic_long_read(&store->held);
	unsigned long blocks;
	struct zone *zone;
	int nid, i;

	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			zone = &NODE_DATA(nid)->node_zones[i];
			free += vb_spare_free(zone, &blocks);
			whole += blocks;
		}
	}
	if (!free)
		return VB_SPARE_LEFT;
	return max_t(unsigned long, VB_SPARE_LEFT,
		     mult_frac((unsigned long)VB_SPARE_KEPT, whole, free));
}

/**
 * vb_spare_blocks() - how many free blocks can a node spare?
 * @nid: the node
 * @share: how much of the node's free memory stays in blocks, in %, from
 *         vb_spare_percent()
 *
 * A node without free blocks has no huge pages for programs, and its kcompactd
 * works to make some.  So a part of its free memory stays in blocks, and the
 * balloon takes single pages instead.
 *
 * Context: Any.
 * Return: blocks; a guess, since no lock keeps others from allocating.
 */
unsigned long vb_spare_blocks(int nid, unsigned long share)
{
	pg_data_t *node = NODE_DATA(nid);
	unsigned long least = node->node_present_pages * share;
	unsigned long blocks[MAX_NR_ZONES], part[MAX_NR_ZONES];
	unsigned long surplus, spare = 0;
	unsigned long left = vb_spare_in_blocks(node, blocks, part);
	int i = MAX_NR_ZONES;

	/* From the highest zone down, as the allocator takes them. */
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

/**
 * vb_spare_lacking() - how many blocks does the guest lack in a zone?
 * @zone: the zone
 *
 * The other side of vb_spare_blocks(): blocks that leave the balloon keep the
 * share of free blocks at VB_SPARE_LEFT while single pages leave it.
 *
 * Context: Any.
 * Return: blocks, 0 if the node or the zone has enough; a guess, as above.
 */
unsigned long vb_spare_lacking(struct zone *zone)
{
	pg_data_t *node = zone->zone_pgdat;
	unsigned long least = node->node_present_pages * VB_SPARE_LEFT;
	unsigned long blocks[MAX_NR_ZONES], part[MAX_NR_ZONES];
	unsigned long wanted;

	if (vb_spare_in_blocks(node, blocks, part) >= least)
		return 0;
	/* Blocks are free memory as well: b of them add b to both sides. */
	wanted = vb_spare_free(zone, blocks) * VB_SPARE_LEFT;
	wanted -= min(wanted, *blocks * 100);
	return wanted / (100 - VB_SPARE_LEFT) / VB_BLOCK_PAGES;
}
