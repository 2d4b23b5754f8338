// SPDX-License-Identifier: GPL-2.0
/*
 * What a node has free, beyond what it keeps.
 *
 * A program may be bound to a node, and the kernel reclaims each node by itself.
 * So each node keeps its part of the policy's floor free, by the node's size, and
 * those that have most beyond that give first.
 *
 * All counts are guest pages.  "Above" is what is free above the high watermarks;
 * "room" is what of that is above the node's part of the floor as well.
 */
#include <linux/math64.h>
#include <linux/mm.h>

#include "policy.h"
#include "store/node.h"

/*
 * An inflation that reclaims leaves so much free on a node, if that is less than
 * the node's part of the floor.  No more, since the worker holds as much in its
 * hand while the kernel reclaims.
 */
#define VB_NODE_LEAST	((16UL << 20) >> PAGE_SHIFT)

/* A node's part of the policy's floor, by the node's size. */
static unsigned long vb_node_floor(int nid)
{
	u64 all = get_num_physpages();

	return div64_u64(vb_policy_floor(all, PAGE_SHIFT) *
			 node_present_pages(nid), all);
}

/*
 * Guest pages that a zone has free above its high watermark, where kswapd stops;
 * below 0 if it has fewer.  The kernel keeps lowmem_reserve of a lower zone for
 * allocations that can use no other zone.  That does not count as free, but a zone
 * that has less free than its reserve lacks no more than its watermark.
 */
static long vb_zone_above(struct zone *zone, enum zone_type last)
{
	long free = zone_page_state(zone, NR_FREE_PAGES);

	/* Only what the kernel may use for anything: none of what CMA lends. */
	if (last < ZONE_MOVABLE)
		free -= (long)zone_page_state(zone, NR_FREE_CMA_PAGES);
	return max(free - zone->lowmem_reserve[last], 0L) -
	       (long)high_wmark_pages(zone);
}

/**
 * vb_node_above() - what a node has free above its high watermarks
 * @nid: the node
 * @last: the highest zone to look at
 *
 * Context: Any.
 * Return: guest pages; below 0 if kswapd has work.
 */
long vb_node_above(int nid, enum zone_type last)
{
	enum zone_type i;
	long above = 0;

	for (i = 0; i <= last; i++)
		if (populated_zone(&NODE_DATA(nid)->node_zones[i]))
			above += vb_zone_above(&NODE_DATA(nid)->node_zones[i],
					       last);
	return above;
}

/**
 * vb_node_room() - what a node can give of its free memory
 * @nid: the node
 * @last: the highest zone to take from
 *
 * The node keeps its floor above its high watermarks, so kswapd does not start.
 * A zone that has less than its watermark counts against the others: they have
 * to serve those who would have used it.
 *
 * Context: Any.
 * Return: guest pages; a guess, since no lock keeps others from allocating.
 */
unsigned long vb_node_room(int nid, enum zone_type last)
{
	return max(vb_node_above(nid, last) - (long)vb_node_floor(nid), 0L);
}

/**
 * vb_node_least() - what an inflation that reclaims leaves free on a node
 * @nid: the node
 *
 * Context: Any.
 * Return: guest pages above the node's high watermarks.
 */
unsigned long vb_node_least(int nid)
{
	return min(vb_node_floor(nid), VB_NODE_LEAST);
}

static unsigned long vb_node_counter(int nid, enum node_stat_item item)
{
	return max(atomic_long_read(&NODE_DATA(nid)->vm_stat[item]), 0L);
}

/**
 * vb_node_reclaimable() - what a node may give if it reclaims
 * @nid: the node
 * @last: the highest zone to take from
 *
 * Counts what si_mem_available() counts.  Nobody knows whether reclaim gets it.
 *
 * Context: Any.
 * Return: guest pages.
 */
unsigned long vb_node_reclaimable(int nid, enum zone_type last)
{
	long spare = vb_node_above(nid, last) - (long)vb_node_least(nid);

	return vb_node_counter(nid, NR_ACTIVE_FILE) +
	       vb_node_counter(nid, NR_INACTIVE_FILE) +
	       vb_node_counter(nid, NR_SLAB_RECLAIMABLE_B) + max(spare, 0L);
}

/* What a node has above its level (struct vb_node_split). */
static unsigned long vb_node_over(const struct vb_node_split *split, int nid)
{
	unsigned long has = split->sole ?: split->has(nid, split->share);
	u64 level = mul_u64_u64_div_u64(split->left, node_present_pages(nid),
					split->size);

	return has - min_t(u64, has, level);
}

/**
 * vb_node_split() - split what is wanted among the nodes
 * @split: gets the level to which all nodes go
 * @has: what a node can give
 * @share: how much of the free memory stays in blocks, in %, for @has
 * @nr: what is wanted of all nodes, in the unit of @has; ULONG_MAX if each is to
 *      give in proportion to what it has
 *
 * Afterwards all nodes have the same part of their size left, as far as they had
 * as much.
 *
 * Context: Any.
 */
void vb_node_split(struct vb_node_split *split, vb_node_has_t *has,
		   unsigned long share, unsigned long nr)
{
	unsigned long all = 0;
	int nid;

	for_each_online_node(nid)
		all += has(nid, share);
	split->has = has;
	split->share = share;
	split->sole = num_online_nodes() == 1 ? all : 0;
	split->left = all - min(all, nr);
	split->size = get_num_physpages();
	split->over = 0;
	for_each_online_node(nid)
		split->over += vb_node_over(split, nid);
}

/**
 * vb_node_due() - what a node gives
 * @split: from vb_node_split(); each node is asked for once
 * @nr: what is still wanted of this node and those that follow, in the unit of
 *      vb_node_split.has
 * @nid: the node
 *
 * Context: Any.
 * Return: this node's part of @nr, rounded to the nearest; less if the nodes do
 * not have @nr above their level.
 */
unsigned long vb_node_due(struct vb_node_split *split, unsigned long nr,
			  int nid)
{
	unsigned long over = min(vb_node_over(split, nid), split->over);
	unsigned long due = over;

	if (nr < split->over)
		due = min(over, div64_ul((u64)nr * over + split->over / 2,
					 split->over));
	split->over -= over;
	return due;
}
