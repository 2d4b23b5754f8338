// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon's 2 MiB blocks.
 *
 * A block comes from free memory, never by reclaim or compaction: on a
 * fragmented guest these take longer than an inflation without blocks.
 * All pages of a block are marked offline (PageOffline()), so that dumps,
 * hibernation and /proc/kcore do not read them.
 */
#include <linux/mm.h>

#include "pfn.h"
#include "store/block.h"

/*
 * Blocks that one call gives back, 512 MiB: a compromise between few deflate
 * notices and a short time before the caller can reschedule (3 million
 * instructions).
 */
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

	vb_unrolled(8)
	for (i = 0; i < VB_BLOCK_PAGES; i++)
		__ClearPageOffline(page + i);
}

static struct page *vb_block_alloc(int nid)
{
	struct page *page = vb_spare_take(nid, VB_BLOCK_ORDER);

	if (page && !vb_batch_can_name(page_to_pfn(page))) {
		__free_pages(page, VB_BLOCK_ORDER);
		page = NULL;
	}
	if (page)
		vb_block_mark(page);
	return page;
}

/*
 * In halves, which go straight to the zone and become one there.  A block as
 * such would stay on a per-CPU list, where kcompactd does not see it.
 */
static void vb_block_free(struct page *page)
{
	struct page *half = page + VB_BLOCK_PAGES / 2;

	vb_block_unmark(page);
	init_page_count(half);
	__free_pages(half, VB_BLOCK_ORDER - 1);
	__free_pages(page, VB_BLOCK_ORDER - 1);
}

/* Make single pages of a block that has left the balloon. */
static void vb_block_split(struct page *page)
{
	vb_block_unmark(page);
	split_page(page, VB_BLOCK_ORDER);
}

/*
 * Account a block as the kernel's core accounts single pages.  The callers
 * count the vm events, for several blocks at once.
 */
static void vb_block_account(struct vb_store *store, struct page *page,
			     long pages)
{
	if (store->adjust)
		adjust_managed_page_count(page, -pages);
	vb_balloon_count(page, pages);
}

/*
 * The first block of the balloon, or of a range.  The list of a large balloon
 * is too long to search for a range, so the first page of each block points to
 * the list by its private field.
 */
static struct page *vb_block_first(struct vb_store *store,
				   const struct vb_range *range)
{
	struct page *page;
	unsigned long pfn;

	lockdep_assert_held(&store->lock);

	if (!range)
		return list_first_entry_or_null(&store->blocks, struct page,
						lru);
	for (pfn = round_down(range->start, VB_BLOCK_PAGES); pfn < range->end;
	     pfn += VB_BLOCK_PAGES) {
		page = pfn_to_online_page(pfn);
		if (page && PageOffline(page) &&
		    page_private(page) == (unsigned long)&store->blocks)
			return page;
	}
	return NULL;
}

/* Take up to @nr blocks out of the balloon, onto @blocks. */
static unsigned long vb_block_dequeue(struct vb_store *store,
				      struct list_head *blocks,
				      unsigned long nr,
				      const struct vb_range *range)
{
	unsigned long got = 0;
	struct page *page;

	spin_lock(&store->lock);
	while (got < nr && (page = vb_block_first(store, range))) {
		set_page_private(page, 0);
		list_move_tail(&page->lru, blocks);
		got++;
	}
	WRITE_ONCE(store->nr_blocks, store->nr_blocks - got);
	spin_unlock(&store->lock);

	list_for_each_entry(page, blocks, lru)
		vb_block_account(store, page, -(long)VB_BLOCK_PAGES);
	count_vm_events(BALLOON_DEFLATE, got * VB_BLOCK_PAGES);
	atomic_long_sub(got * VB_BLOCK_PAGES, &store->held);
	return got;
}

/* Add the blocks that a node can spare, until the batch has @nr. */
static void vb_block_fill_from(struct vb_batch *batch, unsigned long nr,
			       int nid)
{
	unsigned long spare = vb_spare_blocks(nid);
	struct page *page;

	for (; batch->nr < nr && spare; spare--) {
		page = vb_block_alloc(nid);
		if (!page)
			break;
		batch->pfn[batch->nr++] = page_to_pfn(page);
	}
}

/**
 * vb_block_prepare() - allocate blocks for the balloon
 * @store: the store
 * @batch: an empty batch; gets the blocks, sorted
 * @nr: blocks wanted
 *
 * @batch gets as many as the guest can spare, which may be none.
 *
 * Context: The worker only, which alone uses @store->sorted.
 */
void vb_block_prepare(struct vb_store *store, struct vb_batch *batch,
		      unsigned long nr)
{
	int nid;

	batch->order = VB_BLOCK_ORDER;
	batch->nr = 0;
	nr = min_t(unsigned long, nr, batch->capacity);
	/* The nearest node first, as any allocation does. */
	vb_block_fill_from(batch, nr, numa_mem_id());
	for_each_online_node(nid)
		vb_block_fill_from(batch, nr, nid);
	vb_pfn_sort(batch->pfn, store->sorted, batch->nr);
}

/**
 * vb_block_abort() - free the blocks of a batch
 * @batch: a batch of blocks that no host holds; empty afterwards
 *
 * Context: Any.
 */
void vb_block_abort(struct vb_batch *batch)
{
	unsigned int i;

	for (i = 0; i < batch->nr; i++)
		vb_block_free(pfn_to_page(batch->pfn[i]));
	batch->nr = 0;
}

