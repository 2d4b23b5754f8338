// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon's 2 MiB blocks.
 *
 * A block comes from free memory, never by reclaim or compaction: on a
 * fragmented guest these take longer than an inflation without blocks.
 * All pages of a block are marked offline (PageOffline()), so that dumps and
 * /proc/kcore do not read them.
 */
#include <linux/mm.h>

#include "pfn.h"
#include "store/block.h"

/* Blocks that one call gives back, with one deflate notice: 512 MiB. */
#define VB_BLOCK_CHUNK	256UL
/* The deflate notice of a chunk must fit into one page. */
static_assert(sizeof(struct vb_batch) + VB_BLOCK_CHUNK * sizeof(u32) <=
	      PAGE_SIZE);

/* Unrolled, since the loop itself takes as long as setting the marks. */
static void vb_block_mark(struct page *page)
{
	unsigned long i;

	vb_unrolled(8)
	for (i = 0; i < VB_BLOCK_PAGES; i++)
		__SetPageOffline(page + i);
}

static void vb_block_unmark(struct page *page)
{
	unsigned long i;

	/* The core knows the first page, and may have cleared its mark. */
	if (!VB_OFFLINE_STAYS && PageOffline(page))
		__ClearPageOffline(page);
	vb_unrolled(8)
	for (i = 1; i < VB_BLOCK_PAGES; i++)
		__ClearPageOffline(page + i);
}

/*
 * A block is off MemTotal as long as it is not free, on its way too: who reads
 * /proc/meminfo sees memory leave MemTotal and MemFree at the same time, and come
 * back so.
 */
static void vb_block_deduct(struct vb_store *store, struct page *page,
			    long pages)
{
	if (!store->adjust)
		return;
	adjust_managed_page_count(page, -pages);
	atomic_long_add(pages, &store->deducted);
}

/**
 * vb_block_alloc() - take a free block from the guest
 * @store: the store
 * @nid: the node
 *
 * Context: Process context.  Does not reclaim.
 * Return: its first page, marked and off MemTotal; NULL if there is none.
 */
struct page *vb_block_alloc(struct vb_store *store, int nid)
{
	struct page *page = vb_spare_take(nid, VB_BLOCK_ORDER);

	if (page && !vb_batch_can_name(page_to_pfn(page))) {
		__free_pages(page, VB_BLOCK_ORDER);
		page = NULL;
	}
	if (!page)
		return NULL;
	vb_block_mark(page);
	vb_block_deduct(store, page, VB_BLOCK_PAGES);
	return page;
}

/**
 * vb_block_free() - free a block that has left the balloon
 * @store: the store
 * @page: the first page.  If somebody else holds a reference to it, only the
 *        caller's is dropped; the other pages are freed
 *
 * In halves, which go straight to the zone and become one there.  A block as
 * such would stay on a per-CPU list, where kcompactd does not see it.
 *
 * Context: Any.
 */
void vb_block_free(struct vb_store *store, struct page *page)
{
	struct page *half = page + VB_BLOCK_PAGES / 2;

	vb_block_unmark(page);
	vb_block_deduct(store, page, -(long)VB_BLOCK_PAGES);
	init_page_count(half);
	__free_pages(half, VB_BLOCK_ORDER - 1);
	__free_pages(page, VB_BLOCK_ORDER - 1);
}

/* Make single pages of a block that has left the balloon. */
static void vb_block_split(struct vb_store *store, struct page *page)
{
	vb_block_unmark(page);
	vb_block_deduct(store, page, -(long)VB_BLOCK_PAGES);
	split_page(page, VB_BLOCK_ORDER);
}

/*
 * Pages of a block that the kernel's core does not know, since it knows the
 * first one only.
 */
#define VB_BLOCK_REST	(VB_BLOCK_PAGES - 1L)

/*
 * Account @pages of a block as the core accounts single pages, and remember the
 * block's zone for vb_block_lacking().  The callers count the vm events, for
 * several blocks at once.
 */
