/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Nodes, as those who allocate for the balloon see them.
 */
#ifndef VB_NODE_H
#define VB_NODE_H

#include <linux/mmzone.h>

/*
 * What a node can give, in any unit: guest pages, or blocks.  @share is how much
 * of its free memory stays in blocks, in %: see vb_spare_percent().  Functions that
 * count guest pages ignore @share.
 */
typedef unsigned long vb_node_has_t(int nid, unsigned long share);

/**
 * struct vb_node_split - what is wanted, split among the nodes
 *
 * The level of a node is its part of @left, by the node's size: what the node
 * keeps of what it has.  A node with more than that comes down to its level; a
 * node with less gives nothing.
 *
 * In the unit of @has; on the caller's stack.
 */
struct vb_node_split {
	/** @has: what a node can give */
	vb_node_has_t *has;
	/** @share: for @has */
	unsigned long share;
	/** @sole: what the node has if it is the only one, which is then asked once */
	unsigned long sole;
	/** @left: what all nodes keep together of what they have */
	unsigned long left;
	/** @size: guest pages of all nodes */
	unsigned long size;
	/** @over: what the nodes that were not asked yet have above their level */
	unsigned long over;
};

long vb_node_above(int nid, enum zone_type last);
unsigned long vb_node_room(int nid, enum zone_type last);
unsigned long vb_node_least(int nid);
unsigned long vb_node_reclaimable(int nid, enum zone_type last);
void vb_node_split(struct vb_node_split *split, vb_node_has_t *has,
		   unsigned long share, unsigned long nr);
unsigned long vb_node_due(struct vb_node_split *split, unsigned long nr,
			  int nid);

#endif
