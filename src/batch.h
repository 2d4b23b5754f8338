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

/* Balloon pages, which always have 4 KiB, in one guest page. */
#define VB_PFNS_PER_PAGE	(1U << (PAGE_SHIFT - VIRTIO_BALLOON_PFN_SHIFT))

/* A block: 2 MiB, the size of a host's huge page. */
#define VB_BLOCK_ORDER		(21 - PAGE_SHIFT)
#define VB_BLOCK_PAGES		BIT(VB_BLOCK_ORDER)

/*
 * The largest batch of single pages: 8 MiB.  The host discards each 4 KiB by
 * itself, so its main loop is busy with such a batch for a few ms.
 */
#define VB_BATCH_PFNS		2048U
/* The same limit in guest pages. */
#define VB_BATCH_SINGLES	(VB_BATCH_PFNS / VB_PFNS_PER_PAGE)
/* The largest batch of ranges, and of blocks under MUST_TELL_HOST: 64 MiB. */
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
 * enum vb_cause - why the worker sends a batch
 * @VB_FOR_TARGET: the host's target
 * @VB_FOR_EXCHANGE: a block enters, and single pages make way for it
 * @VB_FOR_OOM: memory has run out
 */
enum vb_cause {
	VB_FOR_TARGET,
	VB_FOR_EXCHANGE,
	VB_FOR_OOM,
};

/**
 * enum vb_kind - what becomes of a batch that the host has acknowledged
 * @VB_KIND_PAGES: the worker collects the batch; nobody uses its pages before
 * @VB_KIND_NOTICE: a deflate notice: the guest uses its pages already.  The
 *                  channel frees the page that the batch lives in
 * @VB_KIND_MIGRATION: a page migration sleeps until the host has read the batch
 * @VB_KIND_REPORT: free page reporting sleeps until the host has read the batch
 */
enum vb_kind {
	VB_KIND_PAGES,
	VB_KIND_NOTICE,
	VB_KIND_MIGRATION,
	VB_KIND_REPORT,
};

/**
 * struct vb_batch - runs of guest pages that travel together
 *
 * A run is one single page or one block.  The store fills a batch and the
 * channel carries it; neither includes the other.
 */
struct vb_batch {
	/**
	 * @node: in the worker's idle list (worker only), or in a list of the
	 * channel (channel lock)
	 */
	struct list_head node;
	/** @op: inflate or deflate; set before the batch is sent */
	enum vb_op op;
	/** @cause: why it is sent; a VB_KIND_PAGES batch only, worker only */
	enum vb_cause cause;
	/** @kind: what becomes of the batch; constant */
	enum vb_kind kind;
	/** @order: log2 of the guest pages in a run: 0, or VB_BLOCK_ORDER */
	unsigned int order;
	/** @capacity: runs that fit into @pfn; constant */
	unsigned int capacity;
	/** @nr: runs in the batch; set before the batch is sent */
	unsigned int nr;
	/**
	 * @cursor: how much of the batch was posted: in PFNs, or in runs where
	 * the batch travels as ranges; channel lock
	 */
	unsigned int cursor;
	/** @in_flight: buffers of the batch that the host has; channel lock */
	unsigned int in_flight;
	/**
	 * @acknowledged: the host has read the whole batch; the channel's last
	 * write to the batch, a store-release under the channel lock
	 */
	bool acknowledged;
	/**
	 * @pfn: the first page frame of each run, as the guest numbers them;
	 * owned by whoever holds the batch
	 */
	u32 *pfn;
	/** @sg: the ranges of a VB_KIND_REPORT batch, which has no @pfn */
	struct scatterlist *sg;
};

/*
 * The host reads PFNs of 32 bits (virtio 1.3, 5.5.6), so a batch can only name
 * memory below 16 TiB.
 */
static inline bool vb_batch_can_name(unsigned long pfn)
{
	return pfn <= U32_MAX / VB_PFNS_PER_PAGE;
}

static inline void vb_batch_add(struct vb_batch *batch, const struct page *page)
{
	batch->pfn[batch->nr++] = page_to_pfn(page);
}

struct vb_batch *vb_batch_alloc(enum vb_kind kind, unsigned int capacity);
void vb_batch_free(struct vb_batch *batch);
void vb_batch_free_notices(struct list_head *notices);
void vb_batch_init(struct vb_batch *batch, enum vb_kind kind,
		   unsigned int capacity, u32 *pfn);
unsigned long vb_batch_pages(const struct vb_batch *batch);
bool vb_batch_acknowledged(const struct vb_batch *batch);

#endif
