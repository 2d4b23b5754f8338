/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is in the balloon: the door of this floor.  No other floor touches the
 * struct pages of the balloon.
 *
 * supply allocates pages for a batch.  commit puts the batch into the balloon
 * when the host has acknowledged it; abort frees a batch that no host holds.
 * release takes pages out that the guest uses at once; take takes pages out
 * that the guest uses when the host has read their deflate.
 */
#ifndef VB_STORE_H
#define VB_STORE_H

#include <linux/atomic.h>
#include <linux/spinlock.h>

#include "batch.h"
#include "compat.h"

/*
 * Single pages that one call passes to the kernel's core, which holds a lock
 * with interrupts off meanwhile.
 */
#define VB_SINGLE_CHUNK		256U

/**
 * struct vb_hand - pages that the worker has allocated and may not keep
 *
 * Used while the kernel reclaims for an inflation (supply.c).  No host has heard
 * of the pages.
 */
struct vb_hand {
	/** @lock: guards @pages; no other lock inside */
	spinlock_t lock;
	/** @pages: linked by lru; empty but while the worker reclaims; @lock */
	struct list_head pages;
	/**
	 * @closed: the worker must end its inflation without a page; set by
	 * vb_supply_stop(), cleared by the worker when it begins an inflation;
	 * read and written anywhere
	 */
	bool closed;
};

/**
 * struct vb_store - what is in the balloon
 */
struct vb_store {
	/**
	 * @held: guest pages in the balloon, with those that the kernel has
	 * isolated for a migration; atomic
	 */
	atomic_long_t held;
	/** @adjust: MemTotal shrinks by @deducted; constant */
	bool adjust;
	/**
	 * @deducted: guest pages that MemTotal leaves out: single pages of the
	 * balloon, and blocks from their allocation until they are free again,
	 * also in batches; 0 without @adjust; atomic
	 */
	atomic_long_t deducted;
	/** @tells_blocks: blocks that leave need a deflate notice; constant */
	bool tells_blocks;
	/** @balloon: the kernel's core, with single pages and their lock */
	struct balloon_dev_info balloon;
	/**
	 * @blocks: the kernel's core again, with the first pages of the blocks,
	 * so that whoever empties a range asks for the blocks in it
	 */
	struct balloon_dev_info blocks;
	/**
	 * @nr_blocks: blocks in the balloon, with those that the kernel has
	 * isolated; atomic
	 */
	atomic_long_t nr_blocks;
	/** @zone: where a block entered or left last, or NULL; a guess, no lock */
	struct zone *zone;
	/** @hand: what the worker holds while the kernel reclaims */
	struct vb_hand hand;
	/** @scratch: for bulk allocation, all NULL between calls; worker only */
	struct page *scratch[VB_SINGLE_CHUNK];
	/** @sorted: scratch for sorting a batch; worker only */
	u32 sorted[VB_BATCH_PFNS];
};

/* store.c: both kinds of pages */
void vb_store_init(struct vb_store *store, bool adjust);
unsigned long vb_store_empty(struct vb_store *store);
unsigned long vb_store_held(struct vb_store *store);
unsigned long vb_store_singles(struct vb_store *store);
u64 vb_store_total(struct vb_store *store);
void vb_store_commit(struct vb_store *store, struct vb_batch *batch);
void vb_store_abort(struct vb_store *store, struct vb_batch *batch);
void vb_store_take(struct vb_store *store, struct vb_batch *batch,
		   unsigned long nr);
unsigned long vb_store_release(struct vb_store *store, unsigned long nr,
			       struct vb_batch **notice);

/* supply.c: where pages come from */
unsigned long vb_supply_room(void);
void vb_supply_blocks(struct vb_store *store, struct vb_batch *batch,
		      unsigned long nr);
void vb_supply_singles(struct vb_store *store, struct vb_batch *batch,
		       unsigned long nr);
void vb_supply_stop(struct vb_store *store);
unsigned long vb_supply_give(struct vb_store *store);

/* single.c: single pages, which the kernel may move */
void vb_single_replace(struct vb_store *store, struct page *newpage,
		       struct page *page);
int vb_single_forget(struct vb_store *store, struct page *page);

/* block.c: blocks of 2 MiB */
void vb_block_take(struct vb_store *store, struct vb_batch *batch,
		   unsigned long nr);
unsigned long vb_block_release(struct vb_store *store, unsigned long nr,
			       struct vb_batch **notice);
int vb_block_forget(struct vb_store *store, struct page *page);
void vb_block_free(struct vb_store *store, struct page *page);
unsigned long vb_block_count(const struct vb_store *store);

/* spare.c: how many blocks the guest can spare */
struct page *vb_spare_take(int nid, unsigned int order);
unsigned long vb_spare_most(unsigned long pages);
unsigned long vb_spare_percent(const struct vb_store *store);
unsigned long vb_spare_blocks(int nid, unsigned long share);
unsigned long vb_spare_lacking(struct zone *zone);

#endif