static void vb_block_account(struct vb_store *store, struct page *page,
			     long pages)
{
	vb_balloon_count(page, pages);
	WRITE_ONCE(store->zone, page_zone(page));
}

/*
 * Take up to @nr blocks out of the balloon, onto @blocks.  The core holds a lock
 * with interrupts off meanwhile, so callers ask for VB_BLOCK_CHUNK at the most.
 */
static unsigned long vb_block_dequeue(struct vb_store *store,
				      struct list_head *blocks,
				      unsigned long nr)
{
	struct page *page;

	nr = balloon_page_list_dequeue(&store->blocks, blocks, nr);
	list_for_each_entry(page, blocks, lru)
		vb_block_account(store, page, -VB_BLOCK_REST);
	count_vm_events(BALLOON_DEFLATE, nr * VB_BLOCK_REST);
	atomic_long_sub(nr, &store->nr_blocks);
	atomic_long_sub(nr * VB_BLOCK_PAGES, &store->held);
	return nr;
}

/**
 * vb_block_abort() - free the blocks of a batch
 * @store: the store
 * @batch: a batch of blocks that no host holds; empty afterwards
 *
 * Context: Any.
 */
void vb_block_abort(struct vb_store *store, struct vb_batch *batch)
{
	unsigned int i;

	for (i = 0; i < batch->nr; i++)
		vb_block_free(store, pfn_to_page(batch->pfn[i]));
	batch->nr = 0;
}

/**
 * vb_block_commit() - put acknowledged blocks into the balloon
 * @store: the store; @held counts the blocks' pages already
 * @batch: the batch; empty afterwards
 *
 * Context: Process context; takes the core's lock.
 */
void vb_block_commit(struct vb_store *store, struct vb_batch *batch)
{
	struct page *page;
	LIST_HEAD(pages);
	unsigned int i;

	for (i = 0; i < batch->nr; i++) {
		page = pfn_to_page(batch->pfn[i]);
		list_add_tail(&page->lru, &pages);
		vb_block_account(store, page, VB_BLOCK_REST);
	}
	count_vm_events(BALLOON_INFLATE, batch->nr * VB_BLOCK_REST);
	/* Count first: a block in the list may leave at once. */
	atomic_long_add(batch->nr, &store->nr_blocks);
	balloon_page_list_enqueue(&store->blocks, &pages);
	batch->nr = 0;
}

/**
 * vb_block_take() - take out blocks whose deflate the host must read
 * @store: the store
 * @batch: an empty batch; gets the blocks, which may be fewer than @nr
 * @nr: blocks wanted
 *
 * Context: Process context; takes the core's lock.  Allocates nothing.
 */
void vb_block_take(struct vb_store *store, struct vb_batch *batch,
		   unsigned long nr)
{
	struct page *page, *next;
	LIST_HEAD(blocks);

	batch->order = VB_BLOCK_ORDER;
	batch->nr = 0;
	vb_block_dequeue(store, &blocks, min_t(unsigned long, nr,
					       min(batch->capacity,
						   VB_BATCH_BLOCKS)));
	list_for_each_entry_safe(page, next, &blocks, lru) {
		list_del(&page->lru);
		vb_batch_add(batch, page);
	}
}

/*
 * Make a deflate notice in the second page of a block; free the other pages.
 * The first one may stay marked offline until it is freed.
 */
static struct vb_batch *vb_block_notice(struct vb_store *store,
					struct page *page)
{
	struct vb_batch *batch = page_address(page + 1);
	unsigned long i;

	vb_block_split(store, page);
	__free_page(page);
	for (i = 2; i < VB_BLOCK_PAGES; i++)
		__free_page(page + i);
	vb_batch_init(batch, VB_KIND_NOTICE, VB_BLOCK_CHUNK,
		      (u32 *)(batch + 1));
	batch->op = VB_DEFLATE;
	batch->order = VB_BLOCK_ORDER;
	return batch;
}

