// SPDX-License-Identifier: GPL-2.0
/*
 * What is in the balloon: single pages and blocks together.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>

#include "store/block.h"
#include "store/single.h"

/*
 * A deflate notice breaks a block up, and its pieces take a while to become one
 * again: so a notice of blocks that the guest lacks is for this many, 32 MiB.
 */
#define VB_STORE_NOTICED	16UL

/**
 * vb_store_init() - prepare an empty store
 * @store: the store, zeroed
 * @adjust: subtract the pages in the balloon from MemTotal
 *
 * Context: Any.
 */
void vb_store_init(struct vb_store *store, bool adjust)
{
	vb_balloon_init(&store->balloon, adjust);
	/* Blocks are off MemTotal as soon as they are allocated. */
	vb_balloon_init(&store->blocks, false);
	spin_lock_init(&store->hand.lock);
	INIT_LIST_HEAD(&store->hand.pages);
	atomic_long_set(&store->held, 0);
	atomic_long_set(&store->nr_blocks, 0);
	atomic_long_set(&store->deducted, 0);
	store->adjust = adjust;
}

/**
 * vb_store_held() - how many pages are in the balloon?
 * @store: the store
 *
 * Context: Any.
 * Return: guest pages.
 */
unsigned long vb_store_held(struct vb_store *store)
{
	return atomic_long_read(&store->held);
}

/**
 * vb_store_singles() - how many single pages are in the balloon?
 * @store: the store
 *
 * Context: Any.
 * Return: guest pages.
 */
unsigned long vb_store_singles(struct vb_store *store)
{
	long blocks = vb_block_count(store) * VB_BLOCK_PAGES;

	/* A block may enter or leave between the two reads. */
	return max_t(long, vb_store_held(store) - blocks, 0);
}

/**
 * vb_store_total() - how much memory does the guest have with an empty balloon?
 * @store: the store
 *
 * Context: Any.
 * Return: guest pages.
 */
u64 vb_store_total(struct vb_store *store)
{
	return totalram_pages() + atomic_long_read(&store->deducted);
}

/**
 * vb_store_abort() - free the pages of a batch
 * @store: the store
 * @batch: a batch whose pages no host holds; empty afterwards
 *
 * Context: Any.
 */
void vb_store_abort(struct vb_store *store, struct vb_batch *batch)
{
	if (batch->order)
		vb_block_abort(store, batch);
	else
		vb_single_abort(batch);
}

/**
 * vb_store_commit() - put an acknowledged inflation into the balloon
 * @store: the store
 * @batch: the batch; empty afterwards
 *
 * Context: Process context.
 */
void vb_store_commit(struct vb_store *store, struct vb_batch *batch)
{
	/* Count first: a page in the list may leave at once, which subtracts. */
	atomic_long_add(vb_batch_pages(batch), &store->held);
	if (batch->order)
		vb_block_commit(store, batch);
	else
		vb_single_commit(store, batch);
}

/*
 * Turn a block of the balloon into single pages of the balloon.  The host need
 * not be told, since it holds the same memory as before.  In the vm events the
 * block leaves and its pages enter, since the kernel's core counts them.
 */
static void vb_store_break(struct vb_store *store)
{
	struct page *page;
	unsigned long i;

	/* The pages are in the balloon all the time: see vb_block_break(). */
	atomic_long_add(VB_BLOCK_PAGES, &store->held);
	page = vb_block_break(store);
	if (!page) {
		atomic_long_sub(VB_BLOCK_PAGES, &store->held);
		return;
	}
	for (i = 0; i < VB_BLOCK_PAGES; i++)
		vb_single_join(store, page + i);
}

/*
 * How many of @nr pages leave as single pages; the rest are whole blocks.
 *
 * Single pages leave first, since a host on huge pages gains more by a block.
 * But the rest must be whole blocks, so not all single pages may leave.  If the
 * balloon has too few single pages for the odd part of @nr, a block is broken.
 *
 * Return: single pages to take now; 0 if blocks are to leave now.
 */