/**
 * vb_block_commit() - put acknowledged blocks into the balloon
 * @store: the store; @held counts the blocks already
 * @batch: the batch; empty afterwards
 *
 * Context: Process context; takes @store->lock.
 */
void vb_block_commit(struct vb_store *store, struct vb_batch *batch)
{
	struct page *page;
	unsigned int i;

	for (i = 0; i < batch->nr; i++)
		vb_block_account(store, pfn_to_page(batch->pfn[i]),
				 VB_BLOCK_PAGES);
	count_vm_events(BALLOON_INFLATE, vb_batch_pages(batch));

	spin_lock(&store->lock);
	for (i = 0; i < batch->nr; i++) {
		page = pfn_to_page(batch->pfn[i]);
		set_page_private(page, (unsigned long)&store->blocks);
		list_add(&page->lru, &store->blocks);
	}
	WRITE_ONCE(store->nr_blocks, store->nr_blocks + batch->nr);
	spin_unlock(&store->lock);
	batch->nr = 0;
}

/**
 * vb_block_take() - take out blocks whose deflate the host must read
 * @store: the store
 * @batch: an empty batch; gets the blocks, which may be fewer than @nr
 * @nr: blocks wanted
 * @range: only blocks that have a page frame in this range, or NULL
 *
 * Context: Process context; takes @store->lock.  Allocates nothing.
 */
void vb_block_take(struct vb_store *store, struct vb_batch *batch,
		   unsigned long nr, const struct vb_range *range)
{
	struct page *page, *next;
	LIST_HEAD(blocks);

	batch->order = VB_BLOCK_ORDER;
	batch->nr = 0;
	vb_block_dequeue(store, &blocks, min_t(unsigned long, nr,
					       min(batch->capacity,
						   VB_BATCH_BLOCKS)), range);
	list_for_each_entry_safe(page, next, &blocks, lru) {
		list_del(&page->lru);
		batch->pfn[batch->nr++] = page_to_pfn(page);
	}
}

/* Make a deflate notice in the first page of a block; free the other pages. */
static struct vb_batch *vb_block_notice(struct page *page)
{
	struct vb_batch *batch = page_address(page);
	unsigned long i;

	vb_block_split(page);
	for (i = 1; i < VB_BLOCK_PAGES; i++)
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
 * @range: only blocks that have a page frame in this range, or NULL
 * @notice: gets the deflate notice, or NULL if the host needs none
 *
 * Context: Process context, also when memory has run out; takes @store->lock.
 * Allocates nothing.
 * Return: guest pages that left the balloon.
 */
unsigned long vb_block_release(struct vb_store *store, unsigned long nr,
			       const struct vb_range *range,
			       struct vb_batch **notice)
{
	struct vb_batch *batch = NULL;
	struct page *page, *next;
	LIST_HEAD(blocks);
	unsigned long pfn;

	nr = vb_block_dequeue(store, &blocks, min(nr, VB_BLOCK_CHUNK), range);
	list_for_each_entry_safe(page, next, &blocks, lru) {
		list_del(&page->lru);
		pfn = page_to_pfn(page);
		if (store->tells_blocks && !batch)
			batch = vb_block_notice(page);
		else
			vb_block_free(page);
		if (batch)
			batch->pfn[batch->nr++] = pfn;
	}
	*notice = batch;
	return nr * VB_BLOCK_PAGES;
}

/**
 * vb_block_within() - does a block of the balloon have a page frame in a range?
 * @store: the store
 * @range: the page frames
 *
 * Context: Process context; takes @store->lock.
 * Return: true if so.
 */
bool vb_block_within(struct vb_store *store, const struct vb_range *range)
{
	bool found;

	spin_lock(&store->lock);
	found = vb_block_first(store, range);
	spin_unlock(&store->lock);
	return found;
}

/**
 * vb_block_lacking() - how many blocks should leave before single pages?
 * @store: the store
 *
 * The guest may lack free blocks in one place only, so it is asked about the
 * place of the block that would leave next.
 *
 * Context: Process context; takes @store->lock.
 * Return: blocks, which may be more than the balloon holds.
 */
unsigned long vb_block_lacking(struct vb_store *store)
{
	struct page *page;

	spin_lock(&store->lock);
	page = vb_block_first(store, NULL);
	spin_unlock(&store->lock);
	/* The block may be gone by now, but the place is not. */
	return page ? vb_spare_lacking(page) : 0;
}

/**
 * vb_block_break() - take a block out of the balloon and split it into pages
 * @store: the store
 *
 * Context: Process context, also when memory has run out; takes @store->lock.
 * Return: the first of VB_BLOCK_PAGES pages, which belong to the caller; NULL
 * if the balloon has no block.
 */
struct page *vb_block_break(struct vb_store *store)
{
	LIST_HEAD(blocks);
	struct page *page;

	if (!vb_block_dequeue(store, &blocks, 1, NULL))
		return NULL;
	page = list_first_entry(&blocks, struct page, lru);
	list_del(&page->lru);
	vb_block_split(page);
	return page;
}

/**
 * vb_block_empty() - free every block in the balloon
 * @store: the store of a device that has been reset: no host holds a block
 *
 * Context: May sleep.
 */
void vb_block_empty(struct vb_store *store)
{
	struct page *page, *next;
	LIST_HEAD(blocks);

	while (vb_block_dequeue(store, &blocks, VB_BLOCK_CHUNK, NULL)) {
		list_for_each_entry_safe(page, next, &blocks, lru) {
			list_del(&page->lru);
			vb_block_free(page);
		}
		cond_resched();
	}
}