/**
 * vb_block_release() - give blocks back to the guest at once
 * @store: the store
 * @nr: blocks wanted; one call gives VB_BLOCK_CHUNK at the most
 * @notice: gets the deflate notice, or NULL if the host needs none
 *
 * Context: Process context, also when memory has run out; takes the core's lock.
 * Allocates nothing.
 * Return: guest pages that left the balloon.
 */
unsigned long vb_block_release(struct vb_store *store, unsigned long nr,
			       struct vb_batch **notice)
{
	struct vb_batch *batch = NULL;
	struct page *page, *next;
	LIST_HEAD(blocks);
	unsigned long pfn;

	nr = vb_block_dequeue(store, &blocks, min(nr, VB_BLOCK_CHUNK));
	list_for_each_entry_safe(page, next, &blocks, lru) {
		list_del(&page->lru);
		pfn = page_to_pfn(page);
		if (store->tells_blocks && !batch)
			batch = vb_block_notice(store, page);
		else
			vb_block_free(store, page);
		if (batch)
			batch->pfn[batch->nr++] = pfn;
		cond_resched();
	}
	*notice = batch;
	return nr * VB_BLOCK_PAGES;
}

/**
 * vb_block_lacking() - how many blocks should leave before single pages?
 * @store: the store
 *
 * The guest may lack free blocks in one zone only.  The block that leaves next
 * lies most likely in the zone of the last one, so that zone is asked.
 *
 * Context: Any.
 * Return: blocks, which may be more than the balloon holds.
 */
unsigned long vb_block_lacking(struct vb_store *store)
{
	struct zone *zone = READ_ONCE(store->zone);

	return zone ? vb_spare_lacking(zone) : 0;
}

/**
 * vb_block_break() - take a block out of the balloon and split it into pages
 * @store: the store
 *
 * Context: Process context, also when memory has run out; takes the core's lock.
 * Return: the first of VB_BLOCK_PAGES pages, which belong to the caller; NULL
 * if the balloon has no block.
 */
struct page *vb_block_break(struct vb_store *store)
{
	LIST_HEAD(blocks);
	struct page *page;

	if (!vb_block_dequeue(store, &blocks, 1))
		return NULL;
	page = list_first_entry(&blocks, struct page, lru);
	list_del(&page->lru);
	vb_block_split(store, page);
	return page;
}

/**
 * vb_block_forget() - let an isolated block leave the balloon
 * @store: the store
 * @page: the block's first page.  The caller has a reference of its own, and
 *        calls vb_block_free() afterwards
 *
 * Context: The core's migration callback, with the page locked.
 * Return: what the callback must return.
 */
int vb_block_forget(struct vb_store *store, struct page *page)
{
	vb_block_account(store, page, -VB_BLOCK_REST);
	count_vm_events(BALLOON_DEFLATE, VB_BLOCK_REST);
	atomic_long_dec(&store->nr_blocks);
	atomic_long_sub(VB_BLOCK_PAGES, &store->held);
	return vb_balloon_forget(&store->blocks, page, false);
}

/**
 * vb_block_count() - how many blocks are in the balloon?
 * @store: the store
 *
 * Context: Any.
 * Return: blocks, with those that the kernel has isolated.
 */
unsigned long vb_block_count(const struct vb_store *store)
{
	return atomic_long_read(&store->nr_blocks);
}

/**
 * vb_block_empty() - free the blocks in the balloon
 * @store: the store of a device that has been reset: no host holds a block
 *
 * Context: May sleep.
 * Return: true if any was freed; none is while all are isolated.
 */
bool vb_block_empty(struct vb_store *store)
{
	struct page *page, *next;
	LIST_HEAD(blocks);
	bool freed = false;

	/* Few at a time, since init_on_free may write all of them. */
	while (vb_block_dequeue(store, &blocks, 8)) {
		list_for_each_entry_safe(page, next, &blocks, lru) {
			list_del(&page->lru);
			vb_block_free(store, page);
		}
		freed = true;
		cond_resched();
	}
	return freed;
}
