/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pages that travel together: all that store and wire share.
 */
#ifndef VB_BATCH_H
#define VB_BATCH_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <uapi/linux/virtio_balloon.h>

struct scatterlist;

/* The host counts in pages of 4 KiB; so many are in one guest page. */
#define VB_PFNS_PER_PAGE	(1U << (PAGE_SHIFT - VIRTIO_BALLOON_PFN_SHIFT))

/* A block: 2 MiB, what hosts use as a huge page. */
#define VB_BLOCK_ORDER		(21 - PAGE_SHIFT)
#define VB_BLOCK_PAGES		BIT(VB_BLOCK_ORDER)

/* Most PFNs in a batch: 8 MiB, a few ms of the host's main loop. */
#define VB_BATCH_PFNS		2048U
/* The same in guest pages: most single pages in a batch. */
#define VB_BATCH_SINGLES	(VB_BATCH_PFNS / VB_PFNS_PER_PAGE)
/* Most blocks in a batch of ranges, or that MUST_TELL_HOST delays: 64 MiB. */
#define VB_BATCH_BLOCKS		32U
static_assert(VB_BATCH_BLOCKS <= VB_BATCH_SINGLES);

/**
 * enum vb_op - what a batch says about its pages
 * @VB_INFLATE: they enter the balloon
 * @VB_DEFLATE: they leave the balloon
 * @VB_NR_OPS: how many operations there are
 */
enum vb_op {
	VB_INFLATE,
	VB_DEFLATE,
	VB_NR_OPS,
};

/**
 * enum vb_kind - what becomes of a batch that the host has acknowledged
 * @VB_KIND_PAGES: the worker collects it; its pages wait for that
 * @VB_KIND_NOTICE: a deflate notice: its pages are in use again; it lives in a
 *                  page of its own, which is freed
 * @VB_KIND_MIGRATION: a page migration waits for it
 * @VB_KIND_REPORT: free page reporting waits for it
 */
enum vb_kind {
	VB_KIND_PAGES,
	VB_KIND_NOTICE,
	VB_KIND_MIGRATION,
	VB_KIND_REPORT,
};

/**
 * struct vb_range - page frames
 * @start: the first
 * @end: the first behind the last
 */
struct vb_range {
	unsigned long start;
	unsigned long end;
};

/**
 * struct vb_batch - runs of pages that travel together
 *
 * The store fills a batch, the channel carries it; neither knows the other.
 */
struct vb_batch {
	/**
	 * @node: in one list: idle (worker), or unsent, sent, acknowledged
	 * (channel lock)
	 */
	struct list_head node;
	/** @op: inflate or deflate; set before the batch is sent */
	enum vb_op op;
	/** @kind: who waits for the batch; set when it is made */
	enum vb_kind kind;
	/** @order: log2 of the guest pages in a run: 0, or VB_BLOCK_ORDER */
	unsigned int order;
	/** @capacity: runs that fit; constant */
	unsigned int capacity;
	/** @nr: runs in the batch; set before it is sent */
	unsigned int nr;
	/**
	 * @cursor: how much of the batch was handed to the host: PFNs, or runs
	 * where ranges travel; channel lock
	 */
	unsigned int cursor;
	/** @in_flight: buffers of the batch that the host has; channel lock */
	unsigned int in_flight;
	/**
	 * @acknowledged: the host has read all; written under the channel lock,
	 * with release semantics after everything else
	 */
	bool acknowledged;
	/**
	 * @pfn: the first page frame of each run, as the guest numbers them;
	 * owned by whoever holds the batch
	 */
	u32 *pfn;
	/** @sg: the ranges of a VB_KIND_REPORT, which has no @pfn */
	struct scatterlist *sg;
};

/* PFNs have 32 bits: the host can be told of memory below 16 TiB. */
static inline bool vb_batch_can_name(unsigned long pfn)
{
	return pfn <= U32_MAX / VB_PFNS_PER_PAGE;
}

struct vb_batch *vb_batch_alloc(enum vb_kind kind, unsigned int capacity);
void vb_batch_free(struct vb_batch *batch);
void vb_batch_init(struct vb_batch *batch, enum vb_kind kind,
		   unsigned int capacity, u32 *pfn);
unsigned long vb_batch_pages(const struct vb_batch *batch);
bool vb_batch_overlaps(const struct vb_batch *batch,
		       const struct vb_range *range);
bool vb_batch_acknowledged(const struct vb_batch *batch);

#endif
