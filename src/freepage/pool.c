// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks that were taken for hints and are not in flight: the host has read
 * them, or they are due to be posted.  They stay here until the host is done,
 * or until somebody in the guest needs memory (reclaim.c).  Each new command of
 * the host makes all of them due again.
 */
#include <linux/mm.h>
#include <linux/swap.h>

#include "freepage/pool.h"

/*
 * Hints leave so much free beyond what the nodes keep: enough for a batch of
 * single pages, which would otherwise take hints back.
 */
#define VB_POOL_LEFT	VB_BATCH_SINGLES

/**
 * vb_pool_put() - put a block into the pool
 * @pool: the pool
 * @page: the first page of the block
 * @list: @pool->read or @pool->due
 *
 * Context: Under @pool->lock.
 */
void vb_pool_put(struct vb_pool *pool, struct page *page,
		 struct list_head *list)
{
	lockdep_assert_held(&pool->lock);

	list_add_tail(&page->lru, list);
	WRITE_ONCE(pool->pages, pool->pages + vb_pool_block_pages(page));
}

/**
 * vb_pool_get() - take a block out of the pool
 * @pool: the pool
 * @list: @pool->read or @pool->due
 *
 * Context: Under @pool->lock.
 * Return: the first page of a block, which now belongs to the caller, or NULL.
 */
struct page *vb_pool_get(struct vb_pool *pool, struct list_head *list)
{
	struct page *page;

	lockdep_assert_held(&pool->lock);

	page = list_first_entry_or_null(list, struct page, lru);
	if (!page)
		return NULL;
	list_del(&page->lru);
	WRITE_ONCE(pool->pages, pool->pages - vb_pool_block_pages(page));
	return page;
}

/**
 * vb_pool_pages() - count the memory in the pool
 * @pool: the pool
 *
 * Context: Any.
 * Return: guest pages, all of which vb_reclaim_yield() can give.
 */
unsigned long vb_pool_pages(const struct vb_pool *pool)
{
	return READ_ONCE(pool->pages);
}

/**
 * vb_pool_take() - take a free block from the guest, to be hinted
 * @order: log2 of the guest pages of the largest block; lowered, down to
 *         VB_BLOCK_ORDER, where none of that size is free
 * @floor: guest pages that must be available
 *
 * What is available includes caches that programs use.  So VB_POOL_LEFT must be
 * free as well.
 *
 * Context: Process context.  Does not reclaim.
 * Return: its first page, now the caller's; NULL if there is none to take.
 */
struct page *vb_pool_take(unsigned int *order, unsigned long floor)
{
	struct page *page;

	if (si_mem_available() <= (long)floor ||
	    vb_supply_room() <= VB_POOL_LEFT)
		return NULL;
	while (!(page = vb_spare_take(NUMA_NO_NODE, *order))) {
		if (*order <= VB_BLOCK_ORDER)
			return NULL;
		--*order;
	}
	set_page_private(page, *order);
	return page;
}

/**
 * vb_pool_free() - give a block back to the guest
 * @page: the first page of the block, which belongs to the caller
 *
 * Context: Any.
 */
void vb_pool_free(struct page *page)
{
	unsigned int order = page_private(page);

	set_page_private(page, 0);
	__free_pages(page, order);
}

/**
 * vb_pool_give() - give blocks of the pool back to the guest
 * @pool: the pool
 * @nr: guest pages wanted
 *
 * Context: Process context, may sleep; takes @pool->lock.  Allocates nothing.
 * Return: guest pages given: at least @nr, or fewer if the pool is empty now.
 */
unsigned long vb_pool_give(struct vb_pool *pool, unsigned long nr)
{
	unsigned long given = 0;
	struct page *page;

	while (given < nr) {
		spin_lock(&pool->lock);
		page = vb_pool_get(pool, &pool->read);
		if (!page)
			page = vb_pool_get(pool, &pool->due);
		spin_unlock(&pool->lock);
		if (!page)
			break;
		given += vb_pool_block_pages(page);
		vb_pool_free(page);
		cond_resched();
	}
	return given;
}

/**
 * vb_pool_init() - prepare an empty pool
 * @pool: the pool
 *
 * Context: Any.
 */
void vb_pool_init(struct vb_pool *pool)
{
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->read);
	INIT_LIST_HEAD(&pool->due);
}