static unsigned long vb_store_tail(struct vb_store *store, unsigned long nr)
{
	unsigned long odd = nr % VB_BLOCK_PAGES;

	if (vb_store_singles(store) < odd)
		vb_store_break(store);
	if (vb_store_singles(store) <= odd)
		return odd;
	return min(nr, odd + round_down(vb_store_singles(store) - odd,
					VB_BLOCK_PAGES));
}

/*
 * How many blocks leave before single pages: as many as the guest lacks.  If
 * single pages left first all the same, most free memory would be in pieces for
 * a while, and the kernel's kcompactd would begin to make blocks of them.
 */
static unsigned long vb_store_lacking(struct vb_store *store, unsigned long nr)
{
	unsigned long lacking;

	if (vb_store_singles(store) < VB_BLOCK_PAGES)
		return 0;
	lacking = vb_block_lacking(store);
	if (store->tells_blocks)
		lacking = round_up(lacking, VB_STORE_NOTICED);
	return min(nr / VB_BLOCK_PAGES, lacking);
}

/**
 * vb_store_take() - take out pages whose deflate the host must read
 * @store: the store
 * @batch: an empty batch; gets the pages, all single or all in blocks
 * @nr: guest pages wanted, no more than the store holds
 *
 * @batch gets fewer pages than @nr if it is full, and fewer or none while pages
 * are isolated for a migration.
 *
 * Context: Process context; takes the core's lock.  Allocates nothing.
 */
void vb_store_take(struct vb_store *store, struct vb_batch *batch,
		   unsigned long nr)
{
	vb_block_take(store, batch, vb_store_lacking(store, nr));
	if (!batch->nr)
		vb_single_take(store, batch, vb_store_tail(store, nr));
	if (!batch->nr)
		vb_block_take(store, batch, nr / VB_BLOCK_PAGES);
}

/**
 * vb_store_release() - give pages back to the guest at once
 * @store: the store
 * @nr: guest pages wanted, no more than the store holds; one call gives a part
 * @notice: gets the deflate notice, or NULL if the host needs none
 *
 * The notice lives in a page that leaves the balloon, so that nothing is
 * allocated.  The channel frees that page when the host has read the notice.
 *
 * Context: Process context, also when memory has run out; takes the core's lock.
 * Return: guest pages that left the balloon.
 */
unsigned long vb_store_release(struct vb_store *store, unsigned long nr,
			       struct vb_batch **notice)
{
	unsigned long released;

	released = vb_block_release(store, vb_store_lacking(store, nr), notice);
	if (!released)
		released = vb_single_release(store, vb_store_tail(store, nr),
					     notice);
	if (!released)
		released = vb_block_release(store, nr / VB_BLOCK_PAGES, notice);
	return released;
}

/* Pages that the kernel has isolated come back: it uses the store until then. */
static bool vb_store_isolated(struct vb_store *store)
{
	return vb_balloon_isolates(&store->balloon) ||
	       vb_balloon_isolates(&store->blocks);
}

/**
 * vb_store_empty() - free every page in the balloon
 * @store: the store of a device that has been reset, so that no host holds a
 *         page
 *
 * Waits for pages that are isolated: migrations are refused by now, so the
 * kernel puts these pages back soon.  When this returns, the kernel's core uses
 * @store no more.
 *
 * Context: May sleep.
 * Return: pages that nobody found for 10 s, and that leak; 0 if none.
 */
unsigned long vb_store_empty(struct vb_store *store)
{
	unsigned long late = jiffies + 10 * HZ;

	for (;;) {
		if (vb_block_empty(store) || vb_single_free(store) ||
		    vb_store_isolated(store))
			late = jiffies + 10 * HZ;
		else if (!vb_store_held(store) ||
			 WARN_ON_ONCE(time_after(jiffies, late)))
			break;
		if (vb_store_isolated(store))
			usleep_range(1000, 2000);
		cond_resched();
	}
	return vb_store_held(store);
}
